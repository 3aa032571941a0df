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
    config::RDKafkaLogLevel,
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

const SESSION: &str = "session.timeout.ms";
/// How long the thread sleeps when nothing wakes it.
const NAP: Duration = Duration::from_millis(100);
/// How many records of a partition are taken before the next partition has its turn.
const TURN: usize = 256;
/// No drain takes longer, whatever the settings say.
const DRAIN_MAX: Duration = Duration::from_secs(24 * 60 * 60);
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
    /// Counts what `status` would show.
    changes: u64,
    told: Option<(u64, bool)>,
    joined: bool,
    /// Partitions are about to be given back: their commit follows.
    draining: bool,
    waker: Waker,
    committed_at: Instant,
}

/// The client of a consumer; what the bus depends on is set last.
pub(crate) fn client_config(config: &ConsumerConfig) -> Result<ClientConfig, FactoryError> {
    let mut client = config.cluster.client_config()?;
    client
        .set("fetch.wait.max.ms", "100")
        // What is fetched ahead is held for each partition beside what the dispatcher holds.
        .set("queued.max.messages.kbytes", "4096")
        .set("fetch.queue.backoff.ms", "50")
        // A commit that nobody answers holds the thread no longer than this.
        .set("socket.timeout.ms", "10000")
        .set("topic.metadata.refresh.interval.ms", "30000");
    passed_through(&mut client, &config.cluster.properties)?;
    passed_through(&mut client, &config.properties)?;
    if client.get("group.protocol") != Some("consumer") && client.get(SESSION).is_none() {
        // A member that died is missed within ten seconds.
        client.set(SESSION, "10000").set("heartbeat.interval.ms", "3000");
    }
    client
        .set("statistics.interval.ms", "1000")
        .set("client.id", &config.tag)
        .set("group.id", &config.group)
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", config.auto_commit.to_string())
        .set("auto.commit.interval.ms", config.commit_every.as_millis().to_string());
    // Whatever is logged: an offset out of range is told by a log line alone.
    client.set_log_level(RDKafkaLogLevel::Info);
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
        let dispatcher =
            Dispatcher::new(handling, runtime, waker.clone(), &config.tag, config.max_in_flight);
        Ok(Self {
            config,
            client,
            consumer,
            dispatcher,
            shared,
            registries: BTreeMap::new(),
            commands,
            status,
            changes: 0,
            told: None,
            joined: false,
            draining: false,
            waker,
            committed_at: Instant::now(),
        })
    }

    /// Works until the consumer is closed.
    pub(crate) fn run(mut self) {
        let _ = self.waker.0.set(std::thread::current());
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
            let (settled, next) = self.step();
            self.tell();
            // What ended may have made room for records that were fetched long ago.
            if !fetched && !settled {
                std::thread::park_timeout(next.unwrap_or(NAP).min(NAP));
            }
        }
    }

    /// What is done at every turn, also while a partition is drained. Answers whether anything has ended, and when
    /// the next key is due.
    fn step(&mut self) -> (bool, Option<Duration>) {
        let settled = self.dispatcher.settle();
        let next = self.dispatcher.wake_due(Instant::now());
        self.dispatcher.dispatch(&self.registries);
        if !self.draining {
            self.commit_if_due();
        }
        (settled, next)
    }

    fn subscribe(&mut self) {
        self.registries = self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.dispatcher.unpark();
        self.changes += 1;
        let topics: Vec<&str> = self.registries.keys().map(String::as_str).collect();
        if topics.is_empty() {
            self.consumer.unsubscribe();
        } else if let Err(err) = self.consumer.subscribe(&topics) {
            tracing::error!(%err, ?topics, "topics cannot be subscribed to");
        }
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
        self.changes += 1;
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
        // Others own what was lost already: there is nothing to finish and nothing to commit.
        let lost = self.consumer.assignment_lost();
        match lost {
            true => epochs.iter().for_each(|it| self.forget(*it)),
            false => self.give_up(&epochs),
        }
        if let Err(err) = unassign(&self.consumer, partitions) {
            tracing::warn!(%err, "partitions could not be given back");
        }
        // An eager group takes everything away before it gives; a cooperative one leaves the rest.
        let protocol = self.consumer.rebalance_protocol();
        self.joined = matches!(protocol, RebalanceProtocol::Cooperative) && !lost;
        self.changes += 1;
        tracing::info!(
            group = self.config.group,
            partitions = elements.len(),
            lost,
            "partitions were revoked"
        );
    }

    /// Lets the work in flight of these partitions end, commits what is done and forgets them.
    fn give_up(&mut self, epochs: &[Epoch]) {
        self.dispatcher.drain(epochs);
        self.draining = true;
        let deadline = Instant::now() + self.config.drain_limit.min(DRAIN_MAX);
        self.dispatcher.settle();
        while !self.dispatcher.is_idle(epochs) && Instant::now() < deadline {
            let (_, next) = self.step();
            if !self.dispatcher.is_idle(epochs) {
                std::thread::park_timeout(next.unwrap_or(NAP).min(NAP));
            }
        }
        self.dispatcher.settle();
        let positions = self.dispatcher.positions(epochs);
        if positions.count() > 0 {
            self.commit(&positions, CommitMode::Sync);
        }
        epochs.iter().for_each(|it| self.forget(*it));
        self.draining = false;
    }

    /// A partition is not ours any more. What still runs is broken off.
    fn forget(&mut self, epoch: Epoch) {
        let Some(assigned) = self.dispatcher.get(epoch) else { return };
        let (topic, partition) = (assigned.topic.clone(), assigned.partition);
        metrics::gauge!("eventbus_lag", "group" => self.config.group.clone(),
            "topic" => topic.clone(), "partition" => partition.to_string())
        .set(0.0);
        let broken_off = self.dispatcher.remove(epoch);
        if broken_off > 0 {
            tracing::warn!(
                topic,
                partition,
                broken_off,
                "work was broken off and will be repeated"
            );
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
        // A share each, so that a partition whose records wait does not hold up the others.
        let share = (self.config.buffered_bytes_max / self.dispatcher.len().max(1)).max(1);
        let assigned = self.dispatcher.get(epoch)?;
        if assigned.bytes() >= share || assigned.window() >= self.config.partition_window {
            return None;
        }
        match assigned.queue.poll(Duration::ZERO)? {
            Ok(record) => Some(record.detach()),
            Err(err) => {
                metrics::counter!("eventbus_partition_errors_total",
                    "group" => self.config.group.clone(), "topic" => assigned.topic.clone())
                .increment(1);
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

    /// The client is of no use any more: forgets its partitions and, after a pause, makes another.
    fn renew(&mut self) -> Left {
        let all: Vec<Epoch> = self.dispatcher.partitions().map(|(it, _)| it).collect();
        all.into_iter().for_each(|it| self.forget(it));
        self.joined = false;
        self.changes += 1;
        self.tell();
        self.consumer.context().leave();
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
            match connect(&self.client, &self.config.group, &self.waker) {
                Ok(consumer) => break self.consumer = consumer,
                Err(err) => tracing::error!(%err, "no new consumer could be made, trying again"),
            }
        }
        self.subscribe();
        Left::Failed
    }

    fn tell(&mut self) {
        let now = (self.changes, self.consumer.context().is_connected());
        if self.told == Some(now) {
            return;
        }
        self.told = Some(now);
        let partitions = self.dispatcher.partitions();
        self.status.send_replace(Status {
            topics: self.registries.keys().cloned().collect(),
            assignment: partitions.map(|(_, it)| (it.topic.clone(), it.partition)).collect(),
            joined: self.joined,
            connected: now.1,
        });
    }
}

impl Drop for Worker {
    /// However the thread ends: nobody waits for it to carry out a rebalance, and nobody takes it for alive.
    fn drop(&mut self) {
        self.consumer.context().leave();
        self.status.send_modify(|it| {
            it.assignment.clear();
            (it.joined, it.connected) = (false, false);
        });
        // Dropping the last handle of the client leaves the group.
    }
}
