//! The registry's topics on a broker, dead letters included.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
};

use crate::{
    records::Sender,
    servers::{self, embedded::TOPIC_MAKER},
    wait::within,
};

const RECORD_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// A dead letter is a record with its history in further headers.
const DEAD_LETTER_BYTES_MAX: u32 = 2 * RECORD_BYTES_MAX;
const DEAD_LETTER_PARTITIONS: i32 = 1;
const READY: Duration = Duration::from_secs(60);

/// A topic as a broker is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// How long a record is kept, in milliseconds.
    pub retention_ms: u64,
    /// The value of `cleanup.policy`.
    pub cleanup_policy: &'static str,
    /// The value of `max.message.bytes`.
    pub max_message_bytes: u32,
}

impl Wanted {
    /// A topic and the dead-letter topic of a group, for a test of its own.
    #[must_use]
    pub fn with_dead_letters(name: &str, group: &str, partitions: i32) -> Vec<Self> {
        let one = |name: String, partitions, max_message_bytes| Self {
            name,
            partitions,
            retention_ms: milliseconds(1),
            cleanup_policy: "delete",
            max_message_bytes,
        };
        let dead = events::topics::dead_letter_topic(name, group);
        vec![
            one(name.to_owned(), partitions, RECORD_BYTES_MAX),
            one(dead, DEAD_LETTER_PARTITIONS, DEAD_LETTER_BYTES_MAX),
        ]
    }
}

/// Every topic of the registry and every dead-letter topic.
#[must_use]
pub fn wanted() -> Vec<Wanted> {
    let topics = events::topics::ALL.iter().map(|it| Wanted {
        name: it.name.to_owned(),
        partitions: it.partitions,
        retention_ms: milliseconds(it.retention_hours),
        cleanup_policy: it.cleanup.policy(),
        max_message_bytes: RECORD_BYTES_MAX,
    });
    let dead = events::topics::dead_letters().into_iter().map(|(name, hours)| Wanted {
        name,
        partitions: DEAD_LETTER_PARTITIONS,
        retention_ms: milliseconds(hours),
        cleanup_policy: "delete",
        max_message_bytes: DEAD_LETTER_BYTES_MAX,
    });
    topics.chain(dead).collect()
}

fn milliseconds(hours: u32) -> u64 {
    u64::from(hours) * 60 * 60 * 1000
}

/// Makes the registry's topics, as far as the broker does not have them, and waits until it shows them all.
///
/// # Errors
/// When the broker refuses one or does not show it in time.
pub async fn create(bootstrap: &str) -> Result<()> {
    make(bootstrap, wanted()).await
}

/// Makes those of the `wanted` topics that the broker does not have and waits until it shows them all.
///
/// # Errors
/// When the broker refuses one or does not show it in time.
pub async fn make(bootstrap: &str, wanted: Vec<Wanted>) -> Result<()> {
    let shown = shown(bootstrap).await?;
    let missing: Vec<_> = wanted.into_iter().filter(|it| !shown.contains(&it.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if shown.contains(TOPIC_MAKER) {
        ask_embedded(bootstrap, &missing).await?;
    } else {
        ask(bootstrap, &missing).await?;
    }
    within(READY, || async {
        let shown = self::shown(bootstrap).await.ok()?;
        missing.iter().all(|it| shown.contains(&it.name)).then_some(())
    })
    .await
    .context("the broker does not show the topics that it has made")
}

async fn ask(bootstrap: &str, missing: &[Wanted]) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = servers::client(bootstrap).create()?;
    let numbers: Vec<_> = missing
        .iter()
        .map(|it| (it.retention_ms.to_string(), it.max_message_bytes.to_string()))
        .collect();
    let asked: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&numbers)
        .map(|(it, (retention, bytes))| {
            // The broker's own default: 3 in production, 1 on a developer's machine.
            NewTopic::new(&it.name, it.partitions, TopicReplication::Fixed(-1))
                .set("retention.ms", retention)
                .set("cleanup.policy", it.cleanup_policy)
                .set("max.message.bytes", bytes)
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(READY)).request_timeout(Some(READY));
    let answers = admin.create_topics(&asked, &options).await.context("create the topics")?;
    for answer in answers {
        match answer {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, error)) => bail!("create the topic {name}: {error}"),
        }
    }
    Ok(())
}

async fn ask_embedded(bootstrap: &str, missing: &[Wanted]) -> Result<()> {
    let sender = Sender::new(bootstrap)?;
    for it in missing {
        let partitions = it.partitions.to_string();
        sender.send_raw(TOPIC_MAKER, Some(&it.name), &[], partitions.as_bytes()).await?;
    }
    Ok(())
}

/// Waits until the broker shows all of the registry's topics with a leader for each partition.
pub(crate) async fn have_leaders(bootstrap: &str) -> Result<()> {
    let led = within(READY, || async {
        let shown = self::shown(bootstrap).await.ok()?;
        wanted().iter().all(|it| shown.contains(&it.name)).then_some(())
    });
    led.await.context("the broker shows topics without leaders")
}

/// The topics that the broker shows with a leader for each partition.
async fn shown(bootstrap: &str) -> Result<BTreeSet<String>> {
    let config = servers::client(bootstrap);
    let look = tokio::task::spawn_blocking(move || -> Result<BTreeSet<String>> {
        let consumer: BaseConsumer = config.create()?;
        let metadata = consumer
            .fetch_metadata(None, Duration::from_secs(15))
            .context("ask the broker for its topics")?;
        let complete = metadata.topics().iter().filter(|it| {
            !it.partitions().is_empty() && it.partitions().iter().all(|it| it.leader() >= 0)
        });
        Ok(complete.map(|it| it.name().to_owned()).collect())
    });
    look.await.context("ask the broker")?
}
