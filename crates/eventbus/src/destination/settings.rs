//! What an operator may choose of a destination, and what is refused.

use serde::{Deserialize, Deserializer, Serialize, de};

/// What an operator may choose of a destination.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationSettings {
    /// Most records on their way to it at a time. It begins here and comes back to it.
    #[serde(deserialize_with = "at_least_one")]
    pub concurrency_max: usize,
    /// So many records at a time are allowed however much it asks for less.
    #[serde(deserialize_with = "at_least_one")]
    pub concurrency_min: usize,
    /// So much of the concurrency, 0.0 to 1.0, is left to live records while there are any: a sync slows down beside
    /// them, not they beside it.
    #[serde(deserialize_with = "share")]
    pub live_share: f64,
    /// Most records that set out in a second; 0.0 is no limit.
    #[serde(deserialize_with = "rate")]
    pub rate_per_second: f64,
    /// So many failures in a row, over all records, open the circuit.
    #[serde(deserialize_with = "at_least_one")]
    pub open_after_failures: u32,
    /// While the circuit is open, one record tries every so many seconds.
    #[serde(deserialize_with = "seconds")]
    pub probe_interval_seconds: f64,
}

fn at_least_one<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + Default + PartialEq,
{
    let number = N::deserialize(deserializer)?;
    if number == N::default() {
        return Err(de::Error::custom("it must be at least 1"));
    }
    Ok(number)
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let rate = f64::deserialize(deserializer)?;
    match rate == 0.0 || (0.001..=1e6).contains(&rate) {
        true => Ok(rate),
        false => Err(de::Error::custom("it must be 0, or 0.001 to 1000000 in a second")),
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(de::Error::custom("it must be 0.0 to 1.0")),
    }
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    match (0.001..=86_400.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err(de::Error::custom("it must be 0.001 to 86400 seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let good = r#"{"concurrency_max":64,"concurrency_min":1,"live_share":0.5,
            "rate_per_second":0.0,"open_after_failures":10,"probe_interval_seconds":5.0}"#;
        let read = |text: &str| serde_json::from_str::<DestinationSettings>(text);
        read(good).unwrap();
        for (from, to) in [
            ("\"concurrency_max\":64", "\"concurrency_max\":0"),
            ("\"concurrency_min\":1", "\"concurrency_min\":0"),
            ("\"open_after_failures\":10", "\"open_after_failures\":0"),
            ("\"live_share\":0.5", "\"live_share\":1.5"),
            ("0.0", "-1.0"),
            ("5.0", "0.0"),
            ("5.0", "1e9"),
        ] {
            read(&good.replace(from, to)).unwrap_err();
        }
    }
}
