//! Everything that a request or a record may reach for.

use anyhow::Context as _;
use async_task::{AsyncTasks, Limits};
use auth::Verifier;
use eventbus::EventBusProducer;
use mongodb::Database;

use crate::{
    SERVICE,
    domain::AgentTask,
    infrastructure::{makers::Makers, outboxes::Outboxes, peers::RsClient, store::Store},
    settings::{DeletionSettings, Settings},
};

/// The handles of the service; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What is known.
    pub store: Store,
    /// Where it is told.
    pub bus: EventBusProducer,
    /// What is told of what people change.
    pub outboxes: Outboxes,
    /// Who knows who uses a package.
    pub rsclient: RsClient,
    /// Who vouches for packages.
    pub makers: Makers,
    /// Most packages of one ISP.
    pub packages_max: u64,
    /// When deletions are finished by others.
    pub deletion: DeletionSettings,
    /// Full syncs as far as they are about packages.
    pub async_tasks: AsyncTasks<AgentTask>,
    /// What bounds those.
    pub limits: Limits,
    /// Whose tokens are taken.
    pub verifier: Verifier,
}

impl App {
    /// The handles of a service with these settings, which knows what `database` holds and tells it on `bus`.
    ///
    /// # Errors
    /// The store does not answer, or a key is none.
    pub async fn open(
        settings: &Settings,
        database: &Database,
        bus: EventBusProducer,
    ) -> anyhow::Result<Self> {
        let verifier = Verifier::new(SERVICE, &settings.auth)?;
        let makers = Makers::new(&settings.packages.keys)?;
        let signer = settings.signing.signer()?;
        let signer =
            signer.context("signing.private_key must be set: there is no key by default")?;
        let rsclient = RsClient::new(&settings.peers, signer)?;
        let store = Store::open(database, settings.retention.tombstone_life());
        let store = store.await.context("the store cannot be opened")?;
        let outboxes =
            Outboxes::open(database, &bus).await.context("the store cannot be opened")?;
        let async_tasks = AsyncTasks::open(database, &settings.sync);
        let async_tasks = async_tasks.await.context("the tasks cannot be opened")?;
        let packages_max = settings.packages.per_isp_max.into();
        let (deletion, limits) = (settings.deletion, settings.sync);
        Ok(Self {
            store,
            bus,
            outboxes,
            rsclient,
            makers,
            packages_max,
            deletion,
            async_tasks,
            limits,
            verifier,
        })
    }
}
