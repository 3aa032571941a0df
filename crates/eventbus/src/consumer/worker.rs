//! The thread of a consumer: polls the broker, carries out rebalances, commits.
//!
//! Everything about partitions happens on this one thread, in the order of its loop; callbacks run elsewhere and
//! send back how they ended. Backpressure is a partition queue that is not polled.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
    thread::Thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, RebalanceProtocol},
    error::KafkaError,
};
use tokio::{runtime::Handle, sync::watch, time::Instant};

use super::{
    ConsumerConfig, Status,
    context::{Context, Rebalance, unassign},
    dispatcher::{Assigned, Dispatcher, Epoch},
    handling::Handling,
};
use crate::{
    EventBusRegistry,
    factory::{FactoryError, passed_through},
};

/// How long the thread sleeps when nothing wakes it.
const NAP: Duration = Duration::from_millis(100);
/// How many records of a partition are taken before the next partition has its turn.
const TURN: usize = 256;
/// How long a failed client waits to be made anew.
const PAUSE: Duration = Duration::from_secs(1);

/// What the handle asks of the thread.
pub(crate) enum Command {
    /// The registered topics have changed.
    Subscribe,
    /// Drain, commit, leave.
    Close,
}

/// Wakes the thread.
#[derive(Clone, Default)]
pub(crate) struct Waker(Arc<OnceLock<Thread>>);

impl Waker {
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
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
    dispatcher: Dispatcher,
    shared: Arc<Mutex<BTreeMap<String, EventBusRegistry>>>,
    registries: BTreeMap<String, EventBusRegistry>,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<Status>,
    joined: bool,
    waker: Waker,
    committed_at: Instant,
}

/// The client of a consumer; what the bus depends on is set last.
pub(crate) fn client_config(config: &ConsumerConfig) -> Result<ClientConfig, FactoryError> {
    let mut client = config.cluster.client_config()?;
    client.set("statistics.interval.ms", "1000").set("fetch.wait.max.ms", "100");
    let protocol = config.properties.get("group.protocol").map(String::as_str);
    if protocol != Some("consumer") {
        // A member that died is missed within ten seconds.
        client.set("session.timeout.ms", "10000").set("heartbeat.interval.ms", "3000");
    }
    passed_through(&mut client, &config.properties)?;
    client
        .set("client.id", &config.tag)
        .set("group.id", &config.group)
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", config.auto_commit.to_string())
        .set("auto.commit.interval.ms", config.commit_every.as_millis().to_string());
    Ok(client)
}

fn connect(
    client: &ClientConfig,
    group: &str,
    waker: &Waker,
) -> Result<Arc<BaseConsumer<Context>>, KafkaError> {
    let mut consumer: BaseConsumer<Context> = client.create_with_context(Context::new(group))?;
    let waker = waker.clone();
    consumer.set_nonempty_callback(move || waker.wake());
    Ok(Arc::new(consumer))
}

