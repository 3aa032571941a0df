//! The handle that services hold.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use eventbus::EventBusProducer;
use events::Revision;
use serde::{Deserialize, Serialize};

use crate::{
    Answer, BatchAnswer, BatchEntry, Call, Mode, Resource, ResourceKind, Settings,
    kafka::KafkaRequester, rest::Rest,
};

/// The backend's administration. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct HsAdmin(Requester);

#[derive(Clone, Debug)]
enum Requester {
    Rest(Rest),
    Kafka(KafkaRequester),
    Logger(LoggerRequester),
}

/// What the backend says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `ok` when it is well.
    pub status: String,
    /// Its version.
    pub version: String,
}

impl HsAdmin {
    /// Makes the client. Connections are made when the first call needs them.
    ///
    /// # Errors
    /// Unreadable or unfitting certificates, and TLS files that do not go with the base URL.
    pub fn connect(settings: &Settings) -> anyhow::Result<Self> {
        match settings.mode {
            Mode::Rest => {
                let rest = Rest::connect(settings).context("HS Admin client")?;
                Ok(Self(Requester::Rest(rest)))
            }
            Mode::Kafka => bail!("the Kafka admin interface needs a producer"),
            Mode::Log => Ok(Self(Requester::Logger(LoggerRequester))),
        }
    }

    /// Makes the client of a backend that is configured for its Kafka admin interface. `producer` is one of the
    /// backend's own broker.
    ///
    /// # Errors
    /// As for [`Self::connect`].
    pub fn over_kafka(settings: &Settings, producer: EventBusProducer) -> anyhow::Result<Self> {
        let rest = Rest::connect(settings).context("HS Admin client")?;
        let limit = Duration::from_secs(settings.timeout_seconds);
        Ok(Self(Requester::Kafka(KafkaRequester::new(producer, rest, limit))))
    }

    /// Creates or replaces a resource. `body` is the model that goes with it.
    pub async fn put(
        &self,
        resource: &Resource,
        body: &impl Serialize,
        revision: Revision,
    ) -> Answer {
        let body = serde_json::to_vec(body).expect("models have string keys only");
        self.put_json(resource, body.into(), revision).await
    }

    /// The same with the model written already.
    pub async fn put_json(&self, resource: &Resource, body: Bytes, revision: Revision) -> Answer {
        self.write(Call::Put, resource, Some(body), revision).await
    }

    /// Deletes a resource. One that is not there is done.
    pub async fn delete(&self, resource: &Resource, revision: Revision) -> Answer {
        self.write(Call::Delete, resource, None, revision).await
    }

    /// Creates or replaces devices other than routers in one call, at most
    /// [`BATCH_ITEMS_MAX`](crate::BATCH_ITEMS_MAX).
    pub async fn post_devices(&self, entries: &[BatchEntry]) -> BatchAnswer {
        match &self.0 {
            Requester::Rest(rest) => rest.post_devices(entries).await,
            Requester::Kafka(kafka) => kafka.rest().post_devices(entries).await,
            Requester::Logger(_) => BatchAnswer::Whole(Answer::NotSent),
        }
    }

    /// Asks the backend how it feels.
    ///
    /// # Errors
    /// The answer when it is not a healthy one; [`Answer::NotSent`] in a dry run.
    pub async fn status(&self) -> Result<Status, Answer> {
        match &self.0 {
            Requester::Rest(rest) => rest.status().await,
            Requester::Kafka(kafka) => kafka.rest().status().await,
            Requester::Logger(_) => Err(Answer::NotSent),
        }
    }

    async fn write(
        &self,
        call: Call,
        resource: &Resource,
        body: Option<Bytes>,
        revision: Revision,
    ) -> Answer {
        match &self.0 {
            Requester::Rest(rest) => rest.write(call, resource, body, revision).await,
            Requester::Kafka(kafka) => kafka.write(call, resource, body, revision).await,
            Requester::Logger(logger) => logger.write(call, resource, revision),
        }
    }
}

/// Says what it would send.
#[derive(Clone, Copy, Debug)]
struct LoggerRequester;

impl LoggerRequester {
    fn write(self, call: Call, resource: &Resource, revision: Revision) -> Answer {
        tracing::info!(
            method = call.as_str(),
            path = resource.path(),
            revision = revision.get(),
            "dry run, request not sent"
        );
        count(call, resource.kind(), "not_sent");
        Answer::NotSent
    }
}

/// Counts a call by how it ended: an HTTP status, or a word where none came.
pub(crate) fn count(call: Call, resource: ResourceKind, status: impl Into<metrics::SharedString>) {
    counter(call, resource, status).increment(1);
}

/// Where calls that ended in one way are counted.
pub(crate) fn counter(
    call: Call,
    resource: ResourceKind,
    status: impl Into<metrics::SharedString>,
) -> metrics::Counter {
    metrics::counter!(
        "http_client_requests_total",
        "method" => call.as_str(),
        "resource" => resource.as_str(),
        "status" => status.into()
    )
}
