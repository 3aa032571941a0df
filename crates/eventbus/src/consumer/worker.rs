//! The thread of a consumer: polls the broker, carries out rebalances, commits.
//!
//! Everything about the client happens on this one thread, in the order of its loop, but for commits that are awaited.
//! It hands records to the dispatcher; callbacks run elsewhere. Backpressure is a partition queue that is not polled.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, mpsc},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    consumer::{
        BaseConsumer, CommitMode, Consumer, RebalanceProtocol, base_consumer::PartitionQueue,
    },
    error::{KafkaError, KafkaResult},
};
use tokio::{sync::watch, time::Instant};

use super::{
    ConsumerConfig, Registries, Status,
    call::Epoch,
    client::{Waker, connect},
    committer::Committer,
    context::{Context, Rebalance, unassign},
    handling::Tried,
    intake::take,
    runners::Runners,
    told::Told,
};
use crate::{Record, factory::FactoryError};

/// How long the thread sleeps when nothing wakes it.
const NAP: Duration = Duration::from_millis(100);
/// How many records are taken from the broker at a time …
const CHUNK: usize = 64;
/// … and how often in a row from one partition.
const CHUNKS: usize = 8;
/// Nothing is waited for any longer, whatever the settings say.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a failed client waits to be made anew.
const PAUSE: Duration = Duration::from_secs(1);

/// What the handle asks of the thread.
pub(crate) enum Command {
    /// The registered topics have changed.
    Subscribe,
    /// Drain, commit, leave.
    Close,
}

/// Why a client is left.
enum Left {
    Closed,
    Failed,
}

pub(crate) struct Worker {
    config: ConsumerConfig,
    client: ClientConfig,
    consumer: Arc<BaseConsumer<Context>>,
    runners: Arc<Runners>,
    committer: Committer,
    queues: BTreeMap<Epoch, Queue>,
    shared: Registries,
    commands: mpsc::Receiver<Command>,
    status: Told,
    joined: bool,
    /// Partitions are about to be given back: their commit follows.
    draining: bool,
    waker: Waker,
    committed_at: Instant,
    /// When what is done from time to time was done last.
    looked_at: Instant,
}

/// Where the records of one assigned partition come from.
struct Queue {
    topic: Arc<str>,
    partition: i32,
    records: PartitionQueue<Context>,
}

impl Worker {
    pub(crate) fn new(
        config: ConsumerConfig,
        client: ClientConfig,
        runners: Arc<Runners>,
        shared: Registries,
        commands: mpsc::Receiver<Command>,
        status: watch::Sender<Status>,
        waker: Waker,
    ) -> Result<Self, FactoryError> {
        let consumer = connect(&client, &config, &waker).map_err(FactoryError::Client)?;
        let committer =
            Committer::start(&config.tag, waker.clone()).map_err(FactoryError::Thread)?;
        let now = Instant::now();
        Ok(Self {
            client,
            consumer,
            runners,
            committer,
            queues: BTreeMap::new(),
            shared,
            commands,
            status: Told::new(status, &config.group, &config.tag),
            config,
            joined: false,
            draining: false,
            waker,
            committed_at: now,
            looked_at: now,
        })
    }

    /// Works until the consumer is closed.
    pub(crate) fn run(mut self) {
        self.waker.is_for_this_thread();
        while let Left::Failed = self.serve() {
            if let Left::Closed = self.renew() {
                break;
            }
        }
    }

