//! Topics `hs-event-topic` and `as-rs-event-topic`: what happens in the homes.

use serde::{Deserialize, Serialize};

use crate::{
    AccountId, AgentPackageId, Category, DeviceId, DeviceType, DomainName, EventId, IspId,
    MacAddress, Text, Timestamp,
};

/// What every event of HS-BE says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeEvent<D> {
    /// When it happened.
    pub timestamp: Timestamp,
    /// The event.
    pub event_id: EventId,
    /// The tenant, as HS-BE believes.
    pub isp_id: IspId,
    /// The device; the router for events of a router.
    pub device_id: DeviceId,
    /// The household, where HS-BE knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// What is particular to the event.
    #[serde(flatten)]
    pub detail: D,
}

/// A device came into the home's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// The router that saw it.
    pub router_id: DeviceId,
    /// Its address in the home's network.
    pub mac: MacAddress,
}

/// A device that nobody knew came into the home's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    /// Its address in the home's network.
    pub mac: MacAddress,
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// What it seems to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<DeviceType>,
}

/// A device began or ceased to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Whether it sends.
    pub active: bool,
}

/// A device was kept from a domain by content filtering.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Where it wanted to go.
    pub domain: DomainName,
    /// Why it could not.
    pub category: Category,
}

/// A device was kept from a domain by threat protection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threat {
    /// Where it wanted to go.
    pub domain: DomainName,
    /// Why it could not.
    pub threat: Text,
}

/// A router tried to install an agent package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInstallation {
    /// The package.
    pub agent_package_id: AgentPackageId,
    /// How it went.
    pub status: InstallationStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
}

/// How an installation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstallationStatus {
    /// The router runs it.
    Installed,
    /// It does not.
    Failed,
}

/// What HS-BE says of the homes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HsEvent {
    /// `device_event_connected`
    Connected(HomeEvent<Connected>),
    /// `device_event_new_device`
    NewDevice(HomeEvent<Discovered>),
    /// `device_event_active`
    Active(HomeEvent<Activity>),
    /// `device_event_blocked`
    Blocked(HomeEvent<Blocked>),
    /// `device_event_threat`
    Threat(HomeEvent<Threat>),
    /// `router_event_agent`
    Agent(HomeEvent<AgentInstallation>),
}

crate::topic_event! {
    HsEvent on "hs-event-topic" {
        Connected as "device_event_connected" (it) => (&it.device_id, &it.isp_id),
        NewDevice as "device_event_new_device" (it) => (&it.device_id, &it.isp_id),
        Active as "device_event_active" (it) => (&it.device_id, &it.isp_id),
        Blocked as "device_event_blocked" (it) => (&it.device_id, &it.isp_id),
        Threat as "device_event_threat" (it) => (&it.device_id, &it.isp_id),
        Agent as "router_event_agent" (it) => (&it.device_id, &it.isp_id),
    }
}

/// A device came into its home's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceConnected {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// The device.
    pub device_id: DeviceId,
    /// The router that saw it.
    pub router_id: DeviceId,
    /// Its address in the home's network.
    pub mac: MacAddress,
    /// When.
    pub at: Timestamp,
}

/// A router said what it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterAgentReported {
    /// The tenant.
    pub isp_id: IspId,
    /// The router.
    pub device_id: DeviceId,
    /// The package.
    pub agent_package_id: AgentPackageId,
    /// How it went.
    pub status: InstallationStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
    /// When.
    pub at: Timestamp,
}

/// What rsevents says to the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RsEvent {
    /// `RSDeviceEventConnected`
    RSDeviceEventConnected(DeviceConnected),
    /// `RSRouterAgentReported`
    RSRouterAgentReported(RouterAgentReported),
}

crate::topic_event! {
    RsEvent on "as-rs-event-topic" {
        RSDeviceEventConnected(it) => (&it.device_id, &it.isp_id),
        RSRouterAgentReported(it) => (&it.device_id, &it.isp_id),
    }
}
