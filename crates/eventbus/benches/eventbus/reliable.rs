//! Awaited commits over a line with a round trip of 2 ms.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::json;
use testkit::servers::embedded::{self, Mock};

use crate::{
    bus::{Bus, Half, count},
    child::{Children, Measured, Task},
    figures::{Figures, median},
    ledger::Ledger,
    records::{Records, Spread},
};

/// The embedded broker keeps 5 MiB of a partition.
const PARTITIONS: i32 = 24;
const RECORDS: usize = 24 * 11_000;
const KEYS: usize = 24 * 1_000;
const VALUE_BYTES: usize = 60;
const TOPIC: &str = "bench-reliable";
const RUNS: usize = 3;
const ROUND_TRIP: Duration = Duration::from_millis(2);
const ANSWER: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(300);
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// What the embedded broker is told.
#[derive(clap::Args)]
pub(crate) struct BrokerOptions {
    address_file: PathBuf,
}

/// Serves the embedded broker.
pub(crate) async fn serve(options: &BrokerOptions) -> Result<()> {
    let mock =
        Mock { round_trip: ROUND_TRIP, further_topics: vec![(TOPIC.to_owned(), PARTITIONS)] };
    embedded::serve_as(&options.address_file, &mock).await
}

/// Records per second until everything is committed: the median.
pub(crate) async fn per_second(children: &Children, figures: &mut Figures) -> Result<f64> {
    let command = [std::env::current_exe().context("find this program")?, "broker".into()];
    let broker = embedded::start(&command, &children.folder).await?;
    let records = Records {
        kafka: broker.address.clone(),
        topic: TOPIC.to_owned(),
        partitions: PARTITIONS,
        count: RECORDS,
        keys: KEYS,
        spread: Spread::Even,
        value_bytes: VALUE_BYTES,
    };
    records.fill().await?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let changes = json!({"max_in_flight": 512, "partition_window": 10_000});
        let task = Task::Reliable(Bus::new(&records, Half::Reliable, changes));
        let it = children.measure("reliable", &task).await?;
        figures.account(&it);
        runs.push(it.records as f64 / it.seconds);
    }
    eprintln!("  reliable {runs:.0?} records/s");
    Ok(median(runs))
}

/// The child's part.
pub(crate) async fn until_committed(bus: &Bus) -> Result<Measured> {
    let ledger = Arc::new(Ledger::new(&bus.records));
    let consumer = bus.start(count(&ledger))?;
    let complete = tokio::time::timeout(LIMIT, ledger.complete()).await;
    complete.with_context(|| format!("not every record came: {:?}", ledger.measured()))?;
    let asked = bus.clone();
    let committed = tokio::task::spawn_blocking(move || committed(&asked)).await??;
    let mut measured = ledger.measured();
    let first = ledger.first().context("a handler has begun")?;
    measured.seconds = committed.duration_since(first).as_secs_f64();
    consumer.close().await;
    Ok(measured)
}

/// When the group has committed everything.
fn committed(bus: &Bus) -> Result<Instant> {
    let deadline = Instant::now() + LIMIT;
    let watcher: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &bus.records.kafka)
        .set("group.id", &bus.group)
        .create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(TOPIC, 0, bus.records.partitions - 1);
    loop {
        let offsets = watcher.committed_offsets(partitions.clone(), ANSWER)?;
        let sum: i64 = offsets
            .elements()
            .iter()
            .map(|it| match it.offset() {
                Offset::Offset(it) => it,
                Offset::Beginning
                | Offset::End
                | Offset::Stored
                | Offset::Invalid
                | Offset::OffsetTail(_) => 0,
            })
            .sum();
        if sum == bus.records.count as i64 {
            return Ok(Instant::now());
        }
        ensure!(Instant::now() < deadline, "only {sum} records were committed");
        std::thread::park_timeout(BETWEEN_LOOKS);
    }
}
