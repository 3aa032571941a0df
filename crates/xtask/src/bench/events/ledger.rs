//! What was told of each event, and under which ids.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
};

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::bulk;

use super::homes::{Homes, Kind};

/// Everything that is told because of events.
pub(super) const TOLD_TOPICS: [&str; 4] = [
    "as-provision-command-topic",
    "as-rs-event-topic",
    "as-notification-topic",
    "as-wsp-request-topic",
];
const EXAMPLES_MAX: usize = 5;
/// The most that an event causes.
const TOLD_MAX: usize = 2;

/// For each event, the id under which each of what it causes was told first, hashed; 0 where it was not told.
pub(super) struct Ledger {
    ids: Vec<[u64; TOLD_MAX]>,
    /// Told under more than one id.
    doubled: u64,
    /// Told more than once under one id.
    repeated: u64,
}

/// What there is to say of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// The share of activity that was not told because something newer was.
    pub(super) folded_ratio: f64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) repeated: u64,
    pub(super) examples: Vec<String>,
}

impl Ledger {
    /// Nothing was told of so many events.
    pub(super) fn new(events: usize) -> Self {
        Self { ids: vec![[0; TOLD_MAX]; events], doubled: 0, repeated: 0 }
    }

    /// Notes one record.
    pub(super) fn note(&mut self, said: bulk::Said<'_>) -> Result<()> {
        let payload: Value = serde_json::from_slice(said.payload).context("no JSON")?;
        let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
        const STATUS: &str = "/patch/product_data/RouterSecure/status/active_timestamp";
        // What an event causes first has place 0.
        let (place, number) = match said.event_type {
            "RSDeviceEventConnected" => (0, text("/router_id")),
            "RSRouterAgentReported" => (0, text("/agent_package_id")),
            "WSPRequest" => (0, text("/domain")),
            "PostDevice" => (0, text("/device/device_id")),
            "PatchDevice" => (0, text(STATUS).and_then(|it| it.rsplit('.').next())),
            "device_event_new_device" => (1, text("/device_id")),
            "threat_blocked" => (1, text("/data/domain")),
            other => anyhow::bail!("nobody says `{other}`"),
        };
        let digits: String =
            number.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
        let number: usize = digits.parse().context("it has no number")?;
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let id = hasher.hash_one(said.id).max(1);
        let told = &mut self.ids.get_mut(number).context("an event of this number")?[place];
        match *told {
            0 => *told = id,
            before if before == id => self.repeated += 1,
            _ => self.doubled += 1,
        }
        Ok(())
    }

    /// What is missing: everything that an event causes; of activity, the last of each device.
    pub(super) fn found(&self, homes: &Homes) -> Found {
        let Self { ids, doubled, repeated } = self;
        let mut found = Found { doubled: *doubled, repeated: *repeated, ..Found::default() };
        let (mut active, mut told) = (0_u64, 0_u64);
        let mut last: HashMap<usize, usize> = HashMap::new();
        for (number, ids) in ids.iter().enumerate() {
            let event = homes.event(number);
            let wanted = match event.kind {
                Kind::Active => {
                    active += 1;
                    told += u64::from(ids[0] != 0);
                    last.insert(event.device, number);
                    continue;
                }
                Kind::Connected | Kind::Blocked | Kind::Agent => 1,
                Kind::NewDevice | Kind::Threat => 2,
            };
            let missing = ids[..wanted].iter().filter(|it| **it == 0).count();
            found.missing(missing, || format!("event {number}: {:?}", event.kind));
        }
        for (device, number) in last {
            let missing = usize::from(ids[number][0] == 0);
            found.missing(missing, || format!("the last state of device {device}: {number}"));
        }
        let share = if active == 0 { 0.0 } else { 1.0 - told as f64 / active as f64 };
        found.folded_ratio = (share * 1000.0).round() / 1000.0;
        found
    }
}

impl Found {
    fn missing(&mut self, count: usize, what: impl Fn() -> String) {
        self.lost += count as u64;
        if count > 0 && self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("lost: {}", what()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(ledger: &mut Ledger, event_type: &str, id: &str, payload: &str) {
        let payload = payload.as_bytes();
        ledger.note(bulk::Said { event_type, id, payload }).unwrap();
    }

    #[test]
    fn what_is_missing_doubled_or_repeated_is_found() {
        let homes = Homes::new();
        let number = (0..).find(|it| homes.event(*it).kind == Kind::Threat).unwrap();
        let mut ledger = Ledger::new(number + 1);
        let all = ledger.found(&homes).lost;
        let request = format!(r#"{{"domain":"e{number}.example"}}"#);
        let notice = format!(r#"{{"data":{{"domain":"e{number}.example"}}}}"#);
        note(&mut ledger, "WSPRequest", "a", &request);
        assert_eq!(ledger.found(&homes).lost, all - 1);
        note(&mut ledger, "threat_blocked", "b", &notice);
        note(&mut ledger, "threat_blocked", "b", &notice);
        note(&mut ledger, "WSPRequest", "c", &request);
        let found = ledger.found(&homes);
        assert_eq!((found.lost, found.doubled, found.repeated), (all - 2, 1, 1));
    }

    #[test]
    fn of_activity_only_the_last_of_a_device_must_be_told() {
        let homes = Homes::new();
        let count = 40_000;
        let mut last: HashMap<usize, usize> = HashMap::new();
        let active = |it: &usize| homes.event(*it).kind == Kind::Active;
        last.extend((0..count).filter(active).map(|it| (homes.event(it).device, it)));
        let mut ledger = Ledger::new(count);
        let before = ledger.found(&homes).lost;
        for number in last.values() {
            let status = format!(r#"{{"status":{{"active_timestamp":"T00:00:00.{number:09}Z"}}}}"#);
            let patch = format!(r#"{{"patch":{{"product_data":{{"RouterSecure":{status}}}}}}}"#);
            note(&mut ledger, "PatchDevice", &format!("id-{number}"), &patch);
        }
        let found = ledger.found(&homes);
        assert_eq!(found.lost, before - last.len() as u64);
        let told = last.len() as f64 / (0..count).filter(active).count() as f64;
        assert!((found.folded_ratio - (1.0 - told)).abs() < 0.001, "{found:?}");
    }
}