impl Worker {
    #[allow(
        clippy::too_many_arguments,
        reason = "the ends of everything that the handle holds the other ends of"
    )]
    pub(crate) fn new(
        config: ConsumerConfig,
        client: ClientConfig,
        handling: Arc<Handling>,
        shared: Arc<Mutex<BTreeMap<String, EventBusRegistry>>>,
        commands: mpsc::Receiver<Command>,
        status: watch::Sender<Status>,
        waker: Waker,
        runtime: Handle,
    ) -> Result<Self, FactoryError> {
        let consumer = connect(&client, &config.group, &waker).map_err(FactoryError::Client)?;
        let dispatcher = Dispatcher::new(handling, runtime, waker.clone(), config.max_in_flight);
        Ok(Self {
            config,
            client,
            consumer,
            dispatcher,
            shared,
            registries: BTreeMap::new(),
            commands,
            status,
            joined: false,
            waker,
            committed_at: Instant::now(),
        })
    }

    /// Works until the consumer is closed.
    pub(crate) fn run(mut self) {
        let _ = self.waker.0.set(std::thread::current());
        while let Left::Failed = self.serve() {
            self.renew();
        }
        self.joined = false;
        self.tell();
        self.consumer.context().leave();
        // Dropping the last handle of the client leaves the group.
    }

    fn serve(&mut self) -> Left {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Subscribe) => self.subscribe(),
                Ok(Command::Close) | Err(mpsc::TryRecvError::Disconnected) => {
                    let all: Vec<Epoch> = self.dispatcher.partitions().map(|(it, _)| it).collect();
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
            let fetched = self.fetch();
            let next = self.step();
            self.tell();
            if !fetched {
                std::thread::park_timeout(next.unwrap_or(NAP).min(NAP));
            }
        }
    }

    /// What is done at every turn, also while a partition is drained. Answers when the next key is due.
    fn step(&mut self) -> Option<Duration> {
        self.dispatcher.settle();
        let next = self.dispatcher.wake_due(Instant::now());
        self.dispatcher.dispatch(&self.registries);
        self.commit_if_due();
        next
    }

    fn subscribe(&mut self) {
        self.registries = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.dispatcher.unpark();
        let topics: Vec<&str> = self.registries.keys().map(String::as_str).collect();
        if topics.is_empty() {
            self.consumer.unsubscribe();
        } else if let Err(err) = self.consumer.subscribe(&topics) {
            tracing::error!(%err, ?topics, "topics cannot be subscribed to");
        }
    }

    /// Serves librdkafka's events. Records come by the partitions' own queues.
    fn poll_events(&mut self) -> Result<(), Left> {
        while let Some(event) = self.consumer.poll(Duration::ZERO) {
            match event {
                Ok(record) => {
                    use rdkafka::Message;
                    if let Some(epoch) = self.dispatcher.find(record.topic(), record.partition()) {
                        self.dispatcher.take(epoch, record.detach());
                    }
                }
                Err(KafkaError::MessageConsumptionFatal(code)) => {
                    tracing::error!(%code, "the consumer failed for good, making a new one");
                    return Err(Left::Failed);
                }
                Err(err) => tracing::warn!(%err, "the consumer reports an error"),
            }
        }
        Ok(())
    }

    fn assign(&mut self, partitions: &TopicPartitionList) {
        metrics::counter!("eventbus_rebalances_total", "group" => self.config.group.clone(), "kind" => "assign")
            .increment(1);
        for it in partitions.elements() {
            // Before the assignment: a queue that is split off later lets records pass each other.
            let Some(mut queue) = self.consumer.split_partition_queue(it.topic(), it.partition())
            else {
                tracing::error!(
                    topic = it.topic(),
                    partition = it.partition(),
                    "no queue for a partition"
                );
                continue;
            };
            let waker = self.waker.clone();
            queue.set_nonempty_callback(move || waker.wake());
            self.dispatcher.add(Assigned::new(it.topic().to_owned(), it.partition(), queue));
        }
        let assigned = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(partitions),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(partitions),
        };
        if let Err(err) = assigned {
            tracing::error!(%err, "partitions could not be taken");
        }
        self.joined = true;
        tracing::info!(
            group = self.config.group,
            partitions = partitions.count(),
            "partitions were assigned"
        );
    }

    fn revoke(&mut self, partitions: &TopicPartitionList) {
        metrics::counter!("eventbus_rebalances_total", "group" => self.config.group.clone(), "kind" => "revoke")
            .increment(1);
        let elements = partitions.elements();
        let epochs: Vec<Epoch> = elements
            .iter()
            .filter_map(|it| self.dispatcher.find(it.topic(), it.partition()))
            .collect();
        self.give_up(&epochs);
        if let Err(err) = unassign(&self.consumer, partitions) {
            tracing::warn!(%err, "partitions could not be given back");
        }
        // An eager group takes everything away before it gives; a cooperative one leaves the rest.
        self.joined = matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        tracing::info!(
            group = self.config.group,
            partitions = elements.len(),
            "partitions were revoked"
        );
    }

    /// Lets the work in flight of these partitions end, commits what is done and forgets them.
    fn give_up(&mut self, epochs: &[Epoch]) {
        self.dispatcher.drain(epochs);
        let deadline = Instant::now() + self.config.drain_limit;
        self.dispatcher.settle();
        while !self.dispatcher.is_idle(epochs) && Instant::now() < deadline {
            let next = self.step();
            if !self.dispatcher.is_idle(epochs) {
                std::thread::park_timeout(next.unwrap_or(NAP).min(NAP));
            }
        }
        self.dispatcher.settle();
        let positions = self.dispatcher.positions(epochs);
        if positions.count() > 0 {
            self.commit(&positions, CommitMode::Sync);
        }
        let broken_off: usize = epochs.iter().map(|it| self.dispatcher.remove(*it)).sum();
        if broken_off > 0 {
            tracing::warn!(broken_off, "the drain limit was hit: the records will be repeated");
        }
    }

    /// Takes records as far as the limits go. Answers whether any partition has more.
    fn fetch(&mut self) -> bool {
        let mut more = false;
        let epochs: Vec<Epoch> = self.dispatcher.partitions().map(|(it, _)| it).collect();
        for epoch in epochs {
            for turn in 1..=TURN {
                let Some(record) = self.next_record(epoch) else { break };
                self.dispatcher.take(epoch, record);
                more |= turn == TURN;
            }
        }
        more
    }

    fn next_record(&self, epoch: Epoch) -> Option<rdkafka::message::OwnedMessage> {
        if self.dispatcher.buffered_bytes() >= self.config.buffered_bytes_max {
            return None;
        }
        let (_, assigned) = self.dispatcher.partitions().find(|(it, _)| *it == epoch)?;
        if assigned.window() >= self.config.partition_window {
            return None;
        }
        match assigned.queue.poll(Duration::ZERO)? {
            Ok(record) => Some(record.detach()),
            Err(err) => {
                tracing::warn!(%err, topic = assigned.topic, partition = assigned.partition,
                    "a partition reports an error");
                None
            }
        }
    }

    fn commit_if_due(&mut self) {
        let (auto, asynchronous) = (self.config.auto_commit, self.config.asynchronous_commit);
        let waited = self.committed_at.elapsed() >= self.config.commit_every;
        if auto {
            self.store();
            if asynchronous || !waited {
                return;
            }
        } else if !waited && self.dispatcher.done_since_commit() < self.config.commit_every_records
        {
            return;
        }
        let offsets = self.dispatcher.uncommitted(auto);
        if offsets.count() > 0 {
            self.commit(&offsets, if asynchronous { CommitMode::Async } else { CommitMode::Sync });
        }
        self.committed_at = Instant::now();
    }

    /// Hands what is done to librdkafka, which commits it in the background.
    fn store(&mut self) {
        if self.dispatcher.done_since_commit() == 0 {
            return;
        }
        let offsets = self.dispatcher.uncommitted(false);
        if offsets.count() == 0 {
            return;
        }
        match self.consumer.store_offsets(&offsets) {
            Ok(()) if self.config.asynchronous_commit => self.dispatcher.mark_committed(&offsets),
            Ok(()) => (),
            Err(err) => tracing::warn!(%err, "offsets could not be stored"),
        }
    }

    fn commit(&mut self, offsets: &TopicPartitionList, mode: CommitMode) {
        let committed = self.consumer.commit(offsets, mode);
        let outcome = if committed.is_ok() { "ok" } else { "failed" };
        metrics::counter!("eventbus_commits_total",
            "group" => self.config.group.clone(), "outcome" => outcome)
        .increment(1);
        match committed {
            Ok(()) => self.dispatcher.mark_committed(offsets),
            // The next group takes these offsets with it.
            Err(err) => tracing::warn!(%err, "offsets were not committed"),
        }
    }

    /// The client is of no use any more: forgets its partitions and makes another.
    fn renew(&mut self) {
        let all: Vec<Epoch> = self.dispatcher.partitions().map(|(it, _)| it).collect();
        for epoch in all {
            self.dispatcher.remove(epoch);
        }
        self.joined = false;
        self.consumer.context().leave();
        loop {
            match connect(&self.client, &self.config.group, &self.waker) {
                Ok(consumer) => break self.consumer = consumer,
                Err(err) => {
                    tracing::error!(%err, "no new consumer could be made, trying again");
                    std::thread::park_timeout(PAUSE);
                }
            }
        }
        self.subscribe();
    }

    fn tell(&self) {
        let now = Status {
            topics: self.registries.keys().cloned().collect(),
            assignment: self
                .dispatcher
                .partitions()
                .map(|(_, it)| (it.topic.clone(), it.partition))
                .collect(),
            joined: self.joined,
            connected: self.consumer.context().is_connected(),
        };
        self.status.send_if_modified(|it| std::mem::replace(it, now.clone()) != now);
    }
}
