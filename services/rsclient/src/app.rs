//! Everything that a use case may reach for.

use eventbus::EventBusProducer;

use crate::{infrastructure::store::Store, settings::Publishing};

/// The handles of the service; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// What is known.
    pub store: Store,
    /// Where it is told.
    pub bus: EventBusProducer,
    /// How much is told at a time.
    pub publishing: Publishing,
}
