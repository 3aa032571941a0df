//! What is counted after the day: dead letters and why they are there, and what the events have caused.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use events::topics;
use serde_json::{Map, Value, json};
use testkit::records::{Record, read};

const EXAMPLES: usize = 5;
const PATCHES: &str = "as-provision-command-topic";
/// What each event of a home causes: the topic, the type there, and the types of events that cause one each.
const CAUSED: &[(&str, &str, &[&str])] = &[
    ("as-rs-event-topic", "RSDeviceEventConnected", &["device_event_connected"]),
    ("as-rs-event-topic", "RSRouterAgentReported", &["router_event_agent"]),
    ("as-provision-command-topic", "PostDevice", &["device_event_new_device"]),
    ("as-wsp-request-topic", "WSPRequest", &["device_event_blocked", "device_event_threat"]),
    ("as-notification-topic", "threat_blocked", &["device_event_threat"]),
    ("as-notification-topic", "device_event_new_device", &["device_event_new_device"]),
];

/// What lies in the topics of dead letters.
#[derive(Debug, Default, PartialEq)]
pub(super) struct DeadLetters {
    /// How many, by topic; topics without any are left out.
    pub(super) by_topic: BTreeMap<String, usize>,
    /// Those that the town has made bad, by how.
    pub(super) by_cause: BTreeMap<String, usize>,
    /// All others.
    pub(super) without_cause: usize,
    /// The first few of the others.
    pub(super) examples: Vec<String>,
}

/// Everything that was set aside. A letter has a cause where it is one of the bad events of this town.
pub(super) async fn dead_letters(kafka: &str, town: &Value) -> Result<DeadLetters> {
    let mut all = DeadLetters::default();
    for (topic, _) in topics::dead_letters() {
        for record in read(kafka, &topic).await? {
            all.add(&topic, &record, town);
        }
    }
    Ok(all)
}

impl DeadLetters {
    fn add(&mut self, topic: &str, record: &Record, town: &Value) {
        *self.by_topic.entry(topic.to_owned()).or_default() += 1;
        if let Some(cause) = cause(record, town) {
            *self.by_cause.entry(cause).or_default() += 1;
            return;
        }
        self.without_cause += 1;
        if self.examples.len() < EXAMPLES {
            let error = record.headers.get("dlq_error").map_or("", String::as_str);
            let payload = String::from_utf8_lossy(&record.payload);
            self.examples.push(format!("{topic}: {error}: {payload}"));
        }
    }
}

/// How the town has made an event bad, as its id says.
fn cause(record: &Record, town: &Value) -> Option<String> {
    let event = record.json().ok()?;
    let of_town = event["event_id"].as_str()?.strip_prefix(town["name"].as_str()?)?;
    let (_, kind) = of_town.strip_prefix('-')?.split_once('-')?;
    town["bad"].get(kind).map(|_| kind.to_owned())
}

/// How many messages of each type there are to be, and are: repetitions of one message count once.
pub(super) async fn effects(kafka: &str, town: &Value) -> Result<Value> {
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let topics: BTreeSet<&str> = CAUSED.iter().map(|it| it.0).collect();
    for topic in topics {
        for record in read(kafka, topic).await? {
            let header = |name: &str| record.headers.get(name).cloned().unwrap_or_default();
            ids.entry(header("ce_type")).or_default().insert(header("ce_id"));
        }
    }
    let sent = |event_type: &&str| town["good"][*event_type].as_u64().unwrap_or_default();
    let all = CAUSED.iter().map(|(_, caused, causes)| {
        let wanted: u64 = causes.iter().map(sent).sum();
        let found = ids.get(*caused).map_or(0, BTreeSet::len);
        ((*caused).to_owned(), json!({"wanted": wanted, "found": found}))
    });
    Ok(all.collect::<Map<_, _>>().into())
}

/// Devices of which the last thing said is not whether they send.
pub(super) async fn states_wrong(kafka: &str, active: &Value) -> Result<usize> {
    Ok(differing(&read(kafka, PATCHES).await?, active))
}

fn differing(records: &[Record], active: &Value) -> usize {
    // Those of one device lie in one partition, in their order.
    let mut said = BTreeMap::new();
    for record in records {
        let is_patch = record.headers.get("ce_type").is_some_and(|it| it == "PatchDevice");
        let Some(patch) = record.json().ok().filter(|_| is_patch) else { continue };
        let status = &patch["patch"]["product_data"]["RouterSecure"]["status"]["active"];
        said.insert(record.key.clone().unwrap_or_default(), status.clone());
    }
    let wanted = active.as_object().into_iter().flatten();
    wanted.filter(|(id, active)| said.get(*id) != Some(*active)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&str>, headers: &[(&str, &str)], payload: &str) -> Record {
        let headers = headers.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned()));
        Record {
            partition: 0,
            offset: 0,
            key: key.map(str::to_owned),
            headers: headers.collect(),
            payload: payload.as_bytes().to_vec(),
        }
    }

    #[test]
    fn the_last_patch_of_a_device_says_whether_it_sends() {
        let patch = |id: &str, active: bool| {
            let status = json!({"active": active});
            let patch = json!({"patch": {"product_data": {"RouterSecure": {"status": status}}}});
            record(Some(id), &[("ce_type", "PatchDevice")], &patch.to_string())
        };
        let other = record(Some("d-1"), &[("ce_type", "PostDevice")], "{}");
        let all = [patch("d-1", false), patch("d-2", true), patch("d-1", true), other];
        assert_eq!(differing(&all, &json!({"d-1": true, "d-2": true})), 0);
        assert_eq!(differing(&all, &json!({"d-1": false, "d-2": true, "d-3": true})), 2);
    }

    #[test]
    fn a_letter_has_a_cause_where_the_town_has_made_it_bad() {
        let town = json!({"name": "t-1", "bad": {"future": 3, "wrong_isp": 0}});
        let record = |payload: &str| record(None, &[("dlq_error", "why")], payload);
        let mut all = DeadLetters::default();
        for payload in [
            r#"{"event_id":"t-1-17-future"}"#,
            r#"{"event_id":"t-1-18"}"#,
            r#"{"event_id":"t-2-17-future"}"#,
            r#"{"event_id":"t-1-17-tired"}"#,
            "no JSON",
        ] {
            all.add("hs-event-topic.rsevents.dlq", &record(payload), &town);
        }
        assert_eq!(all.by_cause, BTreeMap::from([("future".to_owned(), 1)]));
        assert_eq!((all.without_cause, all.by_topic["hs-event-topic.rsevents.dlq"]), (4, 5));
        assert_eq!(all.examples[3], "hs-event-topic.rsevents.dlq: why: no JSON");
    }
}
