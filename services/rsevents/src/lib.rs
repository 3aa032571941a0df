//! rsevents: what happens in the homes, told to those whom it concerns.
//!
//! Read it in this order:
//!
//! - [`domain`]: whether an event counts ([`domain::judge`]), what it causes ([`domain::causes`]), which events stand for
//!   others ([`domain::fold`])
//! - [`application`]: the use cases; [`application::take_events`] is what the service is for
//! - [`infrastructure`]: Kafka, the store of whose devices are, and what is remembered for a while
//! - [`run`]

pub mod app;
pub mod application;
pub mod domain;
pub mod infrastructure;
pub mod settings;

use std::future::ready;

use anyhow::Context as _;
use chassis::Chassis;
use eventbus::{ClientType, EventBusFactory, Resumer};

use crate::{app::App, infrastructure::kafka, settings::Settings};

/// The service's name and that of its consumer group, on both brokers.
pub const SERVICE: &str = "rsevents";
/// How its clients of HS-BE's broker name themselves.
const OUTSIDE: &str = "rsevents-hs";
/// Who says what this service says.
pub(crate) const SOURCE: &str = "/rsevents";

/// Handles records until the chassis says stop, then finishes what has begun.
///
/// # Errors
/// Settings that cannot be used, or no store at the start.
pub async fn run(settings: Settings, chassis: Chassis) -> anyhow::Result<()> {
    let (kafka_probe, mongo_probe) =
        (chassis.health.readiness("kafka"), chassis.health.readiness("mongo"));
    let database = chassis::mongo::connect(&settings.mongo).await?;
    let factory = EventBusFactory::new(SERVICE, settings.kafka.clone());
    let bus = factory.producer(ClientType::Default)?;
    let app = App::open(&settings, &database, bus.clone());
    let app = app.await.context("the store cannot be opened")?;
    let inside = factory.consumer(SERVICE, ClientType::Default)?;
    let outside = EventBusFactory::new(OUTSIDE, settings.kafka.clone())
        .consumer(SERVICE, ClientType::External)?;
    inside.register(kafka::provisioning(&app))?;
    outside.register(kafka::homes(&app, settings.events.batch_max))?;
    let resumers = [inside.resumer(), outside.resumer()];
    chassis.actions.register("resume", Resumer::WHAT, move || {
        let [inside, outside] = resumers.each_ref().map(Resumer::act);
        inside.or(outside)
    });
    tokio::join!(
        kafka_probe.watch(&chassis.stop, || ready(inside.works().and(outside.works()))),
        mongo_probe.watch(&chassis.stop, || chassis::mongo::answers(database.clone())),
    );
    tokio::join!(inside.close(), outside.close());
    tokio::task::spawn_blocking(move || bus.flush()).await?.context("messages were left unsent")
}
