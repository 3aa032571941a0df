//! Whether the fleet has done all that was asked of it: every offset committed, nothing untold.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use mongodb::{
    Client,
    bson::{Document, doc},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};

use crate::servers;

const PATIENCE: Duration = Duration::from_secs(15);
/// The broker misses a dead member within ten seconds.
const MISSED: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Tasks are told by their own rules; whoever waits for them asks for their jobs.
const TASKS: &str = "async_tasks";

/// How far one group is behind on one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: &'static str,
    /// Records that wait or are being worked on.
    pub records: i64,
}

/// The lag of each group on each topic that the registry gives it, without joining the group.
///
/// A record's offset is only committed when the record is done, so its retries count as lag.
///
/// # Errors
/// When the broker does not answer.
pub async fn lags(bootstrap: &str, groups: &[&str]) -> Result<Vec<Lag>> {
    let bootstrap = bootstrap.to_owned();
    let groups: Vec<String> = groups.iter().map(|&it| it.to_owned()).collect();
    let look = tokio::task::spawn_blocking(move || {
        let mut lags = Vec::new();
        for group in &groups {
            let consumer = onlooker(&bootstrap, group)?;
            for topic in topics_of(group) {
                let records = lag(&consumer, topic)?;
                lags.push(Lag { group: group.clone(), topic: topic.name, records });
            }
        }
        Ok(lags)
    });
    look.await.context("look at the lag")?
}

/// Moves each group to the end of its topics: a new fleet then has nothing to do with what an
/// earlier one has left. Members that are dead are waited for until the broker misses them.
///
/// # Errors
/// When the broker refuses, as it does where a group has members that live.
pub async fn skip_to_end(bootstrap: &str, groups: &[&str]) -> Result<()> {
    for &group in groups {
        let deadline = Instant::now() + MISSED;
        loop {
            let (bootstrap, name) = (bootstrap.to_owned(), group.to_owned());
            let skip = tokio::task::spawn_blocking(move || skip(&bootstrap, &name));
            let skipped = skip.await.context("move a group")?;
            if skipped.is_ok() {
                break;
            }
            if Instant::now() >= deadline {
                return skipped.with_context(|| format!("move the group {group} to the end"));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
    Ok(())
}

fn skip(bootstrap: &str, group: &str) -> Result<()> {
    let consumer = onlooker(bootstrap, group)?;
    let mut ends = TopicPartitionList::new();
    for topic in topics_of(group) {
        for partition in 0..topic.partitions {
            let (_, high) = consumer.fetch_watermarks(topic.name, partition, PATIENCE)?;
            if high > 0 {
                ends.add_partition_offset(topic.name, partition, Offset::Offset(high))?;
            }
        }
    }
    if ends.count() > 0 {
        consumer.commit(&ends, CommitMode::Sync)?;
    }
    Ok(())
}

/// What is still to be done: records that wait and documents that are untold, each in words.
///
/// # Errors
/// When the broker or the store does not answer.
pub async fn open_work(
    bootstrap: &str,
    groups: &[&str],
    client: &Client,
    databases: &[String],
) -> Result<Vec<String>> {
    let behind = lags(bootstrap, groups).await?.into_iter().filter(|it| it.records > 0);
    let mut open: Vec<String> = behind
        .map(|it| format!("{} is {} records behind on {}", it.group, it.records, it.topic))
        .collect();
    for name in databases {
        let database = client.database(name);
        let collections = database.list_collection_names().await?;
        for collection in collections.into_iter().filter(|it| it != TASKS) {
            let documents = database.collection::<Document>(&collection);
            let untold = documents.count_documents(doc! {"untold": true}).await?;
            if untold > 0 {
                open.push(format!("{untold} untold in {name}.{collection}"));
            }
        }
    }
    Ok(open)
}

fn onlooker(bootstrap: &str, group: &str) -> Result<BaseConsumer> {
    let mut config = servers::client(bootstrap);
    config.set("group.id", group).set("enable.auto.commit", "false");
    config.create().context("make a consumer that only looks")
}

fn topics_of(group: &str) -> impl Iterator<Item = &'static events::topics::Topic> {
    events::topics::ALL.iter().filter(move |it| it.groups().contains(&group))
}

fn lag(consumer: &BaseConsumer, topic: &events::topics::Topic) -> Result<i64> {
    let mut asked = TopicPartitionList::new();
    (0..topic.partitions).for_each(|it| {
        asked.add_partition(topic.name, it);
    });
    let committed = consumer.committed_offsets(asked, PATIENCE)?;
    let mut records = 0;
    for partition in committed.elements_for_topic(topic.name) {
        let (low, high) = consumer.fetch_watermarks(topic.name, partition.partition(), PATIENCE)?;
        let next = partition.offset().to_raw().filter(|it| *it >= 0).unwrap_or(low);
        records += (high - next).max(0);
    }
    Ok(records)
}
