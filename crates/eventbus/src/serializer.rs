//! How a message looks on the wire: CloudEvents within the fleet, bare JSON towards HS-BE.

use std::panic::{AssertUnwindSafe, catch_unwind};

use events::{IspId, RECORD_BYTES_MAX};
use jiff::Timestamp;
use rdkafka::message::{Header, Headers as _, Message, OwnedHeaders, OwnedMessage};
use serde_json::{Map, Value};

use crate::{Attributes, EventBusMessage, Lane, TraceContext};

/// Headers of a record, by name.
pub type Headers = Vec<(String, Vec<u8>)>;

/// How a message looks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serializer {
    /// CloudEvents 1.0 in Kafka's binary content mode.
    Default,
    /// A bare JSON object with a member `event_type`, as HS-BE speaks.
    External,
}

/// Why a record is no message.
#[derive(Debug, thiserror::Error)]
pub enum DeserializeError {
    /// The value is larger than any event may be.
    #[error("the record has {0} bytes, more than {RECORD_BYTES_MAX}")]
    TooLarge(usize),
    /// The record has no value.
    #[error("the record has no value")]
    Empty,
    /// A header is missing or of a wrong form.
    #[error("header `{name}` {problem}")]
    Header {
        /// Which header.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The value is no JSON object of the expected form.
    #[error("the value is no event: {0}")]
    Value(String),
    /// A header has a name that is no text.
    #[error("a header's name is not UTF-8")]
    HeaderName,
    /// The key is no text.
    #[error("the key is not UTF-8")]
    Key,
}

impl Serializer {
    /// The record's headers and value.
    pub fn serialize(self, message: &EventBusMessage) -> (Headers, Vec<u8>) {
        match self {
            Self::Default => (cloud_event_headers(message), message.payload.clone()),
            Self::External => (trace_headers(message), bare_json(message)),
        }
    }

