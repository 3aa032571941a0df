//! The Kafka admin interface, for backends that are configured for it: configurations and documents of ISPs are
//! published, deletions are records without a value. What the interface does not know goes by REST.
//!
//! A value is `{"event_type", "timestamp", "id", "revision", "configuration"}`, where `id` is the record's key and
//! `configuration` is what a PUT would carry. A deletion has its revision in a header.

use std::time::Duration;

use bytes::Bytes;
use eventbus::{Attributes, EventBusMessage, EventBusProducer, PublishError, TraceContext};
use events::Revision;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::{Answer, Call, REVISION_HEADER, Resource, SystemDocument, client::count, rest::Rest};

/// Where configurations of devices and routers go.
pub const ACCOUNT_TOPIC: &str = "hs-account-topic";
/// Where documents of ISPs go.
pub const SYSTEM_TOPIC: &str = "hs-system-topic";
/// What stands for a status of HTTP: the broker has it.
const ACCEPTED: u16 = 202;

/// Publishes.
#[derive(Clone)]
pub(crate) struct KafkaRequester {
    producer: EventBusProducer,
    rest: Rest,
    limit: Duration,
}

/// Under which name and where the interface knows a resource.
struct Address {
    topic: &'static str,
    event_type: &'static str,
    id: String,
}

impl KafkaRequester {
    pub(crate) fn new(producer: EventBusProducer, rest: Rest, limit: Duration) -> Self {
        Self { producer, rest, limit }
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    pub(crate) async fn write(
        &self,
        call: Call,
        resource: &Resource,
        body: Option<Bytes>,
        revision: Revision,
    ) -> Answer {
        let Some(address) = Address::of(resource) else {
            return self.rest.write(call, resource, body, revision).await;
        };
        let published = timeout(self.limit, self.publish(&address, body, revision)).await;
        let (word, answer) = match published {
            Ok(Ok(())) => ("published", Answer::Done { http_status: ACCEPTED }),
            Ok(Err(error @ PublishError::TooLarge(_))) => {
                ("too_large", Answer::Wrong { http_status: 413, detail: error.to_string() })
            }
            Ok(Err(error)) => ("broken", trouble(format!("{:#}", anyhow::Error::new(error)))),
            Err(_) => ("timeout", trouble("the broker did not answer in time".to_owned())),
        };
        count(call, resource.kind(), word);
        answer
    }

    async fn publish(
        &self,
        address: &Address,
        body: Option<Bytes>,
        revision: Revision,
    ) -> Result<(), PublishError> {
        let Address { topic, event_type, id } = address;
        let Some(configuration) = body else {
            let headers = vec![(REVISION_HEADER.to_owned(), revision.to_string().into_bytes())];
            return self.producer.publish_deletion(topic, id, &headers).await.map(drop);
        };
        let mut payload = format!("{{\"id\":\"{id}\",\"revision\":{revision},\"configuration\":");
        payload.push_str(&String::from_utf8_lossy(&configuration));
        payload.push('}');
        let message = EventBusMessage {
            event_type: (*event_type).into(),
            topic: (*topic).into(),
            payload: payload.into_bytes(),
            trace_id: TraceContext::current(),
            key: Some(id.as_str().into()),
            timestamp: Timestamp::now(),
            attributes: Attributes::default(),
        };
        self.producer.publish(&message).await.map(drop)
    }
}

impl std::fmt::Debug for KafkaRequester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaRequester").field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl Address {
    /// Nothing where the interface does not know such a resource.
    fn of(resource: &Resource) -> Option<Self> {
        let (topic, event_type, id) = match resource {
            Resource::Device(id) => (ACCOUNT_TOPIC, "device_configuration", id.to_string()),
            Resource::Router(id) => (ACCOUNT_TOPIC, "router_configuration", id.to_string()),
            Resource::System(isp_id, document) => {
                let id = format!("{isp_id}/{}", document.as_str());
                (SYSTEM_TOPIC, document.event_type(), id)
            }
            Resource::FeatureFlags(_) | Resource::AgentPackage(_) => return None,
        };
        Some(Self { topic, event_type, id })
    }
}

impl SystemDocument {
    /// The name of its event on the Kafka admin interface.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::RouterDns => "system_router_dns",
            Self::RouterAllowedIp => "system_router_allowed_ip",
            Self::General => "system_general",
            Self::AgentVersions => "system_agent_versions",
            Self::AgentDefault => "system_agent_default",
        }
    }
}

fn trouble(detail: String) -> Answer {
    Answer::Trouble { http_status: None, retry_after: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_knows_every_event_under_its_topic() {
        let isp = || "isp-1".parse().unwrap();
        let mut resources: Vec<Resource> =
            SystemDocument::ALL.into_iter().map(|it| Resource::System(isp(), it)).collect();
        resources.push(Resource::Device("d-1".parse().unwrap()));
        resources.push(Resource::Router("r-1".parse().unwrap()));
        for it in &resources {
            let Address { topic, event_type, .. } = Address::of(it).unwrap();
            let topic = events::topics::Topic::find(topic).unwrap();
            assert!(topic.event(event_type).is_some(), "{event_type}");
        }
        assert!(Address::of(&Resource::FeatureFlags("r-1".parse().unwrap())).is_none());
        assert!(Address::of(&Resource::AgentPackage("p-1".parse().unwrap())).is_none());
    }
}
