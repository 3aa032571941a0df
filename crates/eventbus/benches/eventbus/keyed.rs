//! Records that are slept over: order per key, concurrency across keys.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use eventbus::Outcome;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::json;
use tokio::runtime::Handle;

use crate::{
    bus::{Bus, Half},
    child::{Children, Measured, Task},
    figures::Figures,
    ledger::Ledger,
    noop::bare_consumer,
    records::{Records, Spread, id_of, sleep_of},
    run::Broker,
};

const RECORDS: usize = 10_000;
/// One key takes 2.5 ms for each record and more, whatever the limit.
const ONE_KEY_RECORDS: usize = 2_000;
const VALUE_BYTES: usize = 200;
const RUNS: usize = 3;
const POLL: Duration = Duration::from_millis(100);

fn records(broker: &Broker, count: usize, keys: usize) -> Records {
    Records {
        kafka: broker.kafka.clone(),
        topic: testkit::unique(&format!("bench-keyed-{keys}")),
        partitions: 1,
        count,
        keys,
        spread: Spread::Even,
        value_bytes: VALUE_BYTES,
    }
}

fn bus(records: &Records, in_flight: usize) -> Bus {
    let changes = json!({"max_in_flight": in_flight, "partition_window": RECORDS});
    Bus::new(records, Half::Reliable, changes)
}

/// Wall seconds and overhead with `keys` keys and `in_flight` records at a time: the run with the median overhead.
pub(crate) async fn overhead(
    broker: &Broker,
    children: &Children,
    keys: usize,
    in_flight: usize,
    figures: &mut Figures,
) -> Result<(f64, f64)> {
    let records = records(broker, RECORDS, keys);
    records.fill().await?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let task = Task::Keyed(bus(&records, in_flight));
        let it = children.measure(&format!("keyed-{in_flight}"), &task).await?;
        figures.account(&it);
        runs.push((it.seconds, it.seconds * in_flight as f64 / it.handling_seconds));
    }
    runs.sort_by(|one, other| one.1.total_cmp(&other.1));
    Ok(runs[RUNS / 2])
}

/// Wall seconds with one key, and of a plain loop over the same records.
pub(crate) async fn one_key(
    broker: &Broker,
    children: &Children,
    figures: &mut Figures,
) -> Result<(f64, f64)> {
    let records = records(broker, ONE_KEY_RECORDS, 1);
    records.fill().await?;
    let keyed = children.measure("one-key", &Task::Keyed(bus(&records, 16))).await?;
    figures.account(&keyed);
    let serial = children.measure("serial", &Task::Serial(records)).await?;
    figures.account(&serial);
    Ok((keyed.seconds, serial.seconds))
}

/// The child's part: through the product.
pub(crate) async fn through_the_bus(bus: &Bus) -> Result<Measured> {
    let ledger = Arc::new(Ledger::new(&bus.records));
    let shared = Arc::clone(&ledger);
    bus.consume_all(&ledger, move |delivery| {
        let ledger = Arc::clone(&shared);
        async move {
            let (number, _) = ledger.begin(&delivery.message.attributes.id);
            let began = Instant::now();
            tokio::time::sleep(sleep_of(number)).await;
            ledger.spent(began.elapsed());
            ledger.end(number);
            Outcome::Done
        }
    })
    .await?;
    Ok(ledger.measured())
}

/// The child's part: a plain loop that handles one record at a time.
pub(crate) async fn one_at_a_time(records: Records) -> Result<Measured> {
    let runtime = Handle::current();
    let run = move || {
        let ledger = Ledger::new(&records);
        let consumer: BaseConsumer = bare_consumer(&records)?;
        let mut left = records.count;
        while left > 0 {
            let Some(record) = consumer.poll(POLL).transpose()? else { continue };
            let (number, _) = ledger.begin(id_of(&record).context("a record without an id")?);
            let began = Instant::now();
            runtime.block_on(tokio::time::sleep(sleep_of(number)));
            ledger.spent(began.elapsed());
            ledger.end(number);
            consumer.store_offset_from_message(&record)?;
            left -= 1;
        }
        anyhow::Ok(ledger.measured())
    };
    tokio::task::spawn_blocking(run).await.context("the plain loop")?
}
