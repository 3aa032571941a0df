//! Everything that a use case may reach for.

use async_task::{AsyncTasks, Limits};
use eventbus::EventBusProducer;

use crate::{domain::Work, infrastructure::store::Store, settings::Publishing};

/// The handles of the service; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What is known.
    pub store: Store,
    /// Where it is told.
    pub bus: EventBusProducer,
    /// How much is told at a time.
    pub publishing: Publishing,
    /// What it does for longer than a message.
    pub async_tasks: AsyncTasks<Work>,
    /// What bounds that.
    pub limits: Limits,
}
