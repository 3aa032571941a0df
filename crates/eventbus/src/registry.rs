//! Which callback handles the records of a topic, and what it may answer.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::EventBusMessage;

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
        /// What went wrong, for the log.
        reason: String,
    },
    /// It never can be handled: it goes to the dead letters and its key goes on.
    Reject {
        /// What is wrong with it.
        reason: String,
    },
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
    /// When its first attempt began.
    pub first_attempt_at: Instant,
    /// When the attempt before this one failed.
    pub previous_failure_at: Option<Instant>,
}

impl Delivery {
    /// Whether one more counted failure ends it.
    pub fn is_last_if_counted(&self) -> bool {
        self.counted + 1 >= self.attempts_max
    }
}

/// How a callback is kept.
pub(crate) type Callback =
    Arc<dyn Fn(Delivery) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// A topic and the callback that handles its records.
#[derive(Clone)]
pub struct EventBusRegistry {
    pub(crate) topic: String,
    pub(crate) callback: Callback,
}

impl EventBusRegistry {
    /// Registers `callback` for the records of `topic`. It may run twice for a record, and for several
    /// records at a time, but never for two records of one key.
    pub fn new<C, F>(topic: impl Into<String>, callback: C) -> Self
    where
        C: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let callback: Callback = Arc::new(move |it| Box::pin(callback(it)));
        Self { topic: topic.into(), callback }
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
