//! An agent package as it is remembered, and what is said of it.

use events::{AgentPackage, DeletedAgentPackage, RsAgentEvent};
use serde::{Deserialize, Serialize};

/// An agent package, or what is remembered of a deleted one: its last state, with the revision of its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its state.
    #[serde(flatten)]
    pub package: AgentPackage,
    /// Whether it is gone.
    #[serde(default)]
    pub deleted: bool,
}

/// What a full sync says of a package.
pub fn package_event(package: &Package) -> RsAgentEvent {
    let state = &package.package;
    match package.deleted {
        false => RsAgentEvent::RSAgentPackageCreated(state.clone()),
        true => RsAgentEvent::RSAgentPackageDeleted(DeletedAgentPackage {
            agent_package_id: state.agent_package_id.clone(),
            revision: state.revision,
        }),
    }
}
