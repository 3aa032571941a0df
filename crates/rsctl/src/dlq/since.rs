//! A point in time as people give it: itself, or how long ago it was.

use std::str::FromStr;

use jiff::{Span, SpanRelativeTo, Timestamp};

/// The earliest time that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since(pub(crate) Timestamp);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text, Timestamp::now()).map(Self)
    }
}

fn read(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let ago = || -> Result<Timestamp, jiff::Error> {
        let span: Span = text.parse()?;
        now.checked_sub(span.to_duration(SpanRelativeTo::days_are_24_hours())?.abs())
    };
    ago().map_err(|_| {
        "neither a time such as 2026-03-01T08:00:00Z nor a span such as 90m, 2h or 7d".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_time_is_itself_and_a_span_is_so_long_ago() {
        let now: Timestamp = "2026-03-08T12:00:00Z".parse().expect("a time");
        let table = [
            "2026-03-01T08:00:00Z",
            "2026-03-01T08:00:00+02:00",
            "2h",
            "7d",
            "1w",
            "1h 30m",
            "90 minutes",
            "PT2H",
            "2h ago",
            "1 month",
            "yesterday",
            "",
            "2026-03-01",
        ];
        let table = table.map(|it| format!("{it}: {:?}\n", read(it, now))).concat();
        expect![[r#"
            2026-03-01T08:00:00Z: Ok(2026-03-01T08:00:00Z)
            2026-03-01T08:00:00+02:00: Ok(2026-03-01T06:00:00Z)
            2h: Ok(2026-03-08T10:00:00Z)
            7d: Ok(2026-03-01T12:00:00Z)
            1w: Ok(2026-03-01T12:00:00Z)
            1h 30m: Ok(2026-03-08T10:30:00Z)
            90 minutes: Ok(2026-03-08T10:30:00Z)
            PT2H: Ok(2026-03-08T10:00:00Z)
            2h ago: Ok(2026-03-08T10:00:00Z)
            1 month: Err("neither a time such as 2026-03-01T08:00:00Z nor a span such as 90m, 2h or 7d")
            yesterday: Err("neither a time such as 2026-03-01T08:00:00Z nor a span such as 90m, 2h or 7d")
            : Err("neither a time such as 2026-03-01T08:00:00Z nor a span such as 90m, 2h or 7d")
            2026-03-01: Err("neither a time such as 2026-03-01T08:00:00Z nor a span such as 90m, 2h or 7d")
        "#]].assert_eq(&table);
    }
}
