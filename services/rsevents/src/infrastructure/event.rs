//! Reading events of HS-BE, of which there are very many: in one pass, where they are as everybody writes them.
//!
//! What this reader does not understand is left to that of the registry, which has the last word.

use std::{borrow::Cow, str::FromStr};

use events::{
    Activity, AgentInstallation, Blocked, Connected, DecodeError, Discovered, HomeEvent, HsEvent,
    Threat, TopicEvent as _,
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, value::BorrowedStrDeserializer},
};

/// The members of all events.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    event_id: Cow<'a, str>,
    isp_id: Cow<'a, str>,
    device_id: Cow<'a, str>,
    account_id: Option<Cow<'a, str>>,
    router_id: Option<Cow<'a, str>>,
    mac: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    device_type: Option<Cow<'a, str>>,
    active: Option<bool>,
    domain: Option<Cow<'a, str>>,
    category: Option<Cow<'a, str>>,
    threat: Option<Cow<'a, str>>,
    agent_package_id: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    error: Option<Cow<'a, str>>,
}

/// Reads the payload of an event.
///
/// # Errors
/// It is none of the topic, or not of its form.
pub(crate) fn read(event_type: &str, payload: &[u8]) -> Result<HsEvent, DecodeError> {
    match quickly(event_type, payload) {
        Some(event) => Ok(event),
        None => HsEvent::decode(event_type, payload),
    }
}

/// Nothing where there is anything unusual about it.
fn quickly(event_type: &str, payload: &[u8]) -> Option<HsEvent> {
    // A list of members would be taken for an object.
    if payload.first() != Some(&b'{') {
        return None;
    }
    let said: Said<'_> = serde_json::from_slice(payload).ok()?;
    match event_type {
        "device_event_connected" => {
            let detail = Connected {
                router_id: text(said.router_id.as_ref()?)?,
                mac: text(said.mac.as_ref()?)?,
            };
            Some(HsEvent::Connected(said.with(detail)?))
        }
        "device_event_new_device" => {
            let detail = Discovered {
                mac: text(said.mac.as_ref()?)?,
                name: optional(said.name.as_deref(), text)?,
                device_type: optional(said.device_type.as_deref(), word)?,
            };
            Some(HsEvent::NewDevice(said.with(detail)?))
        }
        "device_event_active" => {
            let detail = Activity { active: said.active? };
            Some(HsEvent::Active(said.with(detail)?))
        }
        "device_event_blocked" => {
            let detail = Blocked {
                domain: text(said.domain.as_ref()?)?,
                category: word(said.category.as_ref()?)?,
            };
            Some(HsEvent::Blocked(said.with(detail)?))
        }
        "device_event_threat" => {
            let detail = Threat {
                domain: text(said.domain.as_ref()?)?,
                threat: text(said.threat.as_ref()?)?,
            };
            Some(HsEvent::Threat(said.with(detail)?))
        }
        "router_event_agent" => {
            let detail = AgentInstallation {
                agent_package_id: text(said.agent_package_id.as_ref()?)?,
                status: word(said.status.as_ref()?)?,
                error: optional(said.error.as_deref(), text)?,
            };
            Some(HsEvent::Agent(said.with(detail)?))
        }
        _ => None,
    }
}

impl Said<'_> {
    fn with<D>(self, detail: D) -> Option<HomeEvent<D>> {
        Some(HomeEvent {
            timestamp: text(&self.timestamp)?,
            event_id: text(&self.event_id)?,
            isp_id: text(&self.isp_id)?,
            device_id: text(&self.device_id)?,
            account_id: optional(self.account_id.as_deref(), text)?,
            detail,
        })
    }
}

/// A value with a form of its own.
fn text<T: FromStr>(said: &str) -> Option<T> {
    said.parse().ok()
}

/// One of a few words.
fn word<T: DeserializeOwned>(said: &str) -> Option<T> {
    T::deserialize(BorrowedStrDeserializer::<serde_json::Error>::new(said)).ok()
}

