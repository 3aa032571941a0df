//! Records that need no work: what the bus itself takes, beside a bare client.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::{Value, json};

use crate::{
    bus::{Bus, Half, count},
    child::{Children, Measured, Task},
    figures::{Figures, median},
    ledger::Ledger,
    records::{Records, Spread},
    run::Broker,
};

const RECORDS: usize = 1_000_000;
const KEYS: usize = 100_000;
const VALUE_BYTES: usize = 200;
const RUNS: usize = 3;
const POLL: Duration = Duration::from_millis(100);

/// The settings of a consumer whose handlers do nothing.
pub(crate) fn changes() -> Value {
    json!({"max_in_flight": 512, "partition_window": 1_000, "commit_every_ms": 50})
}

/// A topic with what there is to count.
pub(crate) async fn filled(broker: &Broker) -> Result<Records> {
    let records = Records {
        kafka: broker.kafka.clone(),
        topic: testkit::unique("bench-noop"),
        partitions: 1,
        count: RECORDS,
        keys: KEYS,
        spread: Spread::Random,
        value_bytes: VALUE_BYTES,
    };
    records.fill().await?;
    Ok(records)
}

/// Records per second through the product and of a bare client, in turns; and the product's peak of memory.
pub(crate) async fn side_by_side(
    records: &Records,
    children: &Children,
    figures: &mut Figures,
) -> Result<(f64, f64, f64)> {
    let (mut noop, mut raw, mut rss_mb) = (Vec::new(), Vec::new(), 0f64);
    for _ in 0..RUNS {
        let task = Task::Noop(Bus::new(records, Half::Performant, changes()));
        let it = children.measure("noop", &task).await?;
        figures.account(&it);
        noop.push(it.records as f64 / it.seconds);
        rss_mb = rss_mb.max(it.rss_mb);
        let it = children.measure("raw", &Task::Raw(records.clone())).await?;
        raw.push(it.records as f64 / it.seconds);
    }
    eprintln!("  noop {noop:.0?}, raw {raw:.0?} records/s");
    Ok((median(noop), median(raw), rss_mb))
}

/// The child's part: through the product.
pub(crate) async fn through_the_bus(bus: &Bus) -> Result<Measured> {
    let ledger = Arc::new(Ledger::new(&bus.records));
    bus.consume_all(&ledger, count(&ledger)).await?;
    Ok(ledger.measured())
}

/// The child's part: a polling loop that stores offsets, and no more.
pub(crate) async fn bare(records: Records) -> Result<Measured> {
    let run = move || {
        let consumer = bare_consumer(&records)?;
        let (mut first, mut next) = (None, 0);
        while next < records.count as i64 {
            let Some(record) = consumer.poll(POLL).transpose()? else { continue };
            first.get_or_insert_with(Instant::now);
            ensure!(record.offset() == next, "offset {} follows {next}", record.offset());
            consumer.store_offset_from_message(&record)?;
            next += 1;
        }
        let seconds = first.context("there are records")?.elapsed().as_secs_f64();
        Ok(Measured { seconds, records: records.count as u64, ..Measured::default() })
    };
    tokio::task::spawn_blocking(run).await.context("the polling loop")?
}

/// A bare client that stores offsets by hand and commits them in the background.
pub(crate) fn bare_consumer(records: &Records) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &records.kafka)
        .set("group.id", testkit::unique("bench-bare"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("enable.auto.offset.store", "false")
        .create()?;
    consumer.subscribe(&[&records.topic])?;
    Ok(consumer)
}
