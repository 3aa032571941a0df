//! Bytes that are fetched twice because handlers stood still for a while.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use eventbus::Outcome;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    bus::{Bus, Half},
    child::{Children, Measured, Task},
    figures::Figures,
    ledger::Ledger,
    records::{Records, Spread},
    run::Broker,
};

const RECORDS: usize = 300_000;
const KEYS: usize = 30_000;
const STALLS: usize = 20;
const STALL: Duration = Duration::from_millis(100);
/// The client tells its statistics every second.
const LAST_STATISTICS: Duration = Duration::from_millis(2_500);
const METRIC: &str = "eventbus_received_bytes";

/// Bytes that come with stalls, for each byte that comes without.
pub(crate) async fn ratio(
    broker: &Broker,
    children: &Children,
    figures: &mut Figures,
) -> Result<Option<f64>> {
    let records = Records {
        kafka: broker.kafka.clone(),
        topic: testkit::unique("bench-refetch"),
        partitions: 1,
        count: RECORDS,
        keys: KEYS,
        spread: Spread::Random,
        value_bytes: 200,
    };
    records.fill().await?;
    let bus = || Bus::new(&records, Half::Performant, json!({}));
    let plain = children.measure("fetch", &Task::Refetch(bus(), 0)).await?;
    figures.account(&plain);
    let stalled = children.measure("refetch", &Task::Refetch(bus(), STALLS)).await?;
    figures.account(&stalled);
    let stood = STALL.as_secs_f64() * STALLS as f64;
    ensure!(stalled.seconds >= stood, "the handlers did not stand still for {stood} s");
    eprintln!(
        "  received {:?} bytes, with stalls {:?}",
        plain.received_bytes, stalled.received_bytes
    );
    Ok(stalled.received_bytes.zip(plain.received_bytes).map(|(stalled, plain)| stalled / plain))
}

/// The child's part: handlers stand still `stalls` times, all of them at once.
pub(crate) async fn with_stalls(
    bus: &Bus,
    stalls: usize,
    metrics: &PrometheusHandle,
) -> Result<Measured> {
    let ledger = Arc::new(Ledger::new(&bus.records));
    let stall = Arc::new(Stall::new(bus.records.count, stalls));
    let shared = Arc::clone(&ledger);
    let consumer = bus.start(move |delivery| {
        let (ledger, stall) = (Arc::clone(&shared), Arc::clone(&stall));
        async move {
            let (number, _) = ledger.begin(&delivery.message.attributes.id);
            stall.pass().await;
            ledger.end(number);
            Outcome::Done
        }
    })?;
    ledger.complete().await;
    tokio::time::sleep(LAST_STATISTICS).await;
    let received_bytes = received(&metrics.render(), &bus.group);
    consumer.close().await;
    Ok(Measured { received_bytes, ..ledger.measured() })
}

/// Stops every handler for a while, after each of so many equal parts of the records.
struct Stall {
    every: usize,
    passed: AtomicUsize,
    until: Mutex<Option<Instant>>,
}

impl Stall {
    fn new(records: usize, stalls: usize) -> Self {
        let every = if stalls == 0 { usize::MAX } else { records.div_ceil(stalls + 1) };
        Self { every, passed: AtomicUsize::new(0), until: Mutex::new(None) }
    }

    async fn pass(&self) {
        let passed = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
        let until = {
            let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
            if passed.is_multiple_of(self.every) {
                *until = Some(Instant::now() + STALL);
            }
            *until
        };
        if let Some(until) = until.filter(|it| *it > Instant::now()) {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Bytes that the clients of the group have received, where the product says so.
fn received(rendered: &str, group: &str) -> Option<f64> {
    let group = format!("group=\"{group}\"");
    rendered
        .lines()
        .filter(|it| it.starts_with(METRIC) && it.contains(&group))
        .filter_map(|it| it.rsplit(' ').next()?.parse::<f64>().ok())
        .reduce(|all, it| all + it)
}
