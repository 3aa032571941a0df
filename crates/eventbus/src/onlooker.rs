//! A consumer that looks at what lies on the broker: it joins no group and commits nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};

/// How long a broker may take to answer a question.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take the client to say why it is not connected.
const REASON_LIMIT: Duration = Duration::from_millis(500);

/// A consumer that joins no group and commits nothing.
pub type Onlooker = BaseConsumer<Complaints>;

/// Why something cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub(crate) String);

/// Makes one from what is set of any client of the broker.
///
/// # Errors
/// The settings do not make a client.
pub fn onlooker(config: &ClientConfig) -> Result<Onlooker, KafkaError> {
    let mut config = config.clone();
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config.set("allow.auto.create.topics", "false").set("auto.offset.reset", "earliest");
    config.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "50");
    // Of each partition, so that a long topic is not held as a whole.
    config.set("queued.max.messages.kbytes", "8192");
    config.create_with_context(Complaints::default())
}

/// The broker's topics with the number of their partitions.
///
/// # Errors
/// The broker does not answer.
pub fn topics(onlooker: &Onlooker) -> Result<BTreeMap<String, i32>, Unreadable> {
    let metadata = match onlooker.fetch_metadata(None, PATIENCE) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Err(Unreadable(format!("no broker answers: {}", why(onlooker, &error))));
        }
    };
    let partitions = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let all = metadata.topics().iter();
    Ok(all.map(|it| (it.name().to_owned(), partitions(it.partitions().len()))).collect())
}

/// What the client has complained about, which says more than the error of a call that took too long.
pub fn why(onlooker: &Onlooker, error: &KafkaError) -> String {
    let deadline = Instant::now() + REASON_LIMIT;
    while Instant::now() < deadline {
        // Complaints come by the queue of events.
        let _ = onlooker.poll(Duration::from_millis(50));
        if let Some(reason) = onlooker.context().last() {
            return reason;
        }
    }
    error.to_string()
}

/// The last complaint of a client.
#[derive(Default)]
pub struct Complaints(Mutex<Option<String>>);

impl Complaints {
    fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Complaints {
    fn error(&self, error: KafkaError, reason: &str) {
        // That all are down says less than what is wrong with one of them.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Complaints {}
