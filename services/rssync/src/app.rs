//! Everything that a request or a record may reach for.

use std::sync::Arc;

use async_task::{AsyncTasks, Tasks};
use auth::Verifier;
use chassis::CancellationToken;
use tokio::sync::{Notify, Semaphore};

use crate::{
    domain::JobPayload,
    infrastructure::{peers::Peers, services::Services, store::Store},
    settings::{JobSettings, StreamSettings},
};

/// The handles of the service; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Jobs by page, and the scopes that are taken.
    pub store: Store,
    /// The tasks behind the jobs.
    pub tasks: Tasks<AsyncTasks<JobPayload>, Services>,
    /// What they do in the world.
    pub services: Services,
    /// Says whose a token is.
    pub verifier: Verifier,
    /// Who keeps the failures.
    pub peers: Peers,
    /// Places for those who watch.
    pub watchers: Arc<Semaphore>,
    /// Told when a job has ended: another one may wait for its scope.
    pub job_ended: Arc<Notify>,
    /// Cancelled when the process must end.
    pub stop: CancellationToken,
    /// Limits that an operator chose.
    pub settings: Limits,
}

/// Limits that an operator chose.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of jobs.
    pub jobs: JobSettings,
    /// Of those who watch.
    pub streams: StreamSettings,
}
