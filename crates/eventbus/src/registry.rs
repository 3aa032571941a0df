//! Which callback handles the records of a topic, and what it may answer.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use events::Topic;
use tokio::time::Instant;

use crate::{Destination, EventBusMessage, Lane, Record, consumer::Meters};

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect is durable: its offset may be committed.
    Done,
    /// It has no effect here; the reason is counted.
    Skipped(&'static str),
    /// It cannot be handled now. Its key waits, others go on.
    RetryAfter {
        /// How long its key waits.
        after: Duration,
        /// Whether this counts towards the limit of attempts: whether the record may be at fault.
        counted: bool,
        /// What went wrong, for the log; empty where nothing did.
        reason: String,
    },
    /// It never can be handled: it goes to the dead letters and its key goes on.
    Reject {
        /// What is wrong with it.
        reason: String,
    },
}

impl Outcome {
    /// Nothing is wrong with it, but it is to be handled later: its key waits for so long, which is no failure and
    /// not worth a line in the log. What comes behind it gathers meanwhile.
    pub fn hold(after: Duration) -> Self {
        Self::RetryAfter { after, counted: false, reason: String::new() }
    }
}

/// One attempt at a message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What is delivered.
    pub message: EventBusMessage,
    /// Which attempt this is, from 1. A rebalance begins anew.
    pub attempt: u32,
    /// How many of the failures before this attempt counted.
    pub counted: u32,
    /// How many counted failures end it.
    pub attempts_max: u32,
    /// When it was taken from the broker; it may have stood behind others since.
    pub taken_at: Instant,
    /// When its first attempt began.
    pub first_attempt_at: Instant,
    /// When the attempt before this one failed.
    pub previous_failure_at: Option<Instant>,
}

impl Delivery {
    /// The first attempt at a message.
    pub fn first(message: EventBusMessage, attempts_max: u32) -> Self {
        let now = Instant::now();
        Self {
            message,
            attempt: 1,
            counted: 0,
            attempts_max,
            taken_at: now,
            first_attempt_at: now,
            previous_failure_at: None,
        }
    }

    /// Whether one more counted failure ends it.
    pub fn is_last_if_counted(&self) -> bool {
        self.counted + 1 >= self.attempts_max
    }
}

/// What a callback that was called is about to answer.
pub(crate) type Called<O> = Pin<Box<dyn Future<Output = O> + Send>>;

/// How a callback is kept.
#[derive(Clone)]
pub(crate) enum Callback {
    One(Arc<dyn Fn(Delivery) -> Called<Outcome> + Send + Sync>),
    Many(Batch, Arc<dyn Fn(Vec<Delivery>) -> Called<Vec<Outcome>> + Send + Sync>),
}

/// Which records a callback takes together, and how many at the most. It takes what is ready and never waits for
/// more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// Of different keys, one of each.
    OfKeys(usize),
    /// Of one key, in order. Where one of them is not done, those behind it are delivered again, whatever was
    /// answered for them.
    OfOneKey(usize),
    /// Of different keys, of each as many as are ready, in order; those of one key stand side by side. Within a key
    /// the same holds as for [`Batch::OfOneKey`].
    Ready(usize),
}

impl Batch {
    /// How many of one key a call may have.
    pub(crate) fn of_each_key(self) -> usize {
        match self {
            Self::OfKeys(_) => 1,
            Self::OfOneKey(most) | Self::Ready(most) => most.max(1),
        }
    }

    /// Up to how many further keys join a call.
    pub(crate) fn joined(self) -> usize {
        match self {
            Self::OfKeys(most) | Self::Ready(most) => most,
            Self::OfOneKey(_) => 0,
        }
    }
}

/// Says how urgent a record is.
pub(crate) type LaneOf = Arc<dyn Fn(&Record) -> Lane + Send + Sync>;

/// A topic and the callback that handles its records.
#[derive(Clone)]
pub struct EventBusRegistry {
    pub(crate) topic: String,
    pub(crate) callback: Callback,
    /// The callback's name, for the log.
    pub(crate) handler: &'static str,
    pub(crate) destination: Option<Destination>,
    pub(crate) lane: LaneOf,
    pub(crate) limit: Option<Duration>,
}

impl EventBusRegistry {
    /// Registers `callback` for the records of `topic`. It may run twice for a record, and for several
    /// records at a time, but never for two records of one key.
    pub fn new<C, F>(topic: impl Into<String>, callback: C) -> Self
    where
        C: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let callback = Callback::One(Arc::new(move |it| Box::pin(callback(it))));
        Self::with(topic.into(), callback, std::any::type_name::<C>())
    }

    /// Registers a `callback` that takes several records of `topic` at once and answers an outcome for each, in
    /// their order. Records for which it answers nothing are delivered again.
    pub fn batch<C, F>(topic: impl Into<String>, batch: Batch, callback: C) -> Self
    where
        C: Fn(Vec<Delivery>) -> F + Send + Sync + 'static,
        F: Future<Output = Vec<Outcome>> + Send + 'static,
    {
        let callback = Callback::Many(batch, Arc::new(move |it| Box::pin(callback(it))));
        Self::with(topic.into(), callback, std::any::type_name::<C>())
    }

    fn with(topic: String, callback: Callback, handler: &'static str) -> Self {
        let lane: LaneOf = Arc::new(|record| match record.header("ce_lane") {
            Some("sync") => Lane::Sync,
            Some(_) | None => Lane::Live,
        });
        Self { topic, callback, handler, destination: None, lane, limit: None }
    }

    /// Its callback calls `destination`: records start only as far as that admits them.
    #[must_use]
    pub fn towards(self, destination: &Destination) -> Self {
        Self { destination: Some(destination.clone()), ..self }
    }

    /// Says how urgent a record is; without this, the header `ce_lane` does.
    #[must_use]
    pub fn lane_by(self, lane: impl Fn(&Record) -> Lane + Send + Sync + 'static) -> Self {
        Self { lane: Arc::new(lane), ..self }
    }

    /// A call of its callback that takes longer is given up; without this, the consumer's limit holds. One that takes
    /// longer than the drain limit is broken off when its partition is taken away.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The topic whose records are handled.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

impl fmt::Debug for EventBusRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBusRegistry").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// A registry with what belongs to it while it is registered.
pub(crate) struct Registered {
    pub(crate) registry: EventBusRegistry,
    /// What the topic may carry, where the registry of topics knows it.
    pub(crate) topic: Option<&'static Topic>,
    pub(crate) meters: Meters,
}

impl Registered {
    pub(crate) fn new(registry: EventBusRegistry, group: &str) -> Self {
        let meters = Meters::new(group, &registry.topic);
        Self { topic: Topic::find(&registry.topic), registry, meters }
    }
}

/// Why a topic cannot be registered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// A topic has one callback.
    #[error("topic `{0}` is registered already")]
    AlreadyRegistered(String),
    /// The consumer was closed.
    #[error("the consumer is closed")]
    Closed,
}