    fn serve(&mut self) -> Left {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Subscribe) => self.subscribe(),
                Ok(Command::Close) | Err(mpsc::TryRecvError::Disconnected) => {
                    let all: Vec<Epoch> = self.queues.keys().copied().collect();
                    self.give_up(&all);
                    return Left::Closed;
                }
                Err(mpsc::TryRecvError::Empty) => (),
            }
            if let Err(Left::Failed) = self.poll_events() {
                return Left::Failed;
            }
            for rebalance in self.consumer.context().take_rebalances() {
                match rebalance {
                    Rebalance::Assign(partitions) => self.assign(&partitions),
                    Rebalance::Revoke(partitions) => self.revoke(&partitions),
                }
            }
            self.step();
        }
    }

    /// What is done at every turn, also while a partition is drained; then sleeps, unless there is more to fetch.
    fn step(&mut self) {
        let fetched = self.fetch();
        let now = Instant::now();
        let is_time = now - self.looked_at >= NAP;
        let mut next = NAP;
        {
            let mut state = self.runners.state();
            state.dispatcher.wake_due(now);
            self.runners.rouse(&mut state, now);
            if is_time {
                self.runners.rouse_in_spite_of_the_blocked(&mut state, now);
            }
            if let Some(due) = state.dispatcher.next_wake() {
                next = next.min(due.saturating_duration_since(now));
            }
            state.wakes_at = Some(now + next);
        }
        if is_time {
            self.looked_at = now;
            self.look(now);
        }
        self.commit_if_due();
        self.tell();
        if !fetched {
            std::thread::park_timeout(next);
        }
    }

    /// What is shown and watched from time to time.
    fn look(&mut self, now: Instant) {
        let mut state = self.runners.state();
        self.status.gauges.show(&state.dispatcher, now);
        let stuck = state.dispatcher.stuck(now, self.config.stuck_after);
        drop(state);
        for it in stuck.iter().filter(|it| it.is_news) {
            tracing::error!(
                topic = it.topic,
                partition = it.partition,
                offset = it.offset,
                key = it.key,
                state = ?it.state,
                handler = it.handler,
                age_seconds = it.age.as_secs(),
                "a partition stands still"
            );
        }
        self.status.stuck(stuck.first());
        self.status.stopped(self.runners.handling.guard().stopped());
    }

    fn subscribe(&mut self) {
        let registered = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let topics: Vec<String> = registered.keys().cloned().collect();
        let (now, all) = (Instant::now(), registered.into_values());
        let destinations = self.runners.state().dispatcher.register(all, now);
        for it in destinations {
            let waker = self.waker.clone();
            it.watch(Box::new(move || waker.wake()));
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        if names.is_empty() {
            self.consumer.unsubscribe();
        } else if let Err(err) = self.consumer.subscribe(&names) {
            tracing::error!(%err, ?topics, "topics cannot be subscribed to");
        }
        self.status.topics(topics);
    }

    /// Serves librdkafka's events. Records come by the partitions' own queues.
    fn poll_events(&mut self) -> Result<(), Left> {
        loop {
            let Some(event) = self.consumer.poll(Duration::ZERO) else {
                // The client answers nothing also where it has told the context something: there may be more.
                match self.consumer.context().has_served() {
                    true => continue,
                    false => return Ok(()),
                }
            };
            match event {
                Ok(record) => {
                    let at = (record.topic(), record.partition());
                    let queue = self.queues.iter().find(|(_, it)| (&*it.topic, it.partition) == at);
                    if let Some((epoch, queue)) = queue {
                        let record = Record::of(&queue.topic, &record);
                        take(&self.runners, *epoch, [Box::new(Tried::new(record))]);
                    }
                }
                Err(KafkaError::MessageConsumptionFatal(code)) => {
                    tracing::error!(%code, "the consumer failed for good, making a new one");
                    return Err(Left::Failed);
                }
                Err(err) => tracing::warn!(%err, "the consumer reports an error"),
            }
        }
    }

    fn assign(&mut self, partitions: &TopicPartitionList) {
        self.status.gauges.rebalanced("assign");
        for it in partitions.elements() {
            let (topic, partition) = (it.topic(), it.partition());
            // Before the assignment: a queue that is split off later lets records pass each other.
            let Some(mut records) = self.consumer.split_partition_queue(topic, partition) else {
                tracing::error!(topic, partition, "no queue for a partition");
                continue;
            };
            let waker = self.waker.clone();
            records.set_nonempty_callback(move || waker.wake());
            let topic: Arc<str> = Arc::from(topic);
            let added = Arc::clone(&topic);
            let epoch = self.runners.state().dispatcher.add(added, partition, Instant::now());
            self.queues.insert(epoch, Queue { topic, partition, records });
        }
        let assigned = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(partitions),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(partitions),
        };
        if let Err(err) = assigned {
            tracing::error!(%err, "partitions could not be taken");
        }
        self.joined = true;
        self.status.changed();
        let partitions = partitions.count();
        tracing::info!(group = self.config.group, partitions, "partitions were assigned");
    }

    fn revoke(&mut self, partitions: &TopicPartitionList) {
        self.status.gauges.rebalanced("revoke");
        let elements = partitions.elements();
        let is_meant = |it: &Queue| {
            elements.iter().any(|at| (at.topic(), at.partition()) == (&*it.topic, it.partition))
        };
        let epochs: Vec<Epoch> =
            self.queues.iter().filter(|(_, it)| is_meant(it)).map(|(it, _)| *it).collect();
        // Others own what was lost already: there is nothing to finish and nothing to commit.
        let lost = self.consumer.assignment_lost();
        match lost {
            true => {
                epochs.iter().for_each(|it| self.forget(*it));
                // A commit under way must not meet the next assignment.
                self.wait_for_commit();
            }
            false => self.give_up(&epochs),
        }
        if let Err(err) = unassign(&self.consumer, partitions) {
            tracing::warn!(%err, "partitions could not be given back");
        }
        // An eager group takes everything away before it gives; a cooperative one leaves the rest.
        let protocol = self.consumer.rebalance_protocol();
        self.joined = matches!(protocol, RebalanceProtocol::Cooperative) && !lost;
        self.status.changed();
        let (group, partitions) = (&self.config.group, elements.len());
        tracing::info!(group, partitions, lost, "partitions were revoked");
    }

    /// Lets the work in flight of these partitions end, commits what is done and forgets them. The others go on.
    fn give_up(&mut self, epochs: &[Epoch]) {
        self.runners.state().dispatcher.drain(epochs);
        self.draining = true;
        let deadline = Instant::now() + self.config.drain_limit.min(LONGEST);
        while !self.runners.state().dispatcher.is_idle(epochs) && Instant::now() < deadline {
            self.step();
        }
        self.wait_for_commit();
        let positions = self.runners.state().dispatcher.positions(epochs);
        if positions.count() > 0 {
            if self.config.auto_commit {
                // The client commits what is stored once more when a partition is given back: not an older offset.
                self.keep(&positions);
            }
            let outcome = self.consumer.commit(&positions, CommitMode::Sync);
            self.note(Some((positions, outcome)));
        }
        epochs.iter().for_each(|it| self.forget(*it));
        self.draining = false;
    }

    /// A partition is not ours any more. What still runs is broken off.
    fn forget(&mut self, epoch: Epoch) {
        let Some(Queue { topic, partition, .. }) = self.queues.remove(&epoch) else { return };
        self.status.gauges.forget(&topic, partition);
        let broken_off = self.runners.state().dispatcher.remove(epoch);
        if broken_off > 0 {
            tracing::warn!(
                topic = &*topic,
                partition,
                broken_off,
                "work was broken off and will be repeated"
            );
        }
    }

    /// Takes records as far as the limits go. Answers whether any partition has more.
    fn fetch(&mut self) -> bool {
        let mut more = false;
        for (epoch, queue) in &self.queues {
            for _ in 0..CHUNKS {
                let room = self.runners.state().dispatcher.room(*epoch).min(CHUNK);
                let chunk: Vec<Box<Tried>> =
                    std::iter::from_fn(|| self.next_record(queue)).take(room).collect();
                more |= room > 0 && chunk.len() == room;
                if chunk.is_empty() {
                    break;
                }
                take(&self.runners, *epoch, chunk);
            }
        }
        more
    }

    fn next_record(&self, queue: &Queue) -> Option<Box<Tried>> {
        match queue.records.poll(Duration::ZERO)? {
            Ok(record) => Some(Box::new(Tried::new(Record::of(&queue.topic, &record)))),
            Err(err) => {
                let (group, topic) = (self.config.group.clone(), queue.topic.to_string());
                metrics::counter!("eventbus_partition_errors_total",
                    "group" => group, "topic" => topic)
                .increment(1);
                tracing::warn!(%err, topic = &*queue.topic, partition = queue.partition,
                    "a partition reports an error");
                None
            }
        }
    }

    fn commit_if_due(&mut self) {
        let committed = self.committer.poll();
        self.note(committed);
        if self.draining || self.committer.is_busy() {
            return;
        }
        let (auto, asynchronous) = (self.config.auto_commit, self.config.asynchronous_commit);
        let waited = self.committed_at.elapsed() >= self.config.commit_every;
        let offsets = {
            let mut state = self.runners.state();
            let done = state.dispatcher.done_since_commit();
            if !waited && (done < self.config.commit_every_records || (auto && !asynchronous)) {
                return;
            }
            state.dispatcher.begin_commit();
            state.dispatcher.uncommitted(auto && !asynchronous)
        };
        self.committed_at = Instant::now();
        if auto {
            self.store();
        }
        if offsets.count() == 0 {
            return;
        }
        match (auto, asynchronous) {
            (_, false) => self.committer.commit(&self.consumer, offsets),
            (true, true) => (),
            (false, true) => {
                let outcome = self.consumer.commit(&offsets, CommitMode::Async);
                self.note(Some((offsets, outcome)));
            }
        }
    }

    /// Hands what is done to librdkafka, which commits it in the background.
    fn store(&mut self) {
        let offsets = self.runners.state().dispatcher.uncommitted(false);
        if offsets.count() == 0 {
            return;
        }
        if self.keep(&offsets) && self.config.asynchronous_commit {
            self.runners.state().dispatcher.mark_committed(&offsets);
        }
    }

    fn keep(&self, offsets: &TopicPartitionList) -> bool {
        let stored = self.consumer.store_offsets(offsets);
        stored.inspect_err(|err| tracing::warn!(%err, "offsets could not be stored")).is_ok()
    }

    fn wait_for_commit(&mut self) {
        let committed = self.committer.wait();
        self.note(committed);
    }

    fn note(&mut self, committed: Option<(TopicPartitionList, KafkaResult<()>)>) {
        let Some((offsets, outcome)) = committed else { return };
        let word = if outcome.is_ok() { "ok" } else { "failed" };
        metrics::counter!("eventbus_commits_total",
            "group" => self.config.group.clone(), "outcome" => word)
        .increment(1);
        match outcome {
            Ok(()) => self.runners.state().dispatcher.mark_committed(&offsets),
            // The next group takes these offsets with it.
            Err(err) => tracing::warn!(%err, "offsets were not committed"),
        }
    }

    /// The client is of no use any more: forgets its partitions and, after a pause, makes another.
    fn renew(&mut self) -> Left {
        let all: Vec<Epoch> = self.queues.keys().copied().collect();
        all.into_iter().for_each(|it| self.forget(it));
        self.wait_for_commit();
        self.joined = false;
        self.status.changed();
        self.tell();
        self.leave();
        loop {
            let deadline = Instant::now() + PAUSE;
            while Instant::now() < deadline {
                std::thread::park_timeout(NAP);
                // A subscription that is passed over here follows below.
                if let Ok(Command::Close) | Err(mpsc::TryRecvError::Disconnected) =
                    self.commands.try_recv()
                {
                    return Left::Closed;
                }
            }
            match connect(&self.client, &self.config, &self.waker) {
                Ok(consumer) => break self.consumer = consumer,
                Err(err) => tracing::error!(%err, "no new consumer could be made, trying again"),
            }
        }
        self.subscribe();
        Left::Failed
    }

    /// From now on nobody carries out a rebalance: one that was noted is answered, or the client would wait for it.
    fn leave(&self) {
        self.consumer.context().leave();
        let is_open = !self.consumer.context().take_rebalances().is_empty();
        if (is_open || std::thread::panicking())
            && let Err(err) = self.consumer.unassign()
        {
            tracing::warn!(%err, "partitions could not be given back");
        }
    }

    fn tell(&mut self) {
        let assignment = self.queues.values().map(|it| (it.topic.to_string(), it.partition));
        self.status.tell(self.consumer.context().is_connected(), self.joined, assignment);
    }
}

impl Drop for Worker {
    /// However the thread ends: nobody waits for it to carry out a rebalance, and nobody takes it for alive.
    fn drop(&mut self) {
        self.leave();
        self.status.end();
        // Dropping the last handle of the client leaves the group.
    }
}
