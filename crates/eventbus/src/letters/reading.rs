//! Reading a topic from one end to the other, several partitions in the order of time.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, base_consumer::PartitionQueue},
    error::KafkaError,
    message::OwnedMessage,
};

use crate::onlooker::{Complaints, Onlooker, PATIENCE, Unreadable, onlooker, why};

/// How long one look into a partition's queue takes at the most.
const LOOK: Duration = Duration::from_millis(20);

/// What a topic held at one moment.
#[derive(Clone, Debug)]
pub struct Extent {
    topic: String,
    ranges: Vec<Range>,
}

/// The records of a partition from `begin`, without `end`.
#[derive(Clone, Copy, Debug)]
struct Range {
    partition: i32,
    begin: i64,
    end: i64,
}

/// What the topic holds now.
///
/// # Errors
/// The broker does not say so.
pub fn extent(onlooker: &Onlooker, topic: &str, partitions: i32) -> Result<Extent, Unreadable> {
    let range = |partition| match onlooker.fetch_watermarks(topic, partition, PATIENCE) {
        Ok((begin, end)) => Ok(Range { partition, begin, end }),
        Err(error) => {
            Err(Unreadable(format!("`{topic}` cannot be read: {}", why(onlooker, &error))))
        }
    };
    let ranges = (0..partitions).map(range).collect::<Result<_, Unreadable>>()?;
    Ok(Extent { topic: topic.to_owned(), ranges })
}

impl Extent {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.ranges.iter().all(|it| it.begin >= it.end)
    }

    /// The last so many records of each partition; answers whether anything is left out.
    pub fn keep_last(&mut self, records: i64) -> bool {
        let mut left_out = false;
        for range in &mut self.ranges {
            let begin = range.end.saturating_sub(records).max(range.begin);
            left_out |= begin > range.begin;
            range.begin = begin;
        }
        left_out
    }
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
///
/// # Errors
/// The broker does not hand them out.
pub fn read(
    config: &ClientConfig,
    extent: &Extent,
    mut each: impl FnMut(OwnedMessage) -> ControlFlow<()>,
) -> Result<(), Unreadable> {
    if extent.is_empty() {
        return Ok(());
    }
    let consumer = onlooker(config);
    let consumer = consumer.map_err(|it| Unreadable(format!("no client of the broker: {it}")))?;
    let consumer = Arc::new(consumer);
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
            let reason = why(&consumer, &error);
            return Err(Unreadable(format!("`{}` is not handed out: {reason}", extent.topic)));
        }
    }
}

fn assign(consumer: &Arc<Onlooker>, extent: &Extent) -> Result<Vec<Source>, Unreadable> {
    let refused = |it: KafkaError| Unreadable(format!("`{}` cannot be read: {it}", extent.topic));
    let mut assignment = TopicPartitionList::new();
    let mut sources = Vec::new();
    for range in extent.ranges.iter().filter(|it| it.begin < it.end) {
        let begin = Offset::Offset(range.begin);
        let added = assignment.add_partition_offset(&extent.topic, range.partition, begin);
        added.map_err(refused)?;
        // Before the assignment: a queue that is split off later lets records pass each other.
        let queue = consumer.split_partition_queue(&extent.topic, range.partition);
        let queue = queue.ok_or_else(|| {
            Unreadable(format!("`{}` has no partition {}", extent.topic, range.partition))
        })?;
        sources.push(Source { range: *range, queue, head: None, read: false });
    }
    consumer.assign(&assignment).map_err(refused)?;
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
    fn look(&mut self, topic: &str) -> Result<(), Unreadable> {
        if self.read {
            return Ok(());
        }
        match self.queue.poll(LOOK) {
            None => (),
            Some(Ok(record)) if record.offset() >= self.range.end => self.read = true,
            Some(Ok(record)) => self.head = Some(record.detach()),
            // Markers of transactions and what retention has taken away leave no record at the end.
            Some(Err(KafkaError::PartitionEOF(_))) => self.read = true,
            Some(Err(error)) => {
                let partition = self.range.partition;
                return Err(Unreadable(format!("partition {partition} of `{topic}`: {error}")));
            }
        }
        Ok(())
    }
}
