//! rsclient: accounts, users, devices and ISPs as provisioning tells them become the configuration that holds for
//! each device.
//!
//! Read it in this order:
//!
//! - [`domain`]: what is stored, what holds for a device ([`domain::effective_device`]), what is said of it
//!   ([`domain::publication`])
//! - [`application`]: the use cases; [`application::publish_devices`] is the heart of all of them
//! - [`infrastructure`]: Kafka in and out, the store
//! - [`run`]

pub mod app;
pub mod application;
pub mod domain;
pub mod infrastructure;
pub mod settings;

use std::future::ready;

use anyhow::Context;
use async_task::{AsyncTasks, failures_router, recover_until};
use auth::Verifier;
use chassis::Chassis;
use eventbus::{ClientType, EventBusFactory, Resumer};

use crate::{
    app::App,
    infrastructure::{kafka, store::Store},
    settings::Settings,
};

/// The service's name and that of its consumer group.
pub const SERVICE: &str = "rsclient";
/// Who says what this service says.
pub(crate) const SOURCE: &str = "/rsclient";

/// Handles records until the chassis says stop, then finishes what has begun.
///
/// # Errors
/// Settings that cannot be used, or no store at the start.
pub async fn run(settings: Settings, chassis: Chassis) -> anyhow::Result<()> {
    let (kafka_probe, mongo_probe) =
        (chassis.health.readiness("kafka"), chassis.health.readiness("mongo"));
    let rest = settings.http.bind().await?;
    let verifier = Verifier::new(SERVICE, &settings.auth)?;
    let database = chassis::mongo::connect(&settings.mongo).await?;
    let store = Store::open(&database, settings.retention.tombstone_life())
        .await
        .context("the store cannot be opened")?;
    let factory = EventBusFactory::new(SERVICE, settings.kafka);
    let bus = factory.producer(ClientType::Default)?;
    let async_tasks = AsyncTasks::open(&database, &settings.sync).await?;
    let app = App {
        store,
        bus: bus.clone(),
        publishing: settings.publishing,
        async_tasks,
        limits: settings.sync,
    };
    let consumer = factory.consumer(SERVICE, ClientType::Default)?;
    consumer.register(kafka::registries(&app))?;
    let resumer = consumer.resumer();
    chassis.actions.register("resume", Resumer::WHAT, move || resumer.act());

    let failures = failures_router(app.async_tasks.failures().clone(), verifier);
    let (served, (), (), ()) = tokio::join!(
        rest.serve(failures, &chassis, chassis.stop.clone()),
        recover_until(app.tasks(), chassis.stop.clone()),
        kafka_probe.watch(&chassis.stop, || ready(consumer.works())),
        mongo_probe.watch(&chassis.stop, || chassis::mongo::answers(database.clone())),
    );
    served?;
    consumer.close().await;
    tokio::task::spawn_blocking(move || bus.flush()).await?.context("messages were left unsent")
}
