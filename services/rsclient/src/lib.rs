//! rsclient: accounts, users, devices and ISPs as provisioning tells them become the configuration that holds for
//! each device; and what ISPs set for all of their homes becomes known.
//!
//! Read it in this order:
//!
//! - [`domain`]: what is stored, what holds for a device ([`domain::effective_device`]), what is said of it
//!   ([`domain::publication`])
//! - [`application`]: the use cases; [`application::publish_devices`] is the heart of all of them
//! - [`infrastructure`]: REST and Kafka in, Kafka out, the store, those whom a trace asks
//! - [`run`]

pub mod app;
pub mod application;
pub mod domain;
pub mod infrastructure;
pub mod settings;

use std::future::ready;

use anyhow::Context;
use async_task::recover_until;
use chassis::Chassis;
use eventbus::{ClientType, EventBusFactory, Resumer};

use crate::{
    app::App,
    application::{drive_rollouts_until, tell_routers_until},
    infrastructure::{heartbeat::beat_until, kafka, rest::router, witnesses::Witnesses},
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
    let factory = EventBusFactory::new(SERVICE, settings.kafka.clone());
    let witnesses = Witnesses::new(&settings, &factory)?;
    let rest = settings.http.bind().await?;
    let database = chassis::mongo::connect(&settings.mongo).await?;
    let bus = factory.producer(ClientType::Default)?;
    let app = App::open(&settings, &database, bus.clone()).await?;
    let consumer = factory.consumer(SERVICE, ClientType::Default)?;
    consumer.register(kafka::registries(&app))?;
    let resumer = consumer.resumer();
    chassis.actions.register("resume", Resumer::WHAT, move || resumer.act());

    let routes = router(app.clone(), witnesses);
    let look_every = settings.outbox.look_every();
    let drive_every = app.rollouts.look_every();
    let (served, (), (), (), (), (), (), ()) = tokio::join!(
        rest.serve(routes, &chassis, chassis.stop.clone()),
        recover_until(app.tasks(), chassis.stop.clone()),
        app.outboxes.relay_until(look_every, &chassis.stop),
        tell_routers_until(&app, look_every, &chassis.stop),
        drive_rollouts_until(&app, drive_every, &chassis.stop),
        beat_until(&bus, &chassis.health, settings.heartbeat.every(), &chassis.stop),
        kafka_probe.watch(&chassis.stop, || ready(consumer.works())),
        mongo_probe.watch(&chassis.stop, || chassis::mongo::answers(database.clone())),
    );
    served?;
    consumer.close().await;
    tokio::task::spawn_blocking(move || bus.flush()).await?.context("messages were left unsent")
}
