//! The partitions that are ours and the records under way: what runs next, what waits, what is done.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::{Arc, mpsc},
    time::Duration,
};

use futures_util::FutureExt;
use rdkafka::{
    Message, Offset, TopicPartitionList, consumer::base_consumer::PartitionQueue,
    message::OwnedMessage,
};
use tokio::{runtime::Handle, task::AbortHandle, time::Instant};

use super::{
    context::Context,
    handling::{Ended, Handling, PAUSE, Tried},
    partition::{Key, Next, Partition},
    worker::Waker,
};
use crate::EventBusRegistry;

/// Nobody waits longer, whatever a callback asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Names one assignment of one partition; what belongs to an earlier one is dropped.
pub(crate) type Epoch = u64;

/// One partition for as long as it is ours.
pub(crate) struct Assigned {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) queue: PartitionQueue<Context>,
    records: Partition<Tried>,
    running: HashMap<Key, AbortHandle>,
    /// Of the values of the records that are not done.
    bytes: usize,
    /// Nothing is started any more: the partition is about to be taken away.
    draining: bool,
    /// The offset to commit, once a record is done.
    position: Option<i64>,
    uncommitted: bool,
}

impl Assigned {
    pub(crate) fn new(topic: String, partition: i32, queue: PartitionQueue<Context>) -> Self {
        Self {
            topic,
            partition,
            queue,
            records: Partition::new(),
            running: HashMap::new(),
            bytes: 0,
            draining: false,
            position: None,
            uncommitted: false,
        }
    }

    /// How many records a crash now would repeat.
    pub(crate) fn window(&self) -> usize {
        self.records.len()
    }

    /// Bytes of the values of the records that are not done.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

struct Completion {
    epoch: Epoch,
    key: Key,
    tried: Tried,
    ended: Ended,
}

/// Runs records of different keys side by side and remembers what is done.
pub(crate) struct Dispatcher {
    handling: Arc<Handling>,
    runtime: Handle,
    waker: Waker,
    max_in_flight: usize,
    partitions: BTreeMap<Epoch, Assigned>,
    last_epoch: Epoch,
    ready: VecDeque<(Epoch, Key)>,
    /// Ready, but their topic has no callback at the moment.
    parked: Vec<(Epoch, Key)>,
    waiting: BinaryHeap<Reverse<(Instant, Epoch, Key)>>,
    in_flight: usize,
    in_flight_gauge: metrics::Gauge,
    done_since_commit: u64,
    completed: mpsc::Receiver<Completion>,
    complete: mpsc::Sender<Completion>,
}

impl Dispatcher {
    pub(crate) fn new(
        handling: Arc<Handling>,
        runtime: Handle,
        waker: Waker,
        tag: &str,
        max_in_flight: usize,
    ) -> Self {
        let (complete, completed) = mpsc::channel();
        Self {
            handling,
            runtime,
            waker,
            max_in_flight,
            partitions: BTreeMap::new(),
            last_epoch: 0,
            ready: VecDeque::new(),
            parked: Vec::new(),
            waiting: BinaryHeap::new(),
            in_flight: 0,
            in_flight_gauge: metrics::gauge!("eventbus_in_flight", "client" => tag.to_owned()),
            done_since_commit: 0,
            completed,
            complete,
        }
    }

