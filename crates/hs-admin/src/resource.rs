//! What the backend holds and where.

use std::fmt;

use events::{AgentPackageId, DeviceId, IspId};

/// One thing that the backend holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// Holds a [`DeviceConfiguration`](crate::DeviceConfiguration).
    Device(DeviceId),
    /// Holds a [`RouterConfiguration`](crate::RouterConfiguration).
    Router(DeviceId),
    /// Holds the [`FeatureFlags`](crate::FeatureFlags) of a router.
    FeatureFlags(DeviceId),
    /// Holds an [`AgentPackage`](crate::AgentPackage).
    AgentPackage(AgentPackageId),
    /// Holds a document of an ISP.
    System(IspId, SystemDocument),
}

impl Resource {
    /// The path below the base URL. Ids need no escaping, and none is `.` or `..`, which clients take for a step.
    pub fn path(&self) -> String {
        match self {
            Self::Device(id) => format!("/devices/{id}"),
            Self::Router(id) => format!("/routers/{id}"),
            Self::FeatureFlags(id) => format!("/routers/{id}/feature-flags"),
            Self::AgentPackage(id) => format!("/agent-packages/{id}"),
            Self::System(isp_id, document) => format!("/system/{isp_id}/{}", document.as_str()),
        }
    }

    /// The kind of thing, without its id.
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Device(_) => ResourceKind::Device,
            Self::Router(_) => ResourceKind::Router,
            Self::FeatureFlags(_) => ResourceKind::FeatureFlags,
            Self::AgentPackage(_) => ResourceKind::AgentPackage,
            Self::System(..) => ResourceKind::System,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// A kind of thing that the backend holds or tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// Devices other than routers.
    Device,
    /// Routers.
    Router,
    /// Feature flags and upload intervals of routers.
    FeatureFlags,
    /// Versions of the software on routers.
    AgentPackage,
    /// Documents of ISPs.
    System,
    /// How the backend itself feels.
    Status,
}

impl ResourceKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Device,
        Self::Router,
        Self::FeatureFlags,
        Self::AgentPackage,
        Self::System,
        Self::Status,
    ];

    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Router => "router",
            Self::FeatureFlags => "feature-flags",
            Self::AgentPackage => "agent-package",
            Self::System => "system",
            Self::Status => "status",
        }
    }
}

/// A document of an ISP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemDocument {
    /// [`SystemRouterDNS`](crate::SystemRouterDNS)
    RouterDns,
    /// [`SystemRouterAllowedIP`](crate::SystemRouterAllowedIP)
    RouterAllowedIp,
    /// [`SystemGeneral`](crate::SystemGeneral)
    General,
    /// [`SystemAgentVersions`](crate::SystemAgentVersions)
    AgentVersions,
    /// [`SystemAgentDefault`](crate::SystemAgentDefault)
    AgentDefault,
}

impl SystemDocument {
    /// Every document.
    pub const ALL: [Self; 5] = [
        Self::RouterDns,
        Self::RouterAllowedIp,
        Self::General,
        Self::AgentVersions,
        Self::AgentDefault,
    ];

    /// The last segment of its path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RouterDns => "router-dns",
            Self::RouterAllowedIp => "router-allowed-ip",
            Self::General => "general",
            Self::AgentVersions => "agent-versions",
            Self::AgentDefault => "agent-default",
        }
    }
}
