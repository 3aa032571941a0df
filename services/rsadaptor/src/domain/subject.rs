//! What a record is about, where the backend holds it, and under which id `applied` does.

use std::borrow::Cow;

use events::{AgentPackageId, DeviceId, DeviceKind, IspId};
use hs_admin::{Resource, SystemDocument};
use serde::{Deserialize, Serialize};

/// What a record is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A device, router or not.
    Device(&'a DeviceId),
    /// A package for routers.
    Package(&'a AgentPackageId),
    /// A document of an ISP.
    System(&'a IspId, SystemDocument),
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
    /// `/system/{isp_id}/{document}`
    System,
}

impl Subject<'_> {
    /// Its id in `applied`. No id of a device has a `~` or a `/`.
    pub fn key(&self) -> Cow<'_, str> {
        match self {
            Self::Device(id) => Cow::Borrowed(id.as_str()),
            Self::Package(id) => Cow::Owned(format!("package~{id}")),
            Self::System(isp_id, document) => {
                Cow::Owned(format!("system/{isp_id}/{}", document.as_str()))
            }
        }
    }

    /// What tells a record about it from others that are under way: the two documents of router protection come in
    /// one record, all else by itself.
    pub fn record(&self) -> Cow<'_, str> {
        match self {
            Self::System(isp_id, SystemDocument::RouterDns | SystemDocument::RouterAllowedIp) => {
                Cow::Owned(format!("system/{isp_id}/router-protection"))
            }
            Self::Device(_) | Self::Package(_) | Self::System(..) => self.key(),
        }
    }

    /// Where the backend holds it. A device is held as one of two kinds, all else as itself.
    pub fn resource(&self, kind: Kind) -> Resource {
        match self {
            Self::Device(id) => match kind {
                Kind::Router => Resource::Router((*id).clone()),
                Kind::Device | Kind::Package | Kind::System => Resource::Device((*id).clone()),
            },
            Self::Package(id) => Resource::AgentPackage((*id).clone()),
            Self::System(isp_id, document) => Resource::System((*isp_id).clone(), *document),
        }
    }
}

impl Kind {
    /// The kinds of which what is of this kind may be one.
    pub fn alternatives(self) -> &'static [Self] {
        match self {
            Self::Router | Self::Device => &[Self::Router, Self::Device],
            Self::Package => &[Self::Package],
            Self::System => &[Self::System],
        }
    }

    /// The name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Device => "device",
            Self::Package => "package",
            Self::System => "system",
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
