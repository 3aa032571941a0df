//! A dead letter as it lies in its topic, and the marks that are laid beside it.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use jiff::Timestamp;
use rdkafka::{
    Message as _,
    message::{Headers as _, OwnedMessage},
};
use serde::Serialize;

use crate::dlq_headers as names;

/// Where a record lies in its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing yet.
    Open,
    /// It was published again.
    Replayed,
    /// It was given up.
    Dropped,
}

impl State {
    /// The word for it, which is what a mark says.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Dropped => "dropped",
        }
    }

    fn of_mark(mark: &str) -> Option<Self> {
        [Self::Replayed, Self::Dropped].into_iter().find(|it| it.as_str() == mark)
    }
}

/// Says of a dead letter what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// What became of it.
    pub state: State,
    /// Since when.
    pub at: Option<Timestamp>,
}

/// What a record of a dead-letter topic is.
pub enum Entry {
    /// A record that was set aside.
    Letter(Letter),
    /// What became of the one that lies there.
    Mark(Place, Mark),
}

/// A header; names may come more than once.
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

/// A record that was set aside.
pub struct Letter {
    /// Where it lies.
    pub place: Place,
    /// Its headers, in their order.
    pub headers: Vec<Header>,
    /// How many headers have a name that is not UTF-8, which the client library cannot hand out.
    pub unreadable: usize,
    /// What became of it, as far as somebody has looked for marks.
    pub mark: Option<Mark>,
    record: OwnedMessage,
}

impl Entry {
    /// What the record is.
    pub fn of(record: OwnedMessage) -> Self {
        let place = Place { partition: record.partition(), offset: record.offset() };
        let (headers, unreadable) = headers(&record);
        let letter = Letter { place, headers, unreadable, mark: None, record };
        match letter.as_mark() {
            Some((of, mark)) => Self::Mark(of, mark),
            None => Self::Letter(letter),
        }
    }
}

fn headers(record: &OwnedMessage) -> (Vec<Header>, usize) {
    let Some(all) = record.headers() else { return (Vec::new(), 0) };
    let read = |at| {
        let header = catch_unwind(AssertUnwindSafe(|| all.try_get(at))).ok().flatten()?;
        Some(Header { name: header.key.to_owned(), value: header.value.map(<[u8]>::to_vec) })
    };
    let headers: Vec<Header> = (0..all.count()).filter_map(read).collect();
    let unreadable = all.count() - headers.len();
    (headers, unreadable)
}

impl Letter {
    /// What a mark says. A record that was set aside is none, even where its sender calls it one.
    fn as_mark(&self) -> Option<(Place, Mark)> {
        if self.record.payload().is_some() || self.header(names::TOPIC).is_some() {
            return None;
        }
        let state = State::of_mark(&self.text(names::MARK)?)?;
        let (partition, offset) =
            (self.number(names::MARK_PARTITION)?, self.number(names::MARK_OFFSET)?);
        let at = self.time(names::MARKED_AT);
        Some((Place { partition, offset }, Mark { state, at }))
    }

    /// The key of the record.
    pub fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }

    /// The value of the record.
    pub fn value(&self) -> Option<&[u8]> {
        self.record.payload()
    }

    /// What became of it.
    pub fn state(&self) -> State {
        self.mark.map_or(State::Open, |it| it.state)
    }

    /// When it failed for the first time.
    pub fn failed_at(&self) -> Option<Timestamp> {
        self.time(names::FAILED_AT)
    }

    /// When it was set aside, as the broker has it.
    pub fn recorded_at(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.record.timestamp().to_millis()?).ok()
    }

    /// The last header of this name: what the bus adds stands behind what was there.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().rfind(|it| it.name == name)?.value.as_deref()
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.header(name).map(|it| String::from_utf8_lossy(it).into_owned())
    }

    /// The same as a number, where it is one.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.number(name)
    }
}
