//! What a record is about, where the backend holds it, and under which id `applied` does.

use std::borrow::Cow;

use events::{AgentPackageId, DeviceId, DeviceKind};
use hs_admin::Resource;
use serde::{Deserialize, Serialize};

/// What a record is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A device, router or not.
    Device(&'a DeviceId),
    /// A package for routers.
    Package(&'a AgentPackageId),
}

/// Which resource of the backend holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `/routers/{router_id}`
    Router,
    /// `/devices/{device_id}`
    Device,
    /// `/agent-packages/{agent_package_id}`
    Package,
}

impl Subject<'_> {
    /// Its id in `applied`. No id of a device has a `~`.
    pub fn key(&self) -> Cow<'_, str> {
        match self {
            Self::Device(id) => Cow::Borrowed(id.as_str()),
            Self::Package(id) => Cow::Owned(format!("package~{id}")),
        }
    }

    /// Where the backend holds it. A device is held as one of two kinds, a package as itself.
    pub fn resource(&self, kind: Kind) -> Resource {
        match (self, kind) {
            (Self::Device(id), Kind::Router) => Resource::Router((*id).clone()),
            (Self::Device(id), Kind::Device | Kind::Package) => Resource::Device((*id).clone()),
            (Self::Package(id), Kind::Router | Kind::Device | Kind::Package) => {
                Resource::AgentPackage((*id).clone())
            }
        }
    }
}

impl Kind {
    /// The kinds of which what is of this kind may be one.
    pub fn alternatives(self) -> &'static [Self] {
        match self {
            Self::Router | Self::Device => &[Self::Router, Self::Device],
            Self::Package => &[Self::Package],
        }
    }

    /// The name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Device => "device",
            Self::Package => "package",
        }
    }
}

impl From<DeviceKind> for Kind {
    fn from(kind: DeviceKind) -> Self {
        match kind {
            DeviceKind::Router => Self::Router,
            DeviceKind::Device => Self::Device,
        }
    }
}
