//! The registry of topics as an AsyncAPI 3 document: channels, the messages on them, and who sends and receives which.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use events::topics::{ALL, Client, EventSpec, Topic};
use serde_json::{Map, Value, json};

/// Which side of a message somebody is on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Send,
    Receive,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
        }
    }

    fn who(self, event: &EventSpec) -> &'static [&'static str] {
        match self {
            Self::Send => event.producers,
            Self::Receive => event.consumers,
        }
    }
}

/// `docs/asyncapi.json`.
pub(super) fn document() -> Result<String> {
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "RouterSecure",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the services say to each other over Kafka. Generated from \
                            crates/events/src/topics.rs by `cargo xtask generate`; change it there. \
                            Records with the same key keep their order; the consumer group of a \
                            service has its name.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            server(Client::Default): {
                "host": "kafka:9092", "protocol": "kafka",
                "description": "The fleet's own broker. Records are CloudEvents 1.0 in binary mode.",
            },
            server(Client::External): {
                "host": "hs-be:9092", "protocol": "kafka",
                "description": "The broker of the HomeSecure backend. Records are bare JSON with a \
                                member `event_type`.",
            },
        },
        "channels": channels(),
        "operations": operations(),
        "components": {"messageTraits": {"cloudEvent": cloud_event()}},
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn server(client: Client) -> &'static str {
    match client {
        Client::Default => "fleet",
        Client::External => "backend",
    }
}

fn channels() -> Map<String, Value> {
    ALL.iter().map(|it| (it.name.to_owned(), channel(it))).collect()
}

fn channel(topic: &Topic) -> Value {
    let retention_ms = u64::from(topic.retention_hours) * 60 * 60 * 1_000;
    let messages: Map<String, Value> =
        topic.events.iter().map(|it| (it.name.to_owned(), message(topic, it))).collect();
    json!({
        "address": topic.name,
        "servers": [{"$ref": format!("#/servers/{}", server(topic.client))}],
        "messages": messages,
        "bindings": {"kafka": {
            "topic": topic.name,
            "partitions": topic.partitions,
            "topicConfiguration": {
                "cleanup.policy": [topic.cleanup.policy()], "retention.ms": retention_ms,
            },
            "bindingVersion": "0.5.0",
        }},
    })
}

fn message(topic: &Topic, event: &EventSpec) -> Value {
    let key = json!({"type": "string", "description": topic.key});
    let mut message = json!({
        "name": event.name,
        "payload": payload(topic, event),
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
    });
    if topic.client == Client::Default {
        message["traits"] = json!([{"$ref": "#/components/messageTraits/cloudEvent"}]);
    }
    message
}

/// The envelope says which event it is, or the payload does.
fn payload(topic: &Topic, event: &EventSpec) -> Value {
    match topic.client {
        Client::Default => json!({"type": "object"}),
        Client::External => json!({
            "type": "object", "required": ["event_type"],
            "properties": {"event_type": {"const": event.name}},
        }),
    }
}

/// One for each service, topic and side.
fn operations() -> BTreeMap<String, Value> {
    let mut operations = BTreeMap::new();
    for topic in ALL {
        for action in [Action::Send, Action::Receive] {
            let services: BTreeSet<&str> =
                topic.events.iter().flat_map(|it| action.who(it)).copied().collect();
            for service in services {
                let events = topic.events.iter().filter(|it| action.who(it).contains(&service));
                let message = |it: &EventSpec| json!({"$ref": format!("#/channels/{}/messages/{}", topic.name, it.name)});
                let operation = json!({
                    "action": action.as_str(),
                    "title": format!("{service} {}s on {}", action.as_str(), topic.name),
                    "channel": {"$ref": format!("#/channels/{}", topic.name)},
                    "messages": events.map(message).collect::<Vec<_>>(),
                    "tags": [{"name": service}],
                });
                let name = format!("{service}.{}.{}", action.as_str(), topic.name);
                operations.insert(name, operation);
            }
        }
    }
    operations
}

fn cloud_event() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "headers": {
            "type": "object",
            "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"],
            "properties": {
                "ce_specversion": {"const": "1.0"},
                "ce_id": text("The same for every repetition of the message."),
                "ce_type": text("The name of the message."),
                "ce_source": text("Who says it, such as /rsclient."),
                "ce_time": text("When, RFC 3339."),
                "ce_subject": text("The entity that it is about."),
                "ce_tenant": text("The ISP; it must be that of the payload."),
                "ce_requestid": text("Answered with this id; without it there is no answer."),
                "ce_jobid": text("The job that it belongs to."),
                "ce_lane": {"enum": ["sync"], "description": "Live records go first."},
                "ce_expiresat": text("It is not carried out after this, RFC 3339."),
                "ce_force": {"enum": ["true"], "description": "Also where nothing would change."},
                "traceparent": text("W3C Trace Context."),
                "tracestate": text("W3C Trace Context."),
                "baggage": text("W3C Baggage."),
            },
        },
        "contentType": "application/json",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = include_str!("../../tests/asyncapi-3.0.0.schema.json");

    fn generated() -> Value {
        serde_json::from_str(&document().unwrap()).unwrap()
    }

    /// Every reference within a value.
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        if let Some(reference) = value["$ref"].as_str() {
            found.push(reference);
        }
        let members = value.as_object().into_iter().flat_map(Map::values);
        members.chain(value.as_array().into_iter().flatten()).for_each(|it| references(it, found));
    }

    #[test]
    fn the_document_is_what_the_schema_of_asyncapi_wants() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let document = generated();
        let wrong: Vec<String> = validator
            .iter_errors(&document)
            .map(|it| format!("{}: {it}", it.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let mut broken = document;
        broken["channels"]["as-provision-topic"]["messages"] = json!([]);
        assert!(!validator.is_valid(&broken), "the schema refuses something");
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_event_is_sent_and_received() {
        let document = generated();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        for topic in ALL {
            for event in topic.events {
                let message = format!("#/channels/{}/messages/{}", topic.name, event.name);
                let sides = found.iter().filter(|it| **it == message).count();
                let expected = event.producers.len() + event.consumers.len();
                assert_eq!(sides, expected, "{message}");
            }
        }
    }
}
