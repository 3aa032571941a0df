//! How a message looks on the wire: CloudEvents within the fleet, bare JSON towards HS-BE.

use std::borrow::Cow;

use compact_str::{CompactString, ToCompactString as _, format_compact};
use events::{IspId, RECORD_BYTES_MAX};
use jiff::Timestamp;
use rdkafka::message::{Header, OwnedHeaders};
use serde_json::{Map, Value};

use crate::{Attributes, EventBusMessage, Lane, Record, TraceContext};

/// How many headers most records have.
const HEADERS: usize = 10;

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
    pub fn serialize(self, message: &EventBusMessage) -> (OwnedHeaders, Cow<'_, [u8]>) {
        match self {
            Self::Default => (cloud_event_headers(message), Cow::Borrowed(&message.payload)),
            Self::External => (headers_of(trace_headers(message)), Cow::Owned(bare_json(message))),
        }
    }

    /// The message that a record carries.
    ///
    /// # Errors
    /// The record is not of the serializer's form.
    pub fn deserialize(self, record: &Record) -> Result<EventBusMessage, DeserializeError> {
        let value = record.value().ok_or(DeserializeError::Empty)?;
        if value.len() > RECORD_BYTES_MAX {
            return Err(DeserializeError::TooLarge(value.len()));
        }
        match self {
            Self::Default => read_cloud_event(record, value),
            Self::External => read_bare_json(record, value),
        }
    }
}

fn cloud_event_headers(message: &EventBusMessage) -> OwnedHeaders {
    let it = &message.attributes;
    let time = message.timestamp.to_compact_string();
    let expires_at = it.expires_at.map(|it| it.to_compact_string());
    let known = [
        ("ce_specversion", Some("1.0")),
        ("ce_id", Some(it.id.as_str())),
        ("ce_type", Some(&message.event_type)),
        ("ce_source", Some(&it.source)),
        ("ce_time", Some(&time)),
        ("content-type", Some("application/json")),
        ("ce_subject", it.subject.as_deref()),
        ("ce_tenant", it.tenant.as_ref().map(IspId::as_str)),
        ("ce_requestid", it.request_id.as_ref().map(|it| it.as_str())),
        ("ce_jobid", it.job_id.as_ref().map(|it| it.as_str())),
        ("ce_lane", (it.lane == Lane::Sync).then_some("sync")),
        ("ce_force", it.force.then_some("true")),
        ("ce_expiresat", expires_at.as_deref()),
    ];
    let known = known.into_iter().filter_map(|(name, it)| Some((name, it?.as_bytes())));
    headers_of(known.chain(trace_headers(message)))
}