    /// A partition is ours from now on.
    pub(crate) fn add(&mut self, assigned: Assigned) {
        self.last_epoch += 1;
        self.partitions.insert(self.last_epoch, assigned);
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = (Epoch, &Assigned)> {
        self.partitions.iter().map(|(epoch, it)| (*epoch, it))
    }

    pub(crate) fn find(&self, topic: &str, partition: i32) -> Option<Epoch> {
        self.partitions()
            .find(|(_, it)| it.topic == topic && it.partition == partition)
            .map(|(epoch, _)| epoch)
    }

    pub(crate) fn get(&self, epoch: Epoch) -> Option<&Assigned> {
        self.partitions.get(&epoch)
    }

    /// How many partitions are ours.
    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Takes in the broker's next record of a partition.
    pub(crate) fn take(&mut self, epoch: Epoch, record: OwnedMessage) {
        let Some(assigned) = self.partitions.get_mut(&epoch) else { return };
        let (offset, key) = (record.offset(), record.key().map(<[u8]>::to_vec));
        assigned.bytes += size(&record);
        if assigned.records.push(offset, key.clone(), Tried::new(record)) == Next::Ready {
            self.ready.push_back((epoch, key));
        }
    }

    /// Wakes the keys that have waited long enough. Answers how long the next one has to wait.
    pub(crate) fn wake_due(&mut self, now: Instant) -> Option<Duration> {
        while let Some(Reverse((due, _, _))) = self.waiting.peek() {
            if *due > now {
                return Some(*due - now);
            }
            let Some(Reverse((_, epoch, key))) = self.waiting.pop() else { break };
            let assigned = self.partitions.get_mut(&epoch);
            if assigned.is_some_and(|it| it.records.wake(&key) == Next::Ready) {
                self.ready.push_back((epoch, key));
            }
        }
        None
    }

    /// Topics were registered or unregistered: what had no callback may have one now.
    pub(crate) fn unpark(&mut self) {
        self.ready.extend(self.parked.drain(..));
    }

    /// Starts what is ready, as far as the limit goes.
    pub(crate) fn dispatch(&mut self, registries: &BTreeMap<String, EventBusRegistry>) {
        while self.in_flight < self.max_in_flight {
            let Some((epoch, key)) = self.ready.pop_front() else { break };
            let Some(assigned) = self.partitions.get_mut(&epoch).filter(|it| !it.draining) else {
                continue;
            };
            let Some(registry) = registries.get(&assigned.topic) else {
                self.parked.push((epoch, key));
                continue;
            };
            let Some(mut tried) = assigned.records.start(&key) else { continue };
            let (handling, callback) = (Arc::clone(&self.handling), Arc::clone(&registry.callback));
            let (complete, waker) = (self.complete.clone(), self.waker.clone());
            let running = key.clone();
            let task = self.runtime.spawn(async move {
                let attempt = AssertUnwindSafe(handling.attempt(&mut tried, &callback));
                // Whatever panics, the completion is sent: its key would stand still for ever.
                let ended = attempt.catch_unwind().await.unwrap_or(Ended::Retry { after: PAUSE });
                // A worker that is gone does not miss the completion: the record is delivered again.
                let _ = complete.send(Completion { epoch, key, tried, ended });
                waker.wake();
            });
            assigned.running.insert(running, task.abort_handle());
            self.in_flight += 1;
        }
        self.in_flight_gauge.set(self.in_flight as f64);
    }

    /// Takes in what has ended. Answers whether anything has.
    pub(crate) fn settle(&mut self) -> bool {
        let mut any = false;
        while let Ok(completion) = self.completed.try_recv() {
            any = true;
            self.complete(completion);
        }
        any
    }

    fn complete(&mut self, completion: Completion) {
        let Completion { epoch, key, tried, ended } = completion;
        let Some(assigned) = self.partitions.get_mut(&epoch) else { return };
        assigned.running.remove(&key);
        self.in_flight -= 1;
        match ended {
            Ended::Done => {
                assigned.bytes -= size(&tried.record);
                self.done_since_commit += 1;
                let next = assigned.records.finish(&key, tried.record.offset());
                if let Some(position) = assigned.records.advance() {
                    assigned.position = Some(position);
                    assigned.uncommitted = true;
                }
                if next == Next::Ready {
                    self.ready.push_back((epoch, key));
                }
            }
            Ended::Retry { after } => {
                assigned.records.postpone(&key, tried);
                let due = Instant::now() + after.min(LONGEST_WAIT);
                self.waiting.push(Reverse((due, epoch, key)));
            }
        }
    }

    /// Starts no record of these partitions any more.
    pub(crate) fn drain(&mut self, epochs: &[Epoch]) {
        for epoch in epochs {
            if let Some(assigned) = self.partitions.get_mut(epoch) {
                assigned.draining = true;
            }
        }
    }

    /// Whether no record of these partitions is running.
    pub(crate) fn is_idle(&self, epochs: &[Epoch]) -> bool {
        epochs.iter().filter_map(|it| self.partitions.get(it)).all(|it| it.running.is_empty())
    }

    /// Forgets a partition. What still runs is broken off; its records are delivered again. Answers how much that was.
    pub(crate) fn remove(&mut self, epoch: Epoch) -> usize {
        let Some(assigned) = self.partitions.remove(&epoch) else { return 0 };
        assigned.running.values().for_each(AbortHandle::abort);
        self.in_flight -= assigned.running.len();
        assigned.running.len()
    }

    pub(crate) fn done_since_commit(&self) -> u64 {
        self.done_since_commit
    }

    /// The offsets that are not committed yet; `idle_only` leaves out partitions that have more to do.
    pub(crate) fn uncommitted(&self, idle_only: bool) -> TopicPartitionList {
        let wanted = |it: &&Assigned| it.uncommitted && (!idle_only || it.records.len() == 0);
        positions(self.partitions.values().filter(wanted))
    }

    /// The offsets of these partitions, committed or not.
    pub(crate) fn positions(&self, epochs: &[Epoch]) -> TopicPartitionList {
        positions(epochs.iter().filter_map(|it| self.partitions.get(it)))
    }

    /// These offsets are committed.
    pub(crate) fn mark_committed(&mut self, offsets: &TopicPartitionList) {
        self.done_since_commit = 0;
        for assigned in self.partitions.values_mut() {
            let committed = offsets.find_partition(&assigned.topic, assigned.partition);
            if committed.is_some_and(|it| it.offset().to_raw() == assigned.position) {
                assigned.uncommitted = false;
            }
        }
    }
}

fn size(record: &OwnedMessage) -> usize {
    record.payload().map_or(0, <[u8]>::len)
}

fn positions<'a>(partitions: impl Iterator<Item = &'a Assigned>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for it in partitions {
        let Some(position) = it.position else { continue };
        list.add_partition_offset(&it.topic, it.partition, Offset::Offset(position))
            .expect("an offset of a record can be added");
    }
    list
}
