//! Consuming: records go to callbacks, in order per key; what is done is committed.

mod context;
mod dispatcher;
mod handling;
mod partition;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, task::JoinHandle};

use crate::{
    EventBusProducer, EventBusRegistry, RegisterError, Serializer, factory::FactoryError,
    settings::Cluster,
};
use handling::Handling;
use worker::{Command, Waker, Worker};

/// What a consumer is made of.
///
/// Offsets are stored when a record is done, and only up to the first one that is not. What remains to choose is
/// when they are committed:
///
/// | `auto_commit` | `asynchronous_commit` | commits |
/// | --- | --- | --- |
/// | no | no | in groups, each awaited: after `commit_every_records` records or `commit_every`, on revoke and at the end |
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
    /// Most records that are handled at a time.
    pub max_in_flight: usize,
    /// Most records of a partition that a crash can repeat.
    pub partition_window: usize,
    /// Most bytes of record values that are held, over all partitions.
    pub buffered_bytes_max: usize,
    /// A commit is due after so many records …
    pub commit_every_records: u64,
    /// … or after so long.
    pub commit_every: Duration,
    /// How many counted failures end a record.
    pub attempts_max: u32,
    /// A call of a callback that takes longer is given up.
    pub handler_limit: Duration,
    /// How long work in flight may take to end when a partition is taken away.
    pub drain_limit: Duration,
}

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
}

impl Status {
    /// Whether records are consumed, or none are wanted.
    pub fn is_ready(&self) -> bool {
        self.topics.is_empty() || (self.joined && self.connected)
    }
}

/// A member of a consumer group that hands records to callbacks.
///
/// Topics can be registered and unregistered while it runs. A thread of its own polls the broker; callbacks run
/// on the tokio runtime in which it was made.
pub struct EventBusConsumer {
    commands: mpsc::Sender<Command>,
    waker: Waker,
    registries: Arc<Mutex<BTreeMap<String, EventBusRegistry>>>,
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
        let client = worker::client_config(&config)?;
        let (commands, commands_in) = mpsc::channel();
        let (status_out, status) = watch::channel(Status::default());
        let registries = Arc::new(Mutex::new(BTreeMap::new()));
        let waker = Waker::default();
        let handling = Arc::new(Handling {
            group: config.group.clone(),
            serializer,
            dead_letters,
            attempts_max: config.attempts_max,
            limit: config.handler_limit,
        });
        let worker = Worker::new(
            config,
            client,
            handling,
            Arc::clone(&registries),
            commands_in,
            status_out,
            waker.clone(),
            Handle::current(),
        )?;
        // The thread ends when the consumer is closed or dropped.
        let worker = tokio::task::spawn_blocking(move || worker.run());
        Ok(Self { commands, waker, registries, status, worker })
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
        all.extend(registries.into_iter().map(|it| (it.topic.clone(), it)));
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
