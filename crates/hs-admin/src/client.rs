//! The handle that services hold.

use anyhow::Context as _;
use bytes::Bytes;
use events::Revision;
use serde::{Deserialize, Serialize};

use crate::{Answer, Call, Mode, Resource, ResourceKind, Settings, rest::Rest};

/// The backend's administration. Cheap to clone; clones share the connections.
#[derive(Clone, Debug)]
pub struct HsAdmin(Requester);

#[derive(Clone, Debug)]
enum Requester {
    Rest(Rest),
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
            Mode::Log => Ok(Self(Requester::Logger(LoggerRequester))),
        }
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

    /// Asks the backend how it feels.
    ///
    /// # Errors
    /// The answer when it is not a healthy one; [`Answer::NotSent`] in a dry run.
    pub async fn status(&self) -> Result<Status, Answer> {
        match &self.0 {
            Requester::Rest(rest) => rest.status().await,
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
