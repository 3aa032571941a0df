//! rsagents: the packages of the agent on routers, and their part of a full sync.
//!
//! Read it in this order:
//!
//! - [`domain`]: packages and what is said of them, the tasks that send them again
//! - [`application`]: the use cases; [`application::start_sync`] begins
//! - [`infrastructure`]: Kafka, REST, the store, what tasks do in the world
//! - [`run`]

pub mod app;
pub mod application;
pub mod domain;
pub mod infrastructure;
pub mod settings;

use std::future::ready;

use anyhow::Context as _;
use async_task::{AsyncTasks, Tasks, failures_router, recover_until};
use auth::Verifier;
use chassis::Chassis;
use eventbus::{ClientType, EventBusFactory, EventBusProducer, Resumer};
use mongodb::Database;

use crate::{
    app::App,
    infrastructure::{kafka, store::Packages, sync::PackageSync},
    settings::Settings,
};

/// The service's name, that of its consumer group, and the audience of the tokens that it takes.
pub const SERVICE: &str = "rsagents";
/// Who says what this service says.
pub(crate) const SOURCE: &str = "/rsagents";

/// Serves and handles records until the chassis says stop, then finishes what has begun.
///
/// # Errors
/// Settings that cannot be used, a port that is taken, or no store at the start.
pub async fn run(settings: Settings, chassis: Chassis) -> anyhow::Result<()> {
    let (kafka_probe, mongo_probe) =
        (chassis.health.readiness("kafka"), chassis.health.readiness("mongo"));
    let rest = settings.http.bind().await?;
    let verifier = Verifier::new(SERVICE, &settings.auth)?;
    let database = chassis::mongo::connect(&settings.mongo).await?;
    let factory = EventBusFactory::new(SERVICE, settings.kafka.clone());
    let bus = factory.producer(ClientType::Default)?;
    let app = app_of(&settings, &database, bus.clone()).await?;
    let consumer = factory.consumer(SERVICE, ClientType::Default)?;
    consumer.register(kafka::registries(&app))?;
    let resumer = consumer.resumer();
    chassis.actions.register("resume", Resumer::WHAT, move || resumer.act());
    let failures = failures_router(app.tasks.store().failures().clone(), verifier);
    let (served, (), (), ()) = tokio::join!(
        rest.serve(failures, &chassis, chassis.stop.clone()),
        recover_until(app.tasks.clone(), chassis.stop.clone()),
        kafka_probe.watch(&chassis.stop, || ready(consumer.works())),
        mongo_probe.watch(&chassis.stop, || chassis::mongo::answers(database.clone())),
    );
    served?;
    consumer.close().await;
    tokio::task::spawn_blocking(move || bus.flush()).await?.context("messages were left unsent")
}

/// The handles of the service, made of its settings.
///
/// # Errors
/// Settings that cannot be used, or a store that does not answer.
pub async fn app_of(
    settings: &Settings,
    database: &Database,
    bus: EventBusProducer,
) -> anyhow::Result<App> {
    let packages = Packages::open(database, settings.retention.tombstone_life())
        .await
        .context("the packages cannot be opened")?;
    let tasks =
        AsyncTasks::open(database, &settings.sync).await.context("the tasks cannot be opened")?;
    let failures = tasks.failures().clone();
    let sync = PackageSync::new(packages.clone(), failures, bus);
    Ok(App { packages, tasks: Tasks::new(tasks, sync, settings.sync) })
}
