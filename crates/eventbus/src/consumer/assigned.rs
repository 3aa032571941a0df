//! One partition for as long as it is ours: its records, its position, and since when that stands still.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    call::{CallId, Entry},
    partition::{KeyId, KeyState, Keyed, Partition, Seq},
};
use crate::{EventBusRegistry, Lane, registry::Registered};

/// One partition for as long as it is ours.
pub(crate) struct Assigned<R> {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) records: Partition<Entry<R>>,
    /// Who handles its records, and the line in which they stand.
    pub(crate) registered: Option<(Arc<Registered>, usize)>,
    /// Ready, but too many are ahead of the prefix.
    pub(crate) held: VecDeque<KeyId>,
    /// How many records run.
    pub(crate) running: usize,
    /// The calls that take their time, by which they can be broken off.
    pub(crate) slow: HashMap<CallId, CancellationToken>,
    /// Of the records that are not done.
    pub(crate) bytes: usize,
    /// Nothing is started any more: the partition is about to be taken away.
    pub(crate) draining: bool,
    /// No record was taken because there was no room.
    pub(crate) full: bool,
    /// The offset to commit, once a record is done.
    pub(crate) position: Option<i64>,
    pub(crate) uncommitted: bool,
    front: Standing,
}

/// Since when the first record that is not done is the first.
struct Standing {
    since: Instant,
    /// For how long its destination's circuit had been open then.
    open: Duration,
    told: Option<Seq>,
}

/// A partition that stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) state: KeyState,
    pub(crate) handler: &'static str,
    pub(crate) age: Duration,
    /// It is the first time that it is told.
    pub(crate) is_news: bool,
}

impl<R: Keyed> Assigned<R> {
    pub(crate) fn new(topic: Arc<str>, partition: i32, now: Instant) -> Self {
        Self {
            topic,
            partition,
            records: Partition::new(),
            registered: None,
            held: VecDeque::new(),
            running: 0,
            slow: HashMap::new(),
            bytes: 0,
            draining: false,
            full: false,
            position: None,
            uncommitted: false,
            front: Standing { since: now, open: Duration::ZERO, told: None },
        }
    }

    /// The lane in which a key waits: a live record takes along the sync ones behind which its key makes it stand.
    pub(crate) fn lane(&self, key: KeyId) -> Lane {
        if self.records.is_urgent(key) { Lane::Live } else { Lane::Sync }
    }

    pub(crate) fn registry(&self) -> Option<&EventBusRegistry> {
        self.registered.as_ref().map(|(it, _)| &it.registry)
    }

    fn open_time(&self, now: Instant) -> Duration {
        let destination = self.registry().and_then(|it| it.destination.as_ref());
        destination.map(|it| it.open_time(now)).unwrap_or_default()
    }

    /// Another record is the first that is not done.
    pub(crate) fn front_moved(&mut self, now: Instant) {
        self.front = Standing { since: now, open: self.open_time(now), told: None };
    }

    /// How long the first record that is not done has been the first, but for the time in which its destination's
    /// circuit was open.
    pub(crate) fn front_age(&self, now: Instant) -> Duration {
        if self.records.len() == 0 {
            return Duration::ZERO;
        }
        let open = self.open_time(now).saturating_sub(self.front.open);
        now.saturating_duration_since(self.front.since).saturating_sub(open)
    }

    /// The first record that is not done, where it has been that for longer than `limit`.
    pub(crate) fn stuck(&mut self, now: Instant, limit: Duration) -> Option<Stuck> {
        let age = self.front_age(now);
        let front = self.records.front().filter(|_| age > limit)?;
        let is_news = self.front.told.replace(front.seq) != Some(front.seq);
        Some(Stuck {
            topic: self.topic.to_string(),
            partition: self.partition,
            offset: front.offset,
            key: front.key.map(|it| String::from_utf8_lossy(it).into_owned()),
            state: front.state,
            handler: self.registry().map_or("none", |it| it.handler),
            age,
            is_news,
        })
    }
}

/// What is to be committed of these partitions.
pub(crate) fn positions<'a, R: Keyed + 'a>(
    partitions: impl Iterator<Item = &'a Assigned<R>>,
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for it in partitions {
        let Some(position) = it.position else { continue };
        list.add_partition_offset(&it.topic, it.partition, Offset::Offset(position))
            .expect("an offset of a record can be added");
    }
    list
}
