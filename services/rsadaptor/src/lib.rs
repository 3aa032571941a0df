//! rsadaptor: effective configurations of devices become devices in the HomeSecure backend.
//!
//! Read it in this order:
//!
//! - [`domain`]: what is put ([`domain::configuration_of`]), what to do about a record ([`domain::plan`]), what the
//!   backend's answers mean ([`domain::Gate`])
//! - [`application`]: the use cases, which all go through one function: read, decide, call, record
//! - [`infrastructure`]: Kafka, the store of what is applied, the backend
//! - [`run`]

pub mod app;
pub mod application;
pub mod domain;
pub mod infrastructure;
pub mod settings;

use std::{future::IntoFuture as _, time::Duration};

use anyhow::Context as _;
use chassis::{CancellationToken, Chassis, Probe};
use eventbus::{ClientType, DualEventBusConsumer, EventBusFactory};
use hs_admin::HsAdmin;
use mongodb::{Database, bson::doc};

use crate::{
    app::App,
    infrastructure::{hs::Backend, kafka, store::AppliedDevices},
};

pub use settings::{DEFAULTS, Settings};

/// The service's name and that of its consumer group.
pub const SERVICE: &str = "rsadaptor";

/// How often the parts of the service are asked whether they work.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// Applies records until the chassis says stop, then finishes what has begun.
///
/// # Errors
/// Settings that cannot be used, or no store at the start.
pub async fn run(settings: Settings, chassis: Chassis) -> anyhow::Result<()> {
    let admin = HsAdmin::connect(&settings.hs_admin)?;
    let probe = chassis.health.detail("hs-be");
    let backend = Backend::new(admin, settings.hs_admin.mode, settings.gate.limits(), probe);
    let (kafka_probe, mongo_probe) =
        (chassis.health.readiness("kafka"), chassis.health.readiness("mongo"));
    let database = chassis::mongo::connect(&settings.mongo).await?;
    let applied = AppliedDevices::open(&database, settings.applied.tombstone_life())
        .await
        .context("collection applied")?;
    let app = App { applied, backend };

    let factory = EventBusFactory::new(SERVICE, settings.kafka.clone());
    let replies = factory.producer(ClientType::Default)?;
    let consumer = factory.consumer(SERVICE, ClientType::Default)?;
    consumer.register(kafka::registries(&app, &replies))?;

    let stop = chassis.stop.clone();
    let every = settings.gate.status_interval_seconds.duration();
    let status = tokio::spawn(app.backend.watch(every, stop.clone()));
    let store = tokio::spawn(watch_store(database, mongo_probe, stop.clone()));
    watch_bus(&consumer, &kafka_probe, &stop).await;

    consumer.close().await;
    // Everything published was awaited: there is nothing to wait for, unless a call was given up.
    tokio::task::spawn_blocking(move || replies.flush()).await?.context("flush replies")?;
    status.await?;
    store.await?;
    Ok(())
}

async fn watch_bus(consumer: &DualEventBusConsumer, probe: &Probe, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match consumer.status().iter().all(eventbus::Status::is_ready) {
            true => probe.ok(),
            false => probe.failing("no broker answers, or the group is not joined"),
        }
    }
}

async fn watch_store(database: Database, probe: Probe, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let ping = database.run_command(doc! { "ping": 1 });
        match stop.run_until_cancelled(ping.into_future()).await {
            Some(Ok(_)) => probe.ok(),
            Some(Err(_)) => probe.failing("MongoDB does not answer"),
            None => return,
        }
    }
}