fn trace_headers(message: &EventBusMessage) -> impl Iterator<Item = (&str, &[u8])> {
    message.trace_id.0.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

fn read_cloud_event(record: &Record, value: &[u8]) -> Result<EventBusMessage, DeserializeError> {
    let headers = Known::of(record)?;
    let version = headers.specversion.required("ce_specversion")?;
    if version != "1.0" {
        return Err(wrong("ce_specversion", format!("is `{version}`, not `1.0`")));
    }
    if let Some(it) = headers.content_type.get("content-type")?.filter(|it| !is_json(it)) {
        return Err(wrong("content-type", format!("is `{it}`, not application/json")));
    }
    let lane = match headers.lane.get("ce_lane")? {
        None | Some("live") => Lane::Live,
        Some("sync") => Lane::Sync,
        Some(it) => return Err(wrong("ce_lane", format!("is `{it}`, neither live nor sync"))),
    };
    let force = match headers.force.get("ce_force")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(it) => return Err(wrong("ce_force", format!("is `{it}`, neither true nor false"))),
    };
    Ok(EventBusMessage {
        event_type: headers.event_type.required("ce_type")?.into(),
        topic: record.topic().into(),
        payload: value.to_vec(),
        trace_id: headers.trace(),
        key: key(record)?,
        timestamp: headers.time.parsed("ce_time")?.unwrap_or_else(|| record_time(record)),
        attributes: Attributes {
            id: headers.id.required("ce_id")?.into(),
            source: headers.source.required("ce_source")?.into(),
            subject: headers.subject.get("ce_subject")?.map(Into::into),
            tenant: headers.tenant.parsed("ce_tenant")?,
            request_id: headers.request_id.parsed("ce_requestid")?,
            job_id: headers.job_id.parsed("ce_jobid")?,
            lane,
            expires_at: headers.expires_at.parsed("ce_expiresat")?,
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
    object.insert("event_type".to_owned(), message.event_type.as_str().into());
    if !object.contains_key("timestamp") {
        object.insert("timestamp".to_owned(), message.timestamp.to_string().into());
    }
    serde_json::to_vec(&object).expect("a JSON object can be written")
}

fn read_bare_json(record: &Record, value: &[u8]) -> Result<EventBusMessage, DeserializeError> {
    #[derive(serde::Deserialize)]
    struct Bare {
        event_type: CompactString,
        timestamp: Option<events::Timestamp>,
        event_id: Option<events::EventId>,
        isp_id: Option<IspId>,
    }
    let bare: Bare =
        serde_json::from_slice(value).map_err(|err| DeserializeError::Value(err.to_string()))?;
    let origin =
        || format_compact!("{}/{}/{}", record.topic(), record.partition(), record.offset());
    Ok(EventBusMessage {
        event_type: bare.event_type,
        topic: record.topic().into(),
        payload: value.to_vec(),
        trace_id: Known::of(record)?.trace(),
        key: key(record)?,
        timestamp: bare.timestamp.map_or_else(|| record_time(record), |it| it.instant()),
        attributes: Attributes {
            id: bare.event_id.map_or_else(origin, CompactString::from),
            source: CompactString::const_new("/hs-be"),
            subject: None,
            tenant: bare.isp_id,
            ..Attributes::default()
        },
    })
}

fn key(record: &Record) -> Result<Option<CompactString>, DeserializeError> {
    let Some(key) = record.key() else { return Ok(None) };
    match std::str::from_utf8(key) {
        Ok(key) => Ok(Some(key.into())),
        Err(_) => Err(DeserializeError::Key),
    }
}

fn record_time(record: &Record) -> Timestamp {
    Timestamp::from_millisecond(record.timestamp_ms().unwrap_or_default()).unwrap_or_default()
}

fn wrong(name: &'static str, problem: String) -> DeserializeError {
    DeserializeError::Header { name, problem }
}

/// The headers of a record that mean something.
#[derive(Default)]
struct Known<'a> {
    specversion: Text<'a>,
    id: Text<'a>,
    event_type: Text<'a>,
    source: Text<'a>,
    time: Text<'a>,
    subject: Text<'a>,
    tenant: Text<'a>,
    request_id: Text<'a>,
    job_id: Text<'a>,
    lane: Text<'a>,
    expires_at: Text<'a>,
    force: Text<'a>,
    content_type: Text<'a>,
    trace: [Text<'a>; TraceContext::HEADERS.len()],
}

/// A header's value, read as text where it is asked for.
#[derive(Clone, Copy, Default)]
struct Text<'a>(Option<&'a [u8]>);

impl<'a> Known<'a> {
    fn of(record: &'a Record) -> Result<Self, DeserializeError> {
        let mut it = Self::default();
        for (name, value) in record.raw_headers().ok_or(DeserializeError::HeaderName)? {
            let text = match name {
                b"ce_specversion" => &mut it.specversion,
                b"ce_id" => &mut it.id,
                b"ce_type" => &mut it.event_type,
                b"ce_source" => &mut it.source,
                b"ce_time" => &mut it.time,
                b"ce_subject" => &mut it.subject,
                b"ce_tenant" => &mut it.tenant,
                b"ce_requestid" => &mut it.request_id,
                b"ce_jobid" => &mut it.job_id,
                b"ce_lane" => &mut it.lane,
                b"ce_expiresat" => &mut it.expires_at,
                b"ce_force" => &mut it.force,
                b"content-type" => &mut it.content_type,
                _ => match TraceContext::HEADERS.iter().position(|it| it.as_bytes() == name) {
                    Some(at) => &mut it.trace[at],
                    None => continue,
                },
            };
            // Of several the first one counts.
            text.0 = text.0.or(value);
        }
        Ok(it)
    }

    /// A trace that cannot be read is no reason to refuse a record.
    fn trace(&self) -> TraceContext {
        let mut trace = TraceContext::default();
        for (name, text) in TraceContext::HEADERS.into_iter().zip(self.trace) {
            if let Ok(Some(text)) = text.get(name) {
                trace.0.insert(name.to_owned(), text.to_owned());
            }
        }
        trace
    }
}

impl<'a> Text<'a> {
    fn get(self, name: &'static str) -> Result<Option<&'a str>, DeserializeError> {
        let Some(value) = self.0 else { return Ok(None) };
        std::str::from_utf8(value).map(Some).map_err(|_| wrong(name, "is not UTF-8".to_owned()))
    }

    fn required(self, name: &'static str) -> Result<&'a str, DeserializeError> {
        let value = self.get(name)?.filter(|it| !it.is_empty());
        value.ok_or_else(|| wrong(name, "is missing".to_owned()))
    }

    fn parsed<T: std::str::FromStr>(self, name: &'static str) -> Result<Option<T>, DeserializeError>
    where
        T::Err: std::fmt::Display,
    {
        let parse = |it: &str| it.parse().map_err(|err: T::Err| wrong(name, err.to_string()));
        self.get(name)?.map(parse).transpose()
    }
}

/// Headers in the form that the client library takes.
pub(crate) fn headers_of<'a>(all: impl Iterator<Item = (&'a str, &'a [u8])>) -> OwnedHeaders {
    all.fold(OwnedHeaders::new_with_capacity(HEADERS), |all, (key, value)| {
        all.insert(Header { key, value: Some(value) })
    })
}
