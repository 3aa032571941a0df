//! Consuming: records go to callbacks, in order per key; what is done is committed.

mod assigned;
mod call;
mod client;
mod committer;
mod context;
mod dispatcher;
mod guard;
mod handling;
mod intake;
mod lines;
mod meters;
mod partition;
mod runners;
mod told;
mod waiting;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

use crate::{
    EventBusProducer, EventBusRegistry, RegisterError, Serializer, factory::FactoryError,
    registry::Registered, settings::Cluster,
};
use call::Limits;
use client::Waker;
use dispatcher::Dispatcher;
use guard::{Guard, GuardLimits};
use handling::Handling;
pub(crate) use meters::Meters;
use runners::Runners;
pub use waiting::{Inspector, WaitingRecord};
use worker::{Command, Worker};

/// What a consumer is made of.
///
/// Offsets are committed only up to the first record that is not done. What remains to choose is when:
///
/// | `auto_commit` | `asynchronous_commit` | commits |
/// | --- | --- | --- |
/// | no | no | in groups on a thread of their own, one at a time, each awaited: after `commit_every_records` records or `commit_every`, on revoke and at the end |
/// | no | yes | in the same groups, not awaited; awaited on revoke and at the end |
/// | yes | no | by librdkafka in the background every `commit_every`; awaited when a partition has nothing left to do, on revoke and at the end |
/// | yes | yes | by librdkafka in the background every `commit_every`; awaited on revoke and at the end |
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// Names the client at the broker and its thread.
    pub tag: String,
    /// The consumer group.
    pub group: String,
    /// The broker.
    pub cluster: Cluster,
    /// Settings of librdkafka that are passed through.
    pub properties: BTreeMap<String, String>,
    /// Whether librdkafka commits stored offsets in the background.
    pub auto_commit: bool,
    /// Whether commits are not awaited.
    pub asynchronous_commit: bool,
    /// Most calls of callbacks at a time.
    pub max_in_flight: usize,
    /// Most records of a partition that are taken from the broker and not yet done.
    pub partition_window: usize,
    /// Most records of a partition that are begun before the first one that is not done is done.
    pub dispatch_ahead_max: usize,
    /// While live records are ready, this share of the starts is left to those of a sync, 0 to 1.
    pub sync_share: f64,
    /// Most bytes of records that are held, over all partitions; a few records more may be under way.
    pub buffered_bytes_max: usize,
    /// A commit is due after so many records …
    pub commit_every_records: u64,
    /// … or after so long.
    pub commit_every: Duration,
    /// How many counted failures end a record.
    pub attempts_max: u32,
    /// A counted failure so long after its first attempt ends a record too.
    pub record_limit: Duration,
    /// A call of a callback that takes longer is given up.
    pub handler_limit: Duration,
    /// How long work in flight may take to end when a partition is taken away.
    pub drain_limit: Duration,
    /// A partition whose first open record has been that for so long is told to stand still.
    pub stuck_after: Duration,
    /// So many dead letters with no record handled between them stop the consumer.
    pub dead_letters_run_max: u32,
    /// This share of dead letters among the last thousand records stops the consumer, 0 to 1.
    pub dead_letters_share_max: f64,
}

/// The callbacks by topic.
type Registries = Arc<Mutex<BTreeMap<String, Arc<Registered>>>>;

/// How a consumer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The topics that have a callback.
    pub topics: Vec<String>,
    /// The partitions that are ours now.
    pub assignment: Vec<(String, i32)>,
    /// Whether the group has given us our share, which may be nothing, of `topics`.
    pub joined: bool,
    /// Whether a broker answers, as far as the client knows.
    pub connected: bool,
    /// Why nothing is handled any more: there are too many dead letters.
    pub stopped: Option<String>,
    /// What stands still, and where.
    pub stuck: Option<String>,
}

impl Status {
    /// Whether records are consumed, or none are wanted.
    ///
    /// # Errors
    /// Why they are not.
    pub fn is_ready(&self) -> Result<(), String> {
        if let Some(why) = &self.stopped {
            return Err(format!("stopped until it is resumed: {why}"));
        }
        if let Some(where_to) = &self.stuck {
            return Err(where_to.clone());
        }
        match self.topics.is_empty() || (self.joined && self.connected) {
            true => Ok(()),
            false => Err("no broker answers, or the group is not joined".to_owned()),
        }
    }
}

/// A member of a consumer group that hands records to callbacks.
///
/// Topics can be registered and unregistered while it runs. A thread of its own polls the broker; callbacks run
/// on the tokio runtime in which it was made.
pub struct EventBusConsumer {
    commands: mpsc::Sender<Command>,
    waker: Waker,
    group: String,
    registries: Registries,
    runners: Arc<Runners>,
    status: watch::Receiver<Status>,
    worker: JoinHandle<()>,
}