    /// The message that a record carries.
    ///
    /// # Errors
    /// The record is not of the serializer's form.
    pub fn deserialize(self, record: &OwnedMessage) -> Result<EventBusMessage, DeserializeError> {
        let value = record.payload().ok_or(DeserializeError::Empty)?;
        if value.len() > RECORD_BYTES_MAX {
            return Err(DeserializeError::TooLarge(value.len()));
        }
        match self {
            Self::Default => read_cloud_event(record, value),
            Self::External => read_bare_json(record, value),
        }
    }
}

fn cloud_event_headers(message: &EventBusMessage) -> Headers {
    let it = &message.attributes;
    let mut headers = vec![
        text("ce_specversion", "1.0"),
        text("ce_id", &it.id),
        text("ce_type", &message.event_type),
        text("ce_source", &it.source),
        text("ce_time", &message.timestamp.to_string()),
        text("content-type", "application/json"),
    ];
    let optional = [
        ("ce_subject", it.subject.as_deref()),
        ("ce_tenant", it.tenant.as_ref().map(IspId::as_str)),
        ("ce_requestid", it.request_id.as_ref().map(|it| it.as_str())),
        ("ce_jobid", it.job_id.as_ref().map(|it| it.as_str())),
        ("ce_lane", (it.lane == Lane::Sync).then_some("sync")),
        ("ce_force", it.force.then_some("true")),
    ];
    headers.extend(optional.into_iter().filter_map(|(name, it)| Some(text(name, it?))));
    headers.extend(it.expires_at.map(|it| text("ce_expiresat", &it.to_string())));
    headers.extend(trace_headers(message));
    headers
}

fn trace_headers(message: &EventBusMessage) -> Headers {
    message.trace_id.0.iter().map(|(name, value)| text(name, value)).collect()
}

fn text(name: &str, value: &str) -> (String, Vec<u8>) {
    (name.to_owned(), value.as_bytes().to_vec())
}

fn read_cloud_event(
    record: &OwnedMessage,
    value: &[u8],
) -> Result<EventBusMessage, DeserializeError> {
    let headers = HeaderTexts::of(record)?;
    let version = headers.required("ce_specversion")?;
    if version != "1.0" {
        return Err(wrong("ce_specversion", format!("is `{version}`, not `1.0`")));
    }
    if let Some(it) = headers.get("content-type")?.filter(|it| !is_json(it)) {
        return Err(wrong("content-type", format!("is `{it}`, not application/json")));
    }
    let lane = match headers.get("ce_lane")? {
        None | Some("live") => Lane::Live,
        Some("sync") => Lane::Sync,
        Some(it) => return Err(wrong("ce_lane", format!("is `{it}`, neither live nor sync"))),
    };
    let force = match headers.get("ce_force")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(it) => return Err(wrong("ce_force", format!("is `{it}`, neither true nor false"))),
    };
    Ok(EventBusMessage {
        event_type: headers.required("ce_type")?.to_owned(),
        topic: record.topic().to_owned(),
        payload: value.to_vec(),
        trace_id: headers.trace(),
        key: key(record)?,
        timestamp: headers.parsed("ce_time")?.unwrap_or_else(|| record_time(record)),
        attributes: Attributes {
            id: headers.required("ce_id")?.to_owned(),
            source: headers.required("ce_source")?.to_owned(),
            subject: headers.get("ce_subject")?.map(str::to_owned),
            tenant: headers.parsed("ce_tenant")?,
            request_id: headers.parsed("ce_requestid")?,
            job_id: headers.parsed("ce_jobid")?,
            lane,
            expires_at: headers.parsed("ce_expiresat")?,
            force,
        },
    })
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn bare_json(message: &EventBusMessage) -> Vec<u8> {
    let mut object: Map<String, Value> =
        serde_json::from_slice(&message.payload).expect("payloads of events are JSON objects");
    object.insert("event_type".to_owned(), message.event_type.clone().into());
    if !object.contains_key("timestamp") {
        object.insert("timestamp".to_owned(), message.timestamp.to_string().into());
    }
    serde_json::to_vec(&object).expect("a JSON object can be written")
}

fn read_bare_json(
    record: &OwnedMessage,
    value: &[u8],
) -> Result<EventBusMessage, DeserializeError> {
    #[derive(serde::Deserialize)]
    struct Bare {
        event_type: String,
        timestamp: Option<events::Timestamp>,
        event_id: Option<events::EventId>,
        isp_id: Option<IspId>,
    }
    let bare: Bare =
        serde_json::from_slice(value).map_err(|err| DeserializeError::Value(err.to_string()))?;
    let origin = format!("{}/{}/{}", record.topic(), record.partition(), record.offset());
    Ok(EventBusMessage {
        event_type: bare.event_type,
        topic: record.topic().to_owned(),
        payload: value.to_vec(),
        trace_id: HeaderTexts::of(record)?.trace(),
        key: key(record)?,
        timestamp: bare.timestamp.map_or_else(|| record_time(record), |it| it.instant()),
        attributes: Attributes {
            id: bare.event_id.map_or(origin, String::from),
            source: "/hs-be".to_owned(),
            subject: None,
            tenant: bare.isp_id,
            ..Attributes::default()
        },
    })
}

fn key(record: &OwnedMessage) -> Result<Option<String>, DeserializeError> {
    let Some(key) = record.key() else { return Ok(None) };
    match std::str::from_utf8(key) {
        Ok(key) => Ok(Some(key.to_owned())),
        Err(_) => Err(DeserializeError::Key),
    }
}

fn record_time(record: &OwnedMessage) -> Timestamp {
    let millis = record.timestamp().to_millis().unwrap_or_default();
    Timestamp::from_millisecond(millis).unwrap_or_default()
}

fn wrong(name: &'static str, problem: String) -> DeserializeError {
    DeserializeError::Header { name, problem }
}

/// The headers of a record, read as text where they are asked for.
struct HeaderTexts<'a>(Vec<Header<'a, &'a [u8]>>);

impl<'a> HeaderTexts<'a> {
    fn of(record: &'a OwnedMessage) -> Result<Self, DeserializeError> {
        all_headers(record).map(Self).ok_or(DeserializeError::HeaderName)
    }

    fn get(&self, name: &'static str) -> Result<Option<&'a str>, DeserializeError> {
        let Some(value) = self.0.iter().find(|it| it.key == name).and_then(|it| it.value) else {
            return Ok(None);
        };
        std::str::from_utf8(value).map(Some).map_err(|_| wrong(name, "is not UTF-8".to_owned()))
    }

    fn required(&self, name: &'static str) -> Result<&'a str, DeserializeError> {
        let value = self.get(name)?.filter(|it| !it.is_empty());
        value.ok_or_else(|| wrong(name, "is missing".to_owned()))
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, DeserializeError>
    where
        T::Err: std::fmt::Display,
    {
        let parse = |it: &str| it.parse().map_err(|err: T::Err| wrong(name, err.to_string()));
        self.get(name)?.map(parse).transpose()
    }

    /// A trace that cannot be read is no reason to refuse a record.
    fn trace(&self) -> TraceContext {
        let read = |name| Some((str::to_owned(name), self.get(name).ok()??.to_owned()));
        TraceContext(TraceContext::HEADERS.into_iter().filter_map(read).collect())
    }
}

/// The headers of a record; nothing where one has a name that is not UTF-8, at which the client library panics.
pub(crate) fn all_headers(record: &OwnedMessage) -> Option<Vec<Header<'_, &[u8]>>> {
    let read = || record.headers().map(|it| it.iter().collect()).unwrap_or_default();
    catch_unwind(AssertUnwindSafe(read)).ok()
}

/// Headers in the form that the client library takes.
pub(crate) fn owned_headers(headers: &Headers) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(empty, |all, (key, value)| all.insert(Header { key, value: Some(value) }))
}
