//! What the backend holds, member by member in the order in which it is sent.
//!
//! Every member is required, null where it may be, and no other is accepted.

use std::collections::BTreeMap;

use events::{
    AccountId, ActRule, Action, AgentPackageId, Count, DeviceId, DeviceType, EffectiveServices,
    Flags, HttpUrl, Ip, IpNetwork, IspId, MacAddress, Revision, Text, UploadIntervals, UserId,
};
use serde::{Deserialize, Serialize};

use crate::strict::{self, nullable};

/// `PUT /devices/{device_id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfiguration {
    /// Which device it is.
    pub device: DeviceIdentity,
    /// What protects it.
    #[serde(deserialize_with = "strict::services")]
    pub services: EffectiveServices,
    /// A command, run once per id.
    #[serde(deserialize_with = "strict::action")]
    pub action: Option<Action>,
    /// Whether it is a thing rather than somebody's screen.
    pub is_iot: bool,
    /// Which domains it may reach; the first rule that names a domain holds.
    #[serde(deserialize_with = "strict::act_rules")]
    pub act_rules: Vec<ActRule>,
}

/// `PUT /routers/{router_id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterConfiguration {
    /// Which device it is.
    pub device: DeviceIdentity,
    /// What protects the traffic of the router itself.
    #[serde(deserialize_with = "strict::services")]
    pub services: EffectiveServices,
    /// Whether the home is served at all.
    pub enabled: bool,
    /// How the router proves who it is.
    pub identifiers: Identifiers,
    /// The agent that the router should run.
    #[serde(deserialize_with = "nullable")]
    pub target_agent_package: Option<AgentPackageId>,
    /// A command, run once per id.
    #[serde(deserialize_with = "strict::action")]
    pub action: Option<Action>,
}

/// Who a device or a router is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceIdentity {
    /// The device.
    pub id: DeviceId,
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// Whose device it is.
    #[serde(deserialize_with = "nullable")]
    pub user_id: Option<UserId>,
    /// What people call it.
    pub name: Text,
    /// What it is.
    #[serde(rename = "type")]
    pub device_type: DeviceType,
    /// Its address in the home's network.
    pub mac: MacAddress,
}

/// How a router proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identifiers {
    /// The maker's number.
    #[serde(deserialize_with = "nullable")]
    pub serial: Option<Text>,
    /// Its address.
    pub mac: MacAddress,
    /// The maker's name of the model.
    #[serde(deserialize_with = "nullable")]
    pub model: Option<Text>,
}

/// `PUT /routers/{router_id}/feature-flags`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureFlags {
    /// Flags by name.
    pub flags: Flags,
    /// Intervals by name, in the unit that ends the name.
    pub upload_intervals: UploadIntervals,
}

/// `PUT /agent-packages/{agent_package_id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentPackage {
    /// The package.
    pub id: AgentPackageId,
    /// The version of the software.
    pub version: Text,
    /// Router models that it runs on.
    pub models: Vec<Text>,
    /// Where routers fetch it.
    pub url: HttpUrl,
    /// Its digest, in hexadecimal.
    pub sha256: Text,
    /// Its size.
    pub size_bytes: Count,
    /// The maker's signature.
    #[serde(deserialize_with = "strict::long_text")]
    pub signature: String,
}

/// `PUT /system/{isp_id}/router-dns`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemRouterDNS {
    /// Whether other resolvers are cut off.
    pub enabled: bool,
    /// Resolvers that are not.
    pub allowed: Vec<Ip>,
}

/// `PUT /system/{isp_id}/router-allowed-ip`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemRouterAllowedIP {
    /// Whether other addresses are cut off.
    pub enabled: bool,
    /// Networks that are not.
    pub allowed: Vec<IpNetwork>,
    /// Who answers in place of what is cut off.
    #[serde(deserialize_with = "nullable")]
    pub block_page_ip: Option<Ip>,
}

/// `PUT /system/{isp_id}/general`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemGeneral {
    /// What protects the home's own network.
    pub lan_protection: SystemLanProtection,
    /// What support turns on and off.
    pub advanced: SystemAdvanced,
}

/// What protects the home's own network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemLanProtection {
    /// On or off.
    pub enabled: bool,
    /// Whether things are kept apart from people's screens.
    pub isolate_iot: bool,
    /// Whether forged ARP answers are dropped.
    pub arp_guard: bool,
}

/// What support turns on and off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemAdvanced {
    /// How much agents log.
    pub log_level: Text,
    /// Whether agents send measurements.
    pub telemetry: bool,
    /// Features by name.
    pub features: Flags,
}

/// `PUT /system/{isp_id}/agent-versions`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemAgentVersions {
    /// The packages that routers of the ISP may run.
    pub packages: Vec<AgentVersion>,
}

/// A package that routers may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentVersion {
    /// The package.
    pub agent_package_id: AgentPackageId,
    /// The version of the software.
    pub version: Text,
    /// Router models that it runs on.
    pub models: Vec<Text>,
}

/// `PUT /system/{isp_id}/agent-default`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemAgentDefault {
    /// The package for routers that nothing else names one for, by model.
    pub defaults: BTreeMap<Text, AgentPackageId>,
}

/// An item of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchItem {
    /// What `X-Revision` says of a single write.
    pub revision: Revision,
    /// The device.
    pub configuration: DeviceConfiguration,
}

#[cfg(test)]
mod tests;
