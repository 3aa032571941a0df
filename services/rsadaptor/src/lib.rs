//! rsadaptor: effective configurations of devices become devices in the HomeSecure backend, and what ISPs set for all
//! of their homes becomes documents there.
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
use auth::Verifier;
use chassis::Chassis;
use eventbus::{ClientType, Destination, EventBusFactory, Resumer};
use hs_admin::{HsAdmin, Mode};

use crate::{
    app::App,
    infrastructure::{
        hs::Backend,
        kafka,
        rejections::Rejections,
        rest::{self, Resources},
        store::AppliedResources,
    },
};

pub use settings::{DEFAULTS, Settings};

/// The service's name and that of its consumer group.
pub const SERVICE: &str = "rsadaptor";

/// Applies records until the chassis says stop, then finishes what has begun.
///
/// # Errors
/// Settings that cannot be used, or no store at the start.
pub async fn run(settings: Settings, chassis: Chassis) -> anyhow::Result<()> {
    let rest = settings.http.bind().await?;
    let verifier = Verifier::new(SERVICE, &settings.auth)?;
    let factory = EventBusFactory::new(SERVICE, settings.kafka.clone());
    let admin = match settings.hs_admin.mode {
        Mode::Rest | Mode::Log => HsAdmin::connect(&settings.hs_admin)?,
        Mode::Kafka => {
            let producer = factory.producer(ClientType::External)?;
            HsAdmin::over_kafka(&settings.hs_admin, producer)?
        }
    };
    let probe = chassis.health.detail("hs-be");
    let destination = Destination::new("hs-be", settings.destination);
    let (limits, batch) = (settings.gate.limits(), settings.batch.limits());
    let backend = Backend::new(admin, &settings.hs_admin, limits, batch, destination, probe);
    let (kafka_probe, mongo_probe) =
        (chassis.health.readiness("kafka"), chassis.health.readiness("mongo"));
    let database = chassis::mongo::connect(&settings.mongo).await?;
    let applied = AppliedResources::open(&database, settings.applied.limits())
        .await
        .context("collection applied")?;
    let app = App { applied, backend, rejections: Rejections::default() };

    let replies = factory.producer(ClientType::Default)?;
    let consumer = factory.consumer(SERVICE, ClientType::Default)?;
    consumer.register(kafka::registries(&app, &replies))?;
    let resumer = consumer.resumer();
    chassis.actions.register("resume", Resumer::WHAT, move || resumer.act());

    let stop = chassis.stop.clone();
    let every = settings.gate.status_interval_seconds.duration();
    let status = tokio::spawn(app.backend.clone().watch(every, stop.clone()));
    let inspector = consumer.inspector();
    let resources = Resources { app, inspector, verifier };
    let (served, (), ()) = tokio::join!(
        rest.serve(rest::router(resources), &chassis, stop.clone()),
        kafka_probe.watch(&stop, || ready(consumer.works())),
        mongo_probe.watch(&stop, || chassis::mongo::answers(database.clone())),
    );
    served?;

    consumer.close().await;
    // Everything published was awaited: there is nothing to wait for, unless a call was given up.
    tokio::task::spawn_blocking(move || replies.flush()).await?.context("flush replies")?;
    status.await?;
    Ok(())
}
