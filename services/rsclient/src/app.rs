//! Everything that a use case may reach for.

use anyhow::Context as _;
use async_task::{AsyncTasks, Limits};
use auth::Verifier;
use eventbus::EventBusProducer;
use mongodb::Database;

use crate::{
    SERVICE,
    domain::Work,
    infrastructure::{outboxes::Outboxes, store::Store},
    settings::{Publishing, RolloutSettings, Settings},
};

/// The handles of the service; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What is known.
    pub store: Store,
    /// Where it is told.
    pub bus: EventBusProducer,
    /// What is told of what ISPs set.
    pub outboxes: Outboxes,
    /// How much is told at a time.
    pub publishing: Publishing,
    /// What it does for longer than a message.
    pub async_tasks: AsyncTasks<Work>,
    /// What bounds that.
    pub limits: Limits,
    /// How rollouts go.
    pub rollouts: RolloutSettings,
    /// Whose tokens are taken.
    pub verifier: Verifier,
}

impl App {
    /// The handles of a service with these settings, which knows what `database` holds and tells it on `bus`.
    ///
    /// # Errors
    /// The store does not answer, or a key that is trusted is none.
    pub async fn open(
        settings: &Settings,
        database: &Database,
        bus: EventBusProducer,
    ) -> anyhow::Result<Self> {
        let verifier = Verifier::new(SERVICE, &settings.auth)?;
        let rollouts = settings.rollouts.clone();
        rollouts.check()?;
        let lives = (settings.retention.tombstone_life(), rollouts.life());
        let store = Store::open(database, lives.0, lives.1);
        let store = store.await.context("the store cannot be opened")?;
        let outboxes =
            Outboxes::open(database, &bus).await.context("the store cannot be opened")?;
        let async_tasks = AsyncTasks::open(database, &settings.sync).await?;
        let (publishing, limits) = (settings.publishing, settings.sync);
        Ok(Self { store, bus, outboxes, publishing, async_tasks, limits, rollouts, verifier })
    }
}
