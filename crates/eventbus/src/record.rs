//! A record as the broker handed it out, kept in one piece of memory.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rdkafka::{
    Message,
    message::{BorrowedHeaders, BorrowedMessage, Header, Headers, OwnedHeaders},
};

/// Room for the headers of most records.
const HEADER_BYTES: usize = 384;

/// A record of a topic: its key, value and headers, byte for byte.
pub struct Record {
    topic: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    /// The value, the key, then the name and value of each header.
    bytes: Vec<u8>,
    value: Option<Range<u32>>,
    key: Option<Range<u32>>,
    headers: RecordHeaders,
}

enum RecordHeaders {
    Read(Vec<Span>),
    /// One has a name that is not UTF-8, at which the client library panics. They can be copied all the same.
    Unreadable(OwnedHeaders),
}

struct Span {
    name: Range<u32>,
    value: Option<Range<u32>>,
}

impl Record {
    /// Copies a message that belongs to the client. `topic` is the name of its topic, which its records share.
    pub fn of(topic: &Arc<str>, message: &BorrowedMessage<'_>) -> Self {
        let length = message.payload_len() + message.key_len();
        let headers = message.headers();
        let room = if headers.is_some() { HEADER_BYTES } else { 0 };
        let mut bytes = Vec::with_capacity(length + room);
        let value = message.payload().map(|it| append(&mut bytes, it));
        let key = message.key().map(|it| append(&mut bytes, it));
        let headers = match headers {
            Some(headers) => copy(headers, &mut bytes),
            None => RecordHeaders::Read(Vec::new()),
        };
        Self {
            topic: Arc::clone(topic),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            bytes,
            value,
            key,
            headers,
        }
    }

    /// Where it travels.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its partition.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Its place there.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// When it was written, in Unix milliseconds.
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }

    /// Its key.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_ref().map(|it| self.at(it))
    }

    /// Its value.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_ref().map(|it| self.at(it))
    }

    /// Bytes that it holds in memory.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Its headers; nothing where one has a name that is not UTF-8.
    pub fn headers(&self) -> Option<impl Iterator<Item = (&str, Option<&[u8]>)>> {
        let text = |name| str::from_utf8(name).expect("it was text when it was copied");
        Some(self.raw_headers()?.map(move |(name, value)| (text(name), value)))
    }

    /// The value of the first header of this name, if there is one and it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.raw_headers()?;
        let (_, value) = headers.find(|(it, _)| *it == name.as_bytes())?;
        str::from_utf8(value?).ok()
    }

    /// Its headers, names as bytes; nothing where one has a name that is not UTF-8.
    pub(crate) fn raw_headers(&self) -> Option<impl Iterator<Item = (&[u8], Option<&[u8]>)>> {
        let RecordHeaders::Read(spans) = &self.headers else { return None };
        Some(spans.iter().map(|it| (self.at(&it.name), it.value.as_ref().map(|it| self.at(it)))))
    }

    /// Its headers in the form that the client library takes, but for those that are `replaced`.
    pub(crate) fn headers_without(&self, replaced: impl Fn(&str) -> bool) -> OwnedHeaders {
        match (self.headers(), &self.headers) {
            (Some(headers), _) => headers
                .filter(|(name, _)| !replaced(name))
                .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value })),
            (None, RecordHeaders::Unreadable(headers)) => headers.clone(),
            (None, RecordHeaders::Read(_)) => OwnedHeaders::new(),
        }
    }

    fn at(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }
}

fn copy(headers: &BorrowedHeaders, bytes: &mut Vec<u8>) -> RecordHeaders {
    let read = AssertUnwindSafe(|| {
        let mut spans = Vec::with_capacity(headers.count());
        for it in headers.iter() {
            let name = append(bytes, it.key.as_bytes());
            spans.push(Span { name, value: it.value.map(|it| append(bytes, it)) });
        }
        spans
    });
    match catch_unwind(read) {
        Ok(spans) => RecordHeaders::Read(spans),
        Err(_) => RecordHeaders::Unreadable(headers.detach()),
    }
}

fn append(bytes: &mut Vec<u8>, part: &[u8]) -> Range<u32> {
    let start = offset(bytes);
    bytes.extend_from_slice(part);
    start..offset(bytes)
}

fn offset(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("no broker takes a record of 4 GiB")
}