/// Nothing said is something else than something that cannot be read.
fn optional<T>(said: Option<&str>, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match said {
        None => Some(None),
        Some(said) => read(said).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(members: Value) -> (String, Value) {
        let mut event = json!({
            "timestamp": "2026-03-01T10:00:00Z", "event_id": "e-1", "isp_id": "isp-1",
            "device_id": "d-1", "account_id": "a-1",
        });
        for (name, member) in members.as_object().unwrap() {
            event[name] = member.clone();
        }
        (event["event_type"].as_str().unwrap().to_owned(), event)
    }

    fn all() -> Vec<(String, Value)> {
        vec![
            event(json!({"event_type": "device_event_connected", "router_id": "r-1",
                "mac": "3c:22:fb:01:02:03"})),
            event(json!({"event_type": "device_event_new_device", "mac": "3c:22:fb:01:02:03",
                "name": "Mia's \"phone\"", "device_type": "phone"})),
            event(json!({"event_type": "device_event_new_device", "mac": "3c:22:fb:01:02:03"})),
            event(json!({"event_type": "device_event_active", "active": true})),
            event(json!({"event_type": "device_event_blocked", "domain": "bad.example",
                "category": "gambling"})),
            event(json!({"event_type": "device_event_threat", "domain": "bad.example",
                "threat": "phishing"})),
            event(json!({"event_type": "router_event_agent", "agent_package_id": "p-1",
                "status": "failed", "error": "no space"})),
        ]
    }

    #[test]
    fn every_event_is_read_quickly_and_as_the_registry_reads_it() {
        for (event_type, event) in all() {
            let payload = serde_json::to_vec(&event).unwrap();
            let quickly = quickly(&event_type, &payload).expect("an event as everybody writes it");
            assert_eq!(quickly, HsEvent::decode(&event_type, &payload).unwrap());
        }
    }

    /// Each member of each event in turn is replaced by each of these, or left out.
    #[test]
    fn what_is_read_quickly_is_never_what_the_registry_refuses() {
        let odd = [
            json!(null),
            json!(7),
            json!(true),
            json!(""),
            json!("a b"),
            json!("..."),
            json!(["d-1"]),
            json!({"phone": null}),
            json!({"d-1": null}),
            json!("phone"),
            json!("2026-03-01T10:00:00Z"),
        ];
        let mut read_both = 0;
        for (event_type, event) in all() {
            let names: Vec<String> = event.as_object().unwrap().keys().cloned().collect();
            for name in &names {
                let mut changed: Vec<Value> = Vec::new();
                for it in &odd {
                    let mut one = event.clone();
                    one[name] = it.clone();
                    changed.push(one);
                }
                let mut without = event.clone();
                without.as_object_mut().unwrap().remove(name);
                changed.push(without);
                for one in changed {
                    let payload = serde_json::to_vec(&one).unwrap();
                    let Some(quickly) = quickly(&event_type, &payload) else { continue };
                    let slowly = HsEvent::decode(&event_type, &payload);
                    assert_eq!(slowly.ok(), Some(quickly), "{one}");
                    read_both += 1;
                }
            }
        }
        assert!(read_both > 50, "{read_both}");
    }

    #[test]
    fn a_list_of_the_members_is_no_event() {
        let list = br#"["2026-03-01T10:00:00Z","e-1","isp-1","d-1",null,null,null,null,null,true,
            null,null,null,null,null,null]"#;
        assert!(read("device_event_active", list).is_err());
        assert!(read("device_event_other", b"{}").is_err());
    }

    #[test]
    fn members_that_nobody_knows_are_left_alone() {
        let (event_type, mut event) = all().swap_remove(3);
        event["later"] = json!({"more": [1, 2]});
        assert!(quickly(&event_type, &serde_json::to_vec(&event).unwrap()).is_some());
    }
}
