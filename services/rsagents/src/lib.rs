//! rsagents: the packages of the agent on routers, which of them routers may be pointed at, what they run by default,
//! and their part of a full sync.
//!
//! Read it in this order:
//!
//! - [`domain`]: packages and how they may change ([`domain::PackageChange`]), what is said of ISPs, the tasks that say
//!   it again
//! - [`application`]: the use cases; [`application::settle_isp`] is what follows from all of them
//! - [`infrastructure`]: REST and Kafka in, the backend's own port, Kafka out, the store, rsclient, what tasks do in the
//!   world
//! - [`run`]

pub mod app;
pub mod application;
pub mod domain;
pub mod infrastructure;
pub mod settings;

use std::future::ready;

use anyhow::Context as _;
use async_task::recover_until;
use chassis::Chassis;
use eventbus::{ClientType, EventBusFactory, Resumer};

use crate::{
    app::App,
    application::finish_deletions_until,
    infrastructure::{backend::BackendFace, kafka, rest::router},
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
    let backend = match &settings.backend {
        Some(backend) => Some(BackendFace::bind(backend).await?),
        None => None,
    };
    let database = chassis::mongo::connect(&settings.mongo).await?;
    let factory = EventBusFactory::new(SERVICE, settings.kafka.clone());
    let bus = factory.producer(ClientType::Default)?;
    let app = App::open(&settings, &database, bus.clone()).await?;
    let consumer = factory.consumer(SERVICE, ClientType::Default)?;
    consumer.register(kafka::registries(&app))?;
    let resumer = consumer.resumer();
    chassis.actions.register("resume", Resumer::WHAT, move || resumer.act());

    let backend = async {
        match backend {
            Some(backend) => backend.serve(app.clone(), &chassis).await,
            None => Ok(()),
        }
    };
    let (routes, look_every) = (router(app.clone()), settings.outbox.look_every());
    let (served, asked, (), (), (), (), ()) = tokio::join!(
        rest.serve(routes, &chassis, chassis.stop.clone()),
        backend,
        recover_until(app.tasks(), chassis.stop.clone()),
        app.outboxes.relay_until(look_every, &chassis.stop),
        finish_deletions_until(&app, look_every, &chassis.stop),
        kafka_probe.watch(&chassis.stop, || ready(consumer.works())),
        mongo_probe.watch(&chassis.stop, || chassis::mongo::answers(database.clone())),
    );
    served.and(asked)?;
    consumer.close().await;
    tokio::task::spawn_blocking(move || bus.flush()).await?.context("messages were left unsent")
}
