//! Which software routers run: what rsagents lists, and what ISPs have chosen of it.

use std::collections::BTreeMap;

use events::{
    AgentPackageId, AgentPackageState, DeviceId, IspId, JobId, ListedPackage, Revision, Text,
};
use serde::{Deserialize, Serialize};

use super::Share;

/// What rsagents says of an ISP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agents {
    /// The tenant, which is the entity.
    #[serde(rename = "_id")]
    pub isp_id: IspId,
    /// The packages that its routers may be pointed at.
    #[serde(default)]
    pub listed: Option<ListedAgents>,
    /// What routers run where nothing else is said.
    #[serde(default)]
    pub defaults: Option<DefaultsOfModels>,
}

/// The packages that routers may be pointed at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListedAgents {
    /// Order between two states of the list.
    pub revision: Revision,
    /// The packages.
    pub packages: Vec<ListedPackage>,
}

/// What routers run where nothing else is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DefaultsOfModels {
    /// Order between two states of the map.
    pub revision: Revision,
    /// Model to package.
    pub by_model: BTreeMap<Text, AgentPackageId>,
}

/// A package as far as this service is concerned: what is said of it, who is to run it, and whether it is given up.
///
/// Who is to run it and the reservation stand in one document, so that each write of one can see the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// The entity.
    #[serde(rename = "_id")]
    pub id: AgentPackageId,
    /// The tenant, where anybody has told.
    #[serde(default)]
    pub isp_id: Option<IspId>,
    /// What rsagents says of it.
    #[serde(default)]
    pub said: Option<SaidPackage>,
    /// Nobody may start to use it any more; final.
    #[serde(default)]
    pub reserved: bool,
    /// Who is to run it.
    #[serde(default)]
    pub association: Option<Association>,
    /// Who runs it already, while a rollout leads to it.
    #[serde(default)]
    pub shares: Vec<Share>,
    /// The rollouts that lead away from it, and back to it where they are aborted.
    #[serde(default)]
    pub left_by: Vec<JobId>,
}

/// What rsagents says of a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SaidPackage {
    /// Order between two states of it.
    pub revision: Revision,
    /// Where in its life it is; nothing where it is gone.
    pub state: Option<AgentPackageState>,
}

/// Who is to run a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// Order between two states.
    pub revision: Revision,
    /// These routers.
    pub routers: Vec<DeviceId>,
    /// All routers of these groups.
    pub groups: Vec<Group>,
    /// When the ISP associated it, where a rollout has changed it since; of two packages for one router, that which was
    /// associated last is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Revision>,
    /// The groups among them that a rollout has led here, each with when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub led: Vec<Led>,
}

/// A group that a rollout has led to a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    /// The group.
    pub group: Group,
    /// When, as the revision that the association got by it.
    pub since: Revision,
}

/// Routers of a model, all of them or those that follow a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// The maker's name of the model.
    pub model: Text,
    /// The version that they follow.
    pub target_version: Option<Text>,
}

impl Agents {
    /// The package, where routers may be pointed at it.
    pub fn listed(&self, id: &AgentPackageId) -> Option<&ListedPackage> {
        self.listed.as_ref()?.packages.iter().find(|it| it.agent_package_id == *id)
    }

    /// Whether this list is held already.
    pub fn holds_list(&self, said: &events::Agents) -> bool {
        self.listed.as_ref().is_some_and(|it| {
            it.revision == said.revision && it.packages == said.packages.as_slice()
        })
    }

    /// Whether these defaults are held already.
    pub fn holds_defaults(&self, said: &events::DefaultAgents) -> bool {
        self.defaults
            .as_ref()
            .is_some_and(|it| it.revision == said.revision && it.by_model == said.defaults)
    }
}

impl Package {
    /// Whether anybody is to run it, or a rollout leads to it or away from it.
    pub fn is_used(&self) -> bool {
        let is_associated = self.association.as_ref().is_some_and(|it| !it.is_empty());
        is_associated || !self.shares.is_empty() || !self.left_by.is_empty()
    }

    /// Whether a rollout has made the group one of it and taken its share away.
    pub fn is_led_by(&self, rollout_id: &JobId, group: &Group) -> bool {
        let has_group = self.association.as_ref().is_some_and(|it| it.groups.contains(group));
        has_group && !self.shares.iter().any(|it| it.rollout_id == *rollout_id)
    }
}

impl Association {
    /// Whether nobody is to run the package.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty() && self.groups.is_empty()
    }

    /// Which of two packages that name a router was associated later.
    pub fn since(&self) -> Revision {
        self.since.unwrap_or(self.revision)
    }

    /// Which of two packages for a group was associated later.
    pub fn since_of(&self, group: &Group) -> Revision {
        let led = self.led.iter().find(|it| it.group == *group);
        led.map_or_else(|| self.since(), |it| it.since)
    }
}
