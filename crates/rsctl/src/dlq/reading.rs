//! Reading a topic from one end to the other, several partitions in the order of time.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, base_consumer::PartitionQueue},
    error::KafkaError,
    message::OwnedMessage,
};

use crate::broker::{Complaints, Onlooker, PATIENCE, onlooker, why};

/// How long one look into a partition's queue takes at the most.
const LOOK: Duration = Duration::from_millis(20);

/// What a topic held at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(crate) topic: String,
    pub(crate) ranges: Vec<Range>,
}

/// The records of a partition from `begin`, without `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    partition: i32,
    begin: i64,
    end: i64,
}

/// What the topic holds now.
pub(crate) fn extent(onlooker: &Onlooker, topic: &str, partitions: i32) -> Result<Extent> {
    let range = |partition| match onlooker.fetch_watermarks(topic, partition, PATIENCE) {
        Ok((begin, end)) => Ok(Range { partition, begin, end }),
        Err(error) => bail!("`{topic}` cannot be read: {}", why(onlooker, &error)),
    };
    let ranges = (0..partitions).map(range).collect::<Result<_>>()?;
    Ok(Extent { topic: topic.to_owned(), ranges })
}

/// A partition that is being read.
struct Source {
    range: Range,
    queue: PartitionQueue<Complaints>,
    /// Its next record.
    head: Option<OwnedMessage>,
    read: bool,
}

/// Hands every record of the extent to `each`: those of one partition in their order, partitions merged by the
/// records' times. Blocks; only the head of each partition is held.
pub(crate) fn read(
    config: &ClientConfig,
    extent: &Extent,
    mut each: impl FnMut(OwnedMessage) -> ControlFlow<()>,
) -> Result<()> {
    let consumer = Arc::new(onlooker(config)?);
    let mut sources = assign(&consumer, extent)?;
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        // Serves the client's events; records come by the queues.
        let complaint = match consumer.poll(Duration::ZERO) {
            Some(Err(error)) => Some(error),
            Some(Ok(_)) | None => None,
        };
        for source in sources.iter_mut().filter(|it| it.head.is_none()) {
            source.look(&extent.topic)?;
        }
        sources.retain(|it| !it.read);
        if sources.is_empty() {
            return Ok(());
        }
        if sources.iter().all(|it| it.head.is_some()) {
            deadline = Instant::now() + PATIENCE;
            if each(first(&mut sources)).is_break() {
                return Ok(());
            }
        } else if Instant::now() > deadline {
            let error = complaint.unwrap_or(KafkaError::NoMessageReceived);
            bail!("`{}` is not handed out: {}", extent.topic, why(&consumer, &error));
        }
    }
}

fn assign(consumer: &Arc<Onlooker>, extent: &Extent) -> Result<Vec<Source>> {
    let mut assignment = TopicPartitionList::new();
    let mut sources = Vec::new();
    for range in extent.ranges.iter().filter(|it| it.begin < it.end) {
        let begin = Offset::Offset(range.begin);
        assignment.add_partition_offset(&extent.topic, range.partition, begin)?;
        // Before the assignment: a queue that is split off later lets records pass each other.
        let queue = consumer.split_partition_queue(&extent.topic, range.partition);
        let queue = queue.with_context(|| format!("there is no partition {}", range.partition))?;
        sources.push(Source { range: *range, queue, head: None, read: false });
    }
    consumer.assign(&assignment).context("read the topic")?;
    Ok(sources)
}

/// The earliest head. All sources have one.
fn first(sources: &mut [Source]) -> OwnedMessage {
    let time = |it: &Source| it.head.as_ref().and_then(|it| it.timestamp().to_millis());
    let first = sources.iter_mut().min_by_key(|it| (time(it), it.range.partition));
    let first = first.expect("there are sources");
    let head = first.head.take().expect("every source has a head");
    first.read = head.offset() + 1 >= first.range.end;
    head
}

impl Source {
    fn look(&mut self, topic: &str) -> Result<()> {
        if self.read {
            return Ok(());
        }
        match self.queue.poll(LOOK) {
            None => (),
            Some(Ok(record)) if record.offset() >= self.range.end => self.read = true,
            Some(Ok(record)) => self.head = Some(record.detach()),
            // Markers of transactions and what retention has taken away leave no record at the end.
            Some(Err(KafkaError::PartitionEOF(_))) => self.read = true,
            Some(Err(error)) => bail!("partition {} of `{topic}`: {error}", self.range.partition),
        }
        Ok(())
    }
}
