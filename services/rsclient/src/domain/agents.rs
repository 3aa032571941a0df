//! Which software routers run: what rsagents lists, and what ISPs have chosen of it.

use std::collections::BTreeMap;

use events::{AgentPackageId, AgentPackageState, DeviceId, IspId, ListedPackage, Revision, Text};
use serde::{Deserialize, Serialize};

use super::DeviceState;

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
    /// Order between two states; of two packages for one router, that which was associated last is meant.
    pub revision: Revision,
    /// These routers.
    pub routers: Vec<DeviceId>,
    /// All routers of these groups.
    pub groups: Vec<Group>,
}

/// Routers of a model, all of them or those that follow a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// The maker's name of the model.
    pub model: Text,
    /// The version that they follow.
    pub target_version: Option<Text>,
}

/// What decides which software a router runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Software<'a> {
    /// What rsagents says of the ISP.
    pub agents: Option<&'a Agents>,
    /// The packages that the ISP has associated, the last one first.
    pub associated: &'a [Package],
}

/// Which package a router is to run, and who says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// The one that its ISP has chosen for it.
    pub chosen: Option<&'a AgentPackageId>,
    /// The one that its model runs where nothing else is said.
    pub default: Option<&'a AgentPackageId>,
}

impl Agents {
    /// The package, where routers may be pointed at it.
    pub fn listed(&self, id: &AgentPackageId) -> Option<&ListedPackage> {
        self.listed.as_ref()?.packages.iter().find(|it| it.agent_package_id == *id)
    }
}

impl Association {
    /// Whether nobody is to run the package.
    pub fn is_empty(&self) -> bool {
        self.routers.is_empty() && self.groups.is_empty()
    }
}

impl<'a> Target<'a> {
    /// Chosen is the package that names the router; else the one for its model and the version that it follows;
    /// else the one for its model. What is not listed is passed over.
    pub fn of(id: &DeviceId, state: &DeviceState, software: Software<'a>) -> Self {
        let Some(agents) = software.agents else { return Self::default() };
        let group = |version: Option<&Text>| {
            let model = state.model.as_ref();
            model.map(|it| Group { model: it.clone(), target_version: version.cloned() })
        };
        let followed = state.target_version.as_ref().and_then(|it| group(Some(it)));
        let associated =
            software.associated.iter().filter_map(|it| Some((it, it.association.as_ref()?)));
        let named = associated.clone().filter(|(_, it)| it.routers.contains(id));
        let of_group = |wanted: Option<Group>| {
            associated
                .clone()
                .filter(move |(_, it)| wanted.as_ref().is_some_and(|w| it.groups.contains(w)))
        };
        let chosen = named
            .chain(of_group(followed))
            .chain(of_group(group(None)))
            .map(|(package, _)| &package.id)
            .find(|it| agents.listed(it).is_some());
        let of_model =
            state.model.as_ref().and_then(|it| agents.defaults.as_ref()?.by_model.get(it));
        let default = of_model.filter(|it| agents.listed(it).is_some());
        Self { chosen, default }
    }

    /// The package that it is to run.
    pub fn package(&self) -> Option<&'a AgentPackageId> {
        self.chosen.or(self.default)
    }
}
