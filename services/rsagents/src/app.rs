//! Everything that a request or a record may reach for.

use async_task::{AsyncTasks, Tasks};

use crate::{
    domain::AgentTask,
    infrastructure::{store::Packages, sync::PackageSync},
};

/// The handles of the service; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The agent packages.
    pub packages: Packages,
    /// Full syncs as far as they are about packages.
    pub tasks: Tasks<AsyncTasks<AgentTask>, PackageSync>,
}
