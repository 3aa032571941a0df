//! The Kafka admin interface: configurations and documents of ISPs as records, deletions as records without a value.
//!
//! It answers nobody. What is refused is counted and remembered as over HTTP.

use anyhow::Context as _;
use chassis::CancellationToken;
use events::Revision;
use hs_admin::{ACCOUNT_TOPIC, REVISION_HEADER, Resource, SYSTEM_TOPIC, SystemDocument};
use rdkafka::{
    ClientConfig, Message,
    consumer::{Consumer as _, StreamConsumer},
    message::{BorrowedMessage, Headers as _},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::rest::form;
use crate::{
    App,
    domain::{Change, Refusal, Write},
    settings::KafkaSettings,
};

/// The method under which its writes are counted and remembered.
const METHOD: &str = "KAFKA";

/// Takes records until `stop`.
///
/// # Errors
/// The settings do not make a client.
pub(crate) async fn consume(
    app: &App,
    settings: &KafkaSettings,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &settings.bootstrap_servers)
        .set("group.id", &settings.group)
        .set("client.id", "hsbe-sim")
        // It holds nothing at the start, and is to hold what was ever said.
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .create()
        .context("a client cannot be made")?;
    consumer.subscribe(&[ACCOUNT_TOPIC, SYSTEM_TOPIC]).context("topics cannot be subscribed to")?;
    while let Some(received) = stop.run_until_cancelled(consumer.recv()).await {
        match received {
            Ok(record) => take(app, &record),
            Err(error) => tracing::warn!(%error, "the broker reports an error"),
        }
    }
    Ok(())
}

/// A record's value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    event_type: String,
    #[serde(rename = "timestamp")]
    _timestamp: events::Timestamp,
    id: String,
    revision: Revision,
    configuration: Box<RawValue>,
}

fn take(app: &App, record: &BorrowedMessage<'_>) {
    let key = record.key().and_then(|it| str::from_utf8(it).ok()).unwrap_or_default();
    let taken = match record.payload() {
        Some(value) => put(app, key, value),
        None => delete(app, record.topic(), key, revision(record)),
    };
    if let Err(refusal) = taken {
        app.backend().count_rejected(&refusal, METHOD);
        tracing::warn!(topic = record.topic(), key, ?refusal, "a record is refused");
    }
}

/// Does what a record says. What is refused once it is known what it is about is remembered there.
fn put(app: &App, key: &str, value: &[u8]) -> Result<(), Refusal> {
    let said: Said =
        serde_json::from_slice(value).map_err(|it| Refusal::malformed(it.to_string()))?;
    if said.id != key {
        return Err(Refusal::malformed("the id is not the record's key"));
    }
    let resource = resource(&said.event_type, key)?;
    let write = write(Some(said.revision));
    let body = said.configuration.get().as_bytes();
    let mut backend = app.backend();
    match form::check(&resource, body) {
        // The backend has counted and remembered what it refuses.
        Ok(checked) => drop(backend.write(write, &resource, Change::Put(checked))),
        Err(refusal) => backend.reject(write, &resource, &refusal, form::read(body)),
    }
    Ok(())
}

/// A deletion says no more than a key: of a device and a router of one id, whichever is there goes.
fn delete(app: &App, topic: &str, key: &str, revision: Option<Revision>) -> Result<(), Refusal> {
    let all: Vec<Resource> = match topic {
        ACCOUNT_TOPIC => ["device_configuration", "router_configuration"]
            .into_iter()
            .map(|it| resource(it, key))
            .collect::<Result<_, _>>()?,
        _ => vec![form::resource(&format!("/system/{key}"))?],
    };
    let mut backend = app.backend();
    for resource in all.iter().filter(|it| backend.holds(it)).cloned().collect::<Vec<_>>() {
        drop(backend.write(write(revision), &resource, Change::Delete));
    }
    Ok(())
}

fn resource(event_type: &str, id: &str) -> Result<Resource, Refusal> {
    let path = match event_type {
        "device_configuration" => format!("/devices/{id}"),
        "router_configuration" => format!("/routers/{id}"),
        _ => {
            let path = format!("/system/{id}");
            let document = SystemDocument::ALL.into_iter().find(|it| it.event_type() == event_type);
            let fits = document.is_some_and(|it| path.ends_with(&format!("/{}", it.as_str())));
            if !fits {
                return Err(Refusal::malformed("the event type does not go with the key"));
            }
            path
        }
    };
    form::resource(&path)
}

fn revision(record: &BorrowedMessage<'_>) -> Option<Revision> {
    let headers = record.headers()?;
    let value = headers.iter().find(|it| it.key == REVISION_HEADER)?.value?;
    str::from_utf8(value).ok()?.parse::<u64>().ok()?.try_into().ok()
}

fn write(revision: Option<Revision>) -> Write {
    Write { time: jiff::Timestamp::now().to_string(), method: METHOD, revision }
}
