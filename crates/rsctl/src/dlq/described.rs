//! A dead letter as JSON.

use eventbus::{
    dlq_headers as names,
    letters::{Letter, State},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::shown::hex;

/// The header with an event's name.
pub(crate) const EVENT_TYPE: &str = "ce_type";

/// What `list --json` says of a dead letter.
#[derive(Serialize)]
pub(crate) struct Described {
    partition: i32,
    offset: i64,
    state: State,
    marked_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
    key: Option<Bytes>,
    event_type: Option<String>,
    cause: Option<String>,
    attempts: Option<u32>,
    error: Option<String>,
    origin: Origin,
    value_bytes: Option<usize>,
}

/// Where the record came from.
#[derive(Serialize)]
struct Origin {
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
}

/// What `show --json` says of a dead letter.
#[derive(Serialize)]
pub(crate) struct InFull {
    #[serde(flatten)]
    about: Described,
    headers: Vec<HeaderInFull>,
    unreadable_headers: usize,
    value: Option<Content>,
}

#[derive(Serialize)]
struct HeaderInFull {
    name: String,
    value: Option<Bytes>,
}

/// A text where it is one.
#[derive(Serialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Binary { hex: String },
}

/// A record's value: what it says where it is JSON.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    Json(Value),
    Text(String),
    Hex(String),
}

impl Described {
    pub(crate) fn of(letter: &Letter) -> Self {
        Self {
            partition: letter.place.partition,
            offset: letter.place.offset,
            state: letter.state(),
            marked_at: letter.mark.and_then(|it| it.at),
            failed_at: letter.failed_at(),
            key: letter.key().map(Bytes::of),
            event_type: letter.text(EVENT_TYPE),
            cause: letter.text(names::CAUSE),
            attempts: letter.number(names::ATTEMPTS),
            error: letter.text(names::ERROR),
            origin: Origin {
                topic: letter.text(names::TOPIC),
                partition: letter.number(names::PARTITION),
                offset: letter.number(names::OFFSET),
            },
            value_bytes: letter.value().map(<[u8]>::len),
        }
    }
}

impl InFull {
    pub(crate) fn of(letter: &Letter) -> Self {
        let headers = letter.headers.iter().map(|it| HeaderInFull {
            name: it.name.clone(),
            value: it.value.as_deref().map(Bytes::of),
        });
        Self {
            about: Described::of(letter),
            headers: headers.collect(),
            unreadable_headers: letter.unreadable,
            value: letter.value().map(Content::of),
        }
    }
}

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Binary { hex: hex(bytes) },
        }
    }
}

impl Content {
    fn of(bytes: &[u8]) -> Self {
        if let Ok(value) = serde_json::from_slice(bytes) {
            return Self::Json(value);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex(hex(bytes)),
        }
    }
}
