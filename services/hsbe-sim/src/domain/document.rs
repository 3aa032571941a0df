//! A body that the backend holds.

use std::sync::Arc;

use events::AgentPackageId;

use super::{Resident, Role};

/// A body exactly as it was received, which is JSON. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Document(Arc<str>);

impl Document {
    /// Takes what is known to be JSON.
    pub fn new(json: &str) -> Self {
        Self(json.into())
    }

    /// The body as it was received.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A body that is what the resource holds.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The body.
    pub document: Document,
    /// The device or router that it is of.
    pub resident: Option<Resident>,
}

impl Checked {
    /// The agent package that has to be there first.
    pub fn target_agent_package(&self) -> Option<&AgentPackageId> {
        match &self.resident.as_ref()?.role {
            Role::Router { target } => target.as_ref(),
            Role::Device => None,
        }
    }
}