impl EventBusConsumer {
    /// Connects in the background; consumes nothing before a topic is registered.
    ///
    /// # Errors
    /// The settings do not make a client, or break what this bus promises.
    pub fn start(
        config: ConsumerConfig,
        serializer: Serializer,
        dead_letters: EventBusProducer,
    ) -> Result<Self, FactoryError> {
        let client = client::client_config(&config)?;
        let (commands, commands_in) = mpsc::channel();
        let (status_out, status) = watch::channel(Status::default());
        let registries = Registries::default();
        let waker = Waker::default();
        let group = config.group.clone();
        let runners = Runners::new(
            Dispatcher::new(config.limits()),
            config.handling(serializer, dead_letters),
            Handle::current(),
            waker.clone(),
            config.commit_every_records,
        );
        let worker = Worker::new(
            config,
            client,
            Arc::clone(&runners),
            Arc::clone(&registries),
            commands_in,
            status_out,
            waker.clone(),
        )?;
        // The thread ends when the consumer is closed or dropped.
        let worker = tokio::task::spawn_blocking(move || worker.run());
        Ok(Self { commands, waker, group, registries, runners, status, worker })
    }

    /// Begins to consume the topics of `registries`.
    ///
    /// # Errors
    /// A topic is registered already, or the consumer is closed; then none of the registries is taken.
    pub fn register(&self, registries: Vec<EventBusRegistry>) -> Result<(), RegisterError> {
        if registries.is_empty() {
            return Ok(());
        }
        let mut all = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = BTreeSet::new();
        let is_taken =
            |it: &&EventBusRegistry| all.contains_key(&it.topic) || !new.insert(it.topic.clone());
        if let Some(it) = registries.iter().find(is_taken) {
            return Err(RegisterError::AlreadyRegistered(it.topic.clone()));
        }
        for registry in registries {
            let registered = Arc::new(Registered::new(registry, &self.group));
            all.insert(registered.registry.topic.clone(), registered);
        }
        drop(all);
        self.send(Command::Subscribe)
    }

    /// Ceases to consume topics. Their work in flight ends and is committed.
    pub fn unregister(&self, topics: &[&str]) {
        let mut all = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|topic, _| !topics.contains(&topic.as_str()));
        let changed = all.len() != before;
        drop(all);
        if changed {
            // A consumer that is closed consumes nothing anyway.
            let _ = self.send(Command::Subscribe);
        }
    }

    /// The topics that have a callback.
    pub fn get_registered_topics(&self) -> Vec<String> {
        self.registries.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// What lets it go on after too many dead letters.
    pub fn resumer(&self) -> Resumer {
        Resumer(vec![(Arc::downgrade(&self.runners), self.waker.clone())])
    }

    /// What says which records wait, and for what.
    pub fn inspector(&self) -> Inspector {
        Inspector::of(&self.runners)
    }

    /// The partitions that are ours now.
    pub fn assignment(&self) -> Vec<(String, i32)> {
        self.status.borrow().assignment.clone()
    }

    /// How the consumer is.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Ends the work in flight within the drain limit, commits it and leaves the group.
    pub async fn close(self) {
        // Where the worker has ended already there is nothing left to do.
        let _ = self.send(Command::Close);
        if let Err(err) = self.worker.await {
            tracing::error!(%err, "the consumer's thread did not end well");
        }
    }

    fn send(&self, command: Command) -> Result<(), RegisterError> {
        self.commands.send(command).map_err(|_| RegisterError::Closed)?;
        self.waker.wake();
        Ok(())
    }
}

/// Lets consumers go on that have stopped after too many dead letters.
#[derive(Clone)]
pub struct Resumer(Vec<(Weak<Runners>, Waker)>);

impl Resumer {
    /// What an operator is told that it does.
    pub const WHAT: &str = "Goes on after too many dead letters.";

    /// Lets them go on. Answers whether any had stopped.
    pub fn resume(&self) -> bool {
        let mut had_stopped = false;
        for (runners, waker) in &self.0 {
            let Some(runners) = runners.upgrade() else { continue };
            had_stopped |= runners.handling.guard().resume();
            waker.wake();
        }
        had_stopped
    }

    /// The same for an operator, in words.
    ///
    /// # Errors
    /// None had stopped.
    pub fn act(&self) -> Result<String, String> {
        match self.resume() {
            true => Ok("goes on".to_owned()),
            false => Err("nothing had stopped".to_owned()),
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self([self.0, other.0].concat())
    }
}

impl ConsumerConfig {
    fn limits(&self) -> Limits {
        Limits {
            in_flight_max: self.max_in_flight,
            ahead_max: self.dispatch_ahead_max,
            window_max: self.partition_window,
            bytes_max: self.buffered_bytes_max,
            sync_every: (1.0 / self.sync_share.max(0.001)).round() as u32 - 1,
        }
    }

    fn handling(&self, serializer: Serializer, dead_letters: EventBusProducer) -> Handling {
        let guard = Guard::new(GuardLimits {
            run_max: self.dead_letters_run_max,
            share_max: self.dead_letters_share_max,
        });
        Handling {
            group: self.group.clone(),
            serializer,
            dead_letters,
            guard: Mutex::new(guard),
            attempts_max: self.attempts_max,
            record_limit: self.record_limit,
            limit: self.handler_limit,
        }
    }
}
