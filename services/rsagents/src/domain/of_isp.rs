//! What is said of all routers of an ISP: which packages they may be pointed at, and what each model runs by default.

use std::{collections::BTreeMap, fmt};

use events::{
    AgentPackageId, Agents, Bounded, DefaultAgents, IspId, LIST_ENTRIES_MAX, ListedPackage,
    Revision, RsAgentEvent, Text,
};
use serde::{Deserialize, Serialize};

/// Which packages an ISP's routers may be pointed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentList {
    /// The tenant, which is the entity.
    #[serde(rename = "_id")]
    pub isp_id: IspId,
    /// Order between two states; 0 where nothing was ever listed.
    pub revision: Revision,
    /// Raised by every write: who writes has read the last state.
    pub fence: i64,
    /// The packages, in the order of their ids.
    pub packages: Vec<ListedPackage>,
}

/// What an ISP's routers run where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defaults {
    /// The tenant, which is the entity.
    #[serde(rename = "_id")]
    pub isp_id: IspId,
    /// Order between two states; 0 where nothing was ever set.
    pub revision: Revision,
    /// Raised by every write: who writes has read the last state.
    pub fence: i64,
    /// One package for each model, in the order of their names.
    pub defaults: Vec<DefaultOfModel>,
    /// Packages that are being deleted: none of them becomes a default any more.
    pub leaving: Vec<AgentPackageId>,
}

/// What routers of a model run where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultOfModel {
    /// The maker's name of the model.
    pub model: Text,
    /// The package.
    pub agent_package_id: AgentPackageId,
}

impl AgentList {
    /// What holds for an ISP of which nothing was ever listed.
    pub fn unset(isp_id: IspId) -> Self {
        Self { isp_id, revision: Revision::default(), fence: 0, packages: Vec::new() }
    }

    /// What the others are told. More than a list can hold is not told.
    pub fn event(&self) -> RsAgentEvent {
        let packages = self.packages.iter().take(LIST_ENTRIES_MAX).cloned().collect::<Vec<_>>();
        RsAgentEvent::RSAgentsUpdated(Agents {
            isp_id: self.isp_id.clone(),
            revision: self.revision,
            packages: Bounded::try_from(packages).expect("no more than a list can hold"),
        })
    }
}

impl Defaults {
    /// What holds for an ISP that has set nothing.
    pub fn unset(isp_id: IspId) -> Self {
        let (defaults, leaving) = (Vec::new(), Vec::new());
        Self { isp_id, revision: Revision::default(), fence: 0, defaults, leaving }
    }

    /// The package of a model.
    pub fn of_model(&self, model: &Text) -> Option<&AgentPackageId> {
        let found = self.defaults.iter().find(|it| it.model == *model);
        found.map(|it| &it.agent_package_id)
    }

    /// The models that run a package where nothing else is said.
    pub fn models_of(&self, id: &AgentPackageId) -> Vec<&Text> {
        let of = self.defaults.iter().filter(|it| it.agent_package_id == *id);
        of.map(|it| &it.model).collect()
    }

    /// Model to package.
    pub fn by_model(&self) -> BTreeMap<Text, AgentPackageId> {
        let pair = |it: &DefaultOfModel| (it.model.clone(), it.agent_package_id.clone());
        self.defaults.iter().map(pair).collect()
    }

    /// What the others are told.
    pub fn event(&self) -> RsAgentEvent {
        RsAgentEvent::RSDefaultAgentsUpdated(DefaultAgents {
            isp_id: self.isp_id.clone(),
            revision: self.revision,
            defaults: self.by_model(),
        })
    }
}

/// What is said of all routers of an ISP, as requests name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfIsp {
    /// Which packages they may be pointed at.
    List(IspId),
    /// What they run where nothing else is said.
    Defaults(IspId),
}

const LIST: &str = "agents";
const DEFAULTS: &str = "default-agents";

impl OfIsp {
    /// Of which ISP.
    pub fn isp_id(&self) -> &IspId {
        match self {
            Self::List(isp_id) | Self::Defaults(isp_id) => isp_id,
        }
    }

    /// What a key names; nothing where it names a package.
    pub fn of_key(key: &str) -> Option<Self> {
        let (isp_id, name) = key.split_once('~')?;
        let isp_id = isp_id.parse().ok()?;
        match name {
            LIST => Some(Self::List(isp_id)),
            DEFAULTS => Some(Self::Defaults(isp_id)),
            _ => None,
        }
    }
}

impl fmt::Display for OfIsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(isp_id) => write!(f, "{isp_id}~{LIST}"),
            Self::Defaults(isp_id) => write!(f, "{isp_id}~{DEFAULTS}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_what_is_said_of_an_isp_or_a_package() {
        let isp_id: IspId = "isp-1".parse().unwrap();
        for it in [OfIsp::List(isp_id.clone()), OfIsp::Defaults(isp_id)] {
            assert_eq!(OfIsp::of_key(&it.to_string()), Some(it));
        }
        for key in ["p-1", "isp-1~other", "~agents", "isp-1~agents~agents"] {
            assert_eq!(OfIsp::of_key(key), None, "{key}");
        }
    }
}
