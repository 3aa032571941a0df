//! Topic `as-rs-agent-topic`: what rsagents says of the software that routers run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AgentPackageId, Bounded, Count, HttpUrl, IspId, Revision, Text};

/// A version of the software that runs on routers of given models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPackage {
    /// The entity.
    pub agent_package_id: AgentPackageId,
    /// The tenant.
    pub isp_id: IspId,
    /// Order between two states of this package.
    pub revision: Revision,
    /// A semantic version.
    pub version: Text,
    /// The models that it runs on.
    pub models: Bounded<Text>,
    /// Where it is.
    pub url: HttpUrl,
    /// What it hashes to, hexadecimal.
    pub sha256: Text,
    /// How large it is, in bytes.
    pub size_bytes: Count,
    /// Who vouches for it.
    pub signature: String,
    /// Where in its life it is.
    pub state: AgentPackageState,
}

/// Where in its life a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentPackageState {
    /// Not to be used yet.
    Draft,
    /// To be used.
    Released,
    /// Not to be chosen any more.
    Deprecated,
    /// Not to be run any more.
    Revoked,
}

/// The end of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedAgentPackage {
    /// The entity.
    pub agent_package_id: AgentPackageId,
    /// Order between two states of this package.
    pub revision: Revision,
}

/// Every package that an ISP's routers may be pointed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agents {
    /// The tenant.
    pub isp_id: IspId,
    /// Order between two states of this list.
    pub revision: Revision,
    /// The packages.
    pub packages: Bounded<ListedPackage>,
}

/// A package that routers may be pointed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPackage {
    /// The package.
    pub agent_package_id: AgentPackageId,
    /// A semantic version.
    pub version: Text,
    /// The models that it runs on.
    pub models: Bounded<Text>,
}

/// The package that a router of a model runs where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultAgents {
    /// The tenant.
    pub isp_id: IspId,
    /// Order between two states of this map.
    pub revision: Revision,
    /// Model to package.
    pub defaults: BTreeMap<Text, AgentPackageId>,
}

/// What rsagents says to rsclient and rsadaptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RsAgentEvent {
    /// `RSAgentsUpdated`
    RSAgentsUpdated(Agents),
    /// `RSDefaultAgentsUpdated`
    RSDefaultAgentsUpdated(DefaultAgents),
    /// `RSAgentPackageCreated`
    RSAgentPackageCreated(AgentPackage),
    /// `RSAgentPackageDeleted`
    RSAgentPackageDeleted(DeletedAgentPackage),
}

crate::topic_event! {
    RsAgentEvent on "as-rs-agent-topic" {
        RSAgentsUpdated(it) => (&it.isp_id, &it.isp_id),
        RSDefaultAgentsUpdated(it) => (&it.isp_id, &it.isp_id),
        RSAgentPackageCreated(it) => (&it.agent_package_id, &it.isp_id),
        RSAgentPackageDeleted(it) => (&it.agent_package_id, &()),
    }
}
