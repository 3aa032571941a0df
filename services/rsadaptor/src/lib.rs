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

use std::future::ready;

use anyhow::Context as _;
use chassis::Chassis;
use eventbus::{ClientType, Destination, EventBusFactory, Resumer};
use hs_admin::HsAdmin;

use crate::{
    app::App,
    infrastructure::{hs::Backend, kafka, store::AppliedResources},
};

pub use settings::{DEFAULTS, Settings};

/// The service's name and that of its consumer group.
pub const SERVICE: &str = "rsadaptor";

/// Applies records until the chassis says stop, then finishes what has begun.
///
/// # Errors
/// Settings that cannot be used, or no store at the start.
pub async fn run(settings: Settings, chassis: Chassis) -> anyhow::Result<()> {
    let admin = HsAdmin::connect(&settings.hs_admin)?;
    let probe = chassis.health.detail("hs-be");
    let destination = Destination::new("hs-be", settings.destination);
    let backend =
        Backend::new(admin, &settings.hs_admin, settings.gate.limits(), destination, probe);
    let (kafka_probe, mongo_probe) =
        (chassis.health.readiness("kafka"), chassis.health.readiness("mongo"));
    let database = chassis::mongo::connect(&settings.mongo).await?;
    let applied = AppliedResources::open(&database, settings.applied.limits())
        .await
        .context("collection applied")?;
    let app = App { applied, backend };

    let factory = EventBusFactory::new(SERVICE, settings.kafka.clone());
    let replies = factory.producer(ClientType::Default)?;
    let consumer = factory.consumer(SERVICE, ClientType::Default)?;
    consumer.register(kafka::registries(&app, &replies))?;
    let resumer = consumer.resumer();
    chassis.actions.register("resume", Resumer::WHAT, move || resumer.act());

    let stop = chassis.stop.clone();
    let every = settings.gate.status_interval_seconds.duration();
    let status = tokio::spawn(app.backend.watch(every, stop.clone()));
    tokio::join!(
        kafka_probe.watch(&stop, || ready(consumer.works())),
        mongo_probe.watch(&stop, || chassis::mongo::answers(database.clone())),
    );

    consumer.close().await;
    // Everything published was awaited: there is nothing to wait for, unless a call was given up.
    tokio::task::spawn_blocking(move || replies.flush()).await?.context("flush replies")?;
    status.await?;
    Ok(())
}
