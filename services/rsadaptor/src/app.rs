//! Everything a use case may reach for.

use crate::infrastructure::{hs::Backend, rejections::Rejections, store::AppliedResources};

/// The handles of the service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// What is applied.
    pub applied: AppliedResources,
    /// The HomeSecure backend.
    pub backend: Backend,
    /// What was rejected lately.
    pub rejections: Rejections,
}
