//! Everything a use case may reach for.

use crate::infrastructure::{hs::Backend, store::AppliedDevices};

/// The handles of the service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// What is applied.
    pub applied: AppliedDevices,
    /// The HomeSecure backend.
    pub backend: Backend,
}
