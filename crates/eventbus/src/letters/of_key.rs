//! The dead letters of one key, found without going through all that ever failed.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc, time::Duration};

use events::topics::dead_letter_topic;
use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::{Entry, Letter, Mark, Place, extent, read};
use crate::onlooker::{Unreadable, onlooker, topics};

/// Most looks at a time: each is a connection to the broker of its own.
const SIDE_BY_SIDE: usize = 4;
/// Most letters of one key that are handed out, the newest.
const LETTERS_MAX: usize = 100;

/// How far a look goes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LookLimits {
    /// The newest records of each partition of a dead-letter topic that are looked at.
    pub records: u32,
    /// After how many milliseconds a look is given up.
    pub limit_ms: u64,
}

/// Looks for dead letters. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetters {
    config: Arc<ClientConfig>,
    places: Arc<Semaphore>,
    limits: LookLimits,
}

/// What was found.
#[derive(Default)]
pub struct LettersOfKey {
    /// Those of which nothing has become yet, in the order in which they were set aside.
    pub open: Vec<Letter>,
    /// Whether all that the topic has was looked at.
    pub complete: bool,
}

impl DeadLetters {
    pub(crate) fn new(config: ClientConfig, limits: LookLimits) -> Self {
        let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
        Self { config: Arc::new(config), places, limits }
    }

    /// What `group` has set aside of `topic` under this key and nobody has replayed or dropped. A topic that the
    /// broker does not have holds nothing.
    ///
    /// # Errors
    /// The broker does not answer in time, or too many look at the same time.
    pub async fn of_key(
        &self,
        topic: &str,
        group: &str,
        key: &str,
    ) -> Result<LettersOfKey, Unreadable> {
        let limit = Duration::from_millis(self.limits.limit_ms);
        let late = |_| Unreadable(format!("no answer within {} ms", limit.as_millis()));
        let look = async {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.expect("the semaphore is never closed");
            let (config, records) = (Arc::clone(&self.config), i64::from(self.limits.records));
            let (topic, key) = (dead_letter_topic(topic, group), key.as_bytes().to_vec());
            let look = spawn_blocking(move || {
                // Held until the look has really ended, also where nobody waits for it any more.
                let _place = place;
                look(&config, &topic, &key, records)
            });
            look.await.map_err(|it| Unreadable(it.to_string()))?
        };
        timeout(limit, look).await.map_err(late)?
    }
}

fn look(
    config: &ClientConfig,
    topic: &str,
    key: &[u8],
    records: i64,
) -> Result<LettersOfKey, Unreadable> {
    let consumer = onlooker(config);
    let consumer = consumer.map_err(|it| Unreadable(format!("no client of the broker: {it}")))?;
    let Some(partitions) = topics(&consumer)?.remove(topic) else {
        return Ok(LettersOfKey { open: Vec::new(), complete: true });
    };
    let mut extent = extent(&consumer, topic, partitions)?;
    drop(consumer);
    let left_out = extent.keep_last(records);
    let (mut found, mut marks) = (Vec::new(), HashMap::<Place, Mark>::new());
    read(config, &extent, |record| {
        match Entry::of(record) {
            Entry::Mark(of, mark) => drop(marks.insert(of, mark)),
            Entry::Letter(letter) if letter.key() == Some(key) => found.push(letter),
            Entry::Letter(_) => (),
        }
        ControlFlow::Continue(())
    })?;
    // A mark lies behind its letter.
    found.retain(|it| !marks.contains_key(&it.place));
    let too_many = found.len().saturating_sub(LETTERS_MAX);
    Ok(LettersOfKey { open: found.split_off(too_many), complete: !left_out && too_many == 0 })
}
