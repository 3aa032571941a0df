//! rssync: full syncs as jobs that can be watched, stopped and sent again.
//!
//! Read it in this order:
//!
//! - [`domain`]: what a job is and how it goes on, which jobs exclude each other
//! - [`application`]: the use cases; [`application::start_job`] takes a scope and begins,
//!   [`application::take_replies`] goes on, [`application::tend_scopes`] mends what a crash has left
//! - [`infrastructure`]: REST, Kafka, the store, the services that are asked
//! - [`run`]

pub mod app;
pub mod application;
pub mod domain;
pub mod infrastructure;
pub mod settings;

use std::{future::ready, sync::Arc};

use anyhow::Context as _;
use async_task::{AsyncTasks, Budget, Limits, Tasks, recover_until};
use auth::Verifier;
use chassis::{CancellationToken, Chassis};
use eventbus::{ClientType, EventBusFactory, EventBusProducer, Resumer};
use mongodb::Database;
use tokio::sync::{Notify, Semaphore};

use crate::{
    app::App,
    application::tend_scopes_until,
    infrastructure::{kafka, peers::Peers, rest, services::Services, store::Store},
    settings::{JobSettings, Settings},
};

/// The service's name, that of its consumer group, and the audience of the tokens that it takes.
pub const SERVICE: &str = "rssync";
/// Who says what this service says.
pub(crate) const SOURCE: &str = "/rssync";

/// Serves and handles records until the chassis says stop, then finishes what has begun.
///
/// # Errors
/// Settings that cannot be used, a port that is taken, or no store at the start.
pub async fn run(settings: Settings, chassis: Chassis) -> anyhow::Result<()> {
    let (kafka_probe, mongo_probe) =
        (chassis.health.readiness("kafka"), chassis.health.readiness("mongo"));
    let rest_api = settings.http.bind().await?;
    let database = chassis::mongo::connect(&settings.mongo).await?;
    let factory = EventBusFactory::new(SERVICE, settings.kafka.clone());
    let bus = factory.producer(ClientType::Default)?;
    let app = app_of(&settings, &database, bus.clone(), chassis.stop.clone()).await?;
    let consumer = factory.consumer(SERVICE, ClientType::Default)?;
    consumer.register(kafka::registries(&app))?;
    let resumer = consumer.resumer();
    chassis.actions.register("resume", Resumer::WHAT, move || resumer.act());
    let (served, (), (), (), ()) = tokio::join!(
        rest_api.serve(rest::router(app.clone()), &chassis, chassis.stop.clone()),
        recover_until(app.tasks.clone(), chassis.stop.clone()),
        tend_scopes_until(&app, &chassis.stop),
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
    stop: CancellationToken,
) -> anyhow::Result<App> {
    let verifier = Verifier::new(SERVICE, &settings.auth)?;
    let signer = settings.signing.signer()?;
    let signer = signer.context("signing.private_key must be set: there is no key by default")?;
    let peers = Peers::new(&settings.peers, signer)?;
    let store = Store::open(database, settings.jobs.open_max);
    let store = store.await.context("the store cannot be opened")?;
    let limits = limits_of(&settings.jobs);
    let tasks = AsyncTasks::open(database, &limits).await.context("the store cannot be opened")?;
    let job_ended = Arc::new(Notify::new());
    let services = Services::new(bus, store.scopes.clone(), Arc::clone(&job_ended));
    Ok(App {
        store,
        tasks: Tasks::new(tasks, services.clone(), limits),
        services,
        verifier,
        peers,
        watchers: Arc::new(Semaphore::new(settings.streams.max)),
        job_ended,
        stop,
        settings: app::Limits { jobs: settings.jobs, streams: settings.streams },
    })
}

/// What bounds the task of a job. Those who do the work count what fails and stop it; here it is only heard of.
fn limits_of(jobs: &JobSettings) -> Limits {
    Limits {
        window_total: u64::from(jobs.open_max).max(1) * 2,
        children_max: 1,
        ask_again_seconds: u64::from(jobs.repeat_seconds.max(1)),
        tell_every_ms: u64::from(jobs.repeat_seconds.max(1)) * 1_000,
        job_seconds: u64::from(jobs.limit_hours) * 3_600,
        cancel_seconds: u64::from(jobs.cancel_seconds),
        tombstone_days: jobs.retention_days,
        budget: Budget { count: u64::MAX, share: 1.0, share_after: u64::MAX, run: u64::MAX },
        ..Limits::default()
    }
}
