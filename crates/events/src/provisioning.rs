//! Topics `as-provision-topic` and `as-provision-command-topic`: what an ISP's provisioning says.
//!
//! Every state is full: what is absent (or null) says nothing at that level.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    AccountId, Action, Bounded, DeviceId, DeviceKind, DeviceType, DomainName, Flags, HttpUrl,
    IspId, MacAddress, Revision, Schedules, Text, UploadIntervals, UserId, services::Category,
};

/// A subscriber household as its owner knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The tenant.
    pub isp_id: IspId,
    /// The entity.
    pub account_id: AccountId,
    /// The ISP's own number, unique within the ISP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Text>,
    /// Order between two states of this account.
    pub revision: Revision,
    /// Whether the household is served.
    pub status: AccountStatus,
    /// What the account says of the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Services>,
    /// What the account allows and blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Rules>,
}

/// Whether a household is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountStatus {
    /// Served.
    Active,
    /// Known, but everything is off.
    Suspended,
}

/// A person in an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The entity.
    pub user_id: UserId,
    /// Order between two states of this user.
    pub revision: Revision,
    /// What people call the user.
    pub name: Text,
    /// Whether presets apply.
    pub kind: UserKind,
    /// Which preset applies.
    pub age_group: AgeGroup,
    /// What the user says of the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Services>,
    /// What the user allows and blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Rules>,
}

/// Who a user is in the household.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserKind {
    /// Decides for others.
    Parent,
    /// Gets the preset of the age group.
    Child,
}

/// How old a user is, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgeGroup {
    /// The strictest preset.
    Child,
    /// A looser preset.
    Teen,
    /// No preset.
    Adult,
}

/// Anything in the home, the router included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The entity.
    pub device_id: DeviceId,
    /// Whose device it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The ISP's own number, unique within the ISP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Text>,
    /// Order between two states of this device.
    pub revision: Revision,
    /// Router or not.
    pub kind: DeviceKind,
    /// What people call the device.
    pub name: Text,
    /// What it is.
    pub device_type: DeviceType,
    /// Its address in the home's network.
    pub mac: MacAddress,
    /// The maker's name of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Text>,
    /// The maker's number of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Text>,
    /// Whether a router is served; says nothing for other devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What the device says of the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Services>,
    /// What the device allows and blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Rules>,
    /// Routers: the group of agent versions that the router follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_version: Option<Text>,
    /// Routers: feature flags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Flags>,
    /// Routers: how often the router reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_intervals: Option<UploadIntervals>,
    /// A command that came with this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// What products keep with the device; nothing that this subsystem reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product_data: Option<Map<String, Value>>,
}

/// What one level (device, user, account, ISP) says of the services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// Filtering by content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_filtering: Option<ContentFilteringSettings>,
    /// Protection against threats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threat_protection: Option<ThreatProtectionSettings>,
}

/// What one level says of content filtering.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentFilteringSettings {
    /// On or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What is filtered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Bounded<Category>>,
    /// Whether search engines answer in their safe mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_search: Option<bool>,
    /// When it is filtered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedules: Option<Schedules>,
    /// What a blocked page shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocking_page_url: Option<HttpUrl>,
}

/// What one level says of threat protection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreatProtectionSettings {
    /// On or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What a blocked page shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocking_page_url: Option<HttpUrl>,
}

/// What one level allows and blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Domains that are let through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Bounded<DomainName>>,
    /// Domains that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Bounded<DomainName>>,
}

/// The end of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedAccount {
    /// The tenant.
    pub isp_id: IspId,
    /// The entity.
    pub account_id: AccountId,
    /// Above those of all users and devices of the account.
    pub revision: Revision,
}

/// The end of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedUser {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The entity.
    pub user_id: UserId,
    /// Order between two states of this user.
    pub revision: Revision,
}

/// The end of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedDevice {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The entity.
    pub device_id: DeviceId,
    /// Order between two states of this device.
    pub revision: Revision,
}

/// An account with users and devices, at most 1,000 of each; what is absent is untouched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provision {
    /// The tenant of everything in it.
    pub isp_id: IspId,
    /// The household.
    pub account: Account,
    /// People of the household.
    pub users: Bounded<User>,
    /// Devices of the household.
    pub devices: Bounded<Device>,
}

/// What accounts says to the subsystems.
#[derive(Clone, Debug, PartialEq)]
pub enum ProvisioningEvent {
    /// `AccountCreated`
    AccountCreated(Account),
    /// `AccountUpdated`
    AccountUpdated(Account),
    /// `AccountDeleted`
    AccountDeleted(DeletedAccount),
    /// `UserCreated`
    UserCreated(User),
    /// `UserUpdated`
    UserUpdated(User),
    /// `UserDeleted`
    UserDeleted(DeletedUser),
    /// `DeviceCreated`
    DeviceCreated(Device),
    /// `DeviceUpdated`
    DeviceUpdated(Device),
    /// `DeviceDeleted`
    DeviceDeleted(DeletedDevice),
    /// `ProvisionCreated`
    ProvisionCreated(Provision),
    /// `ProvisionUpdated`
    ProvisionUpdated(Provision),
    /// `ProvisionDeleted`: `AccountDeleted` by another name
    ProvisionDeleted(DeletedAccount),
}

crate::topic_event! {
    ProvisioningEvent on "as-provision-topic" {
        AccountCreated(it) => (&it.account_id, &it.isp_id),
        AccountUpdated(it) => (&it.account_id, &it.isp_id),
        AccountDeleted(it) => (&it.account_id, &it.isp_id),
        UserCreated(it) => (&it.account_id, &it.isp_id),
        UserUpdated(it) => (&it.account_id, &it.isp_id),
        UserDeleted(it) => (&it.account_id, &it.isp_id),
        DeviceCreated(it) => (&it.account_id, &it.isp_id),
        DeviceUpdated(it) => (&it.account_id, &it.isp_id),
        DeviceDeleted(it) => (&it.account_id, &it.isp_id),
        ProvisionCreated(it) => (&it.account.account_id, &it.isp_id),
        ProvisionUpdated(it) => (&it.account.account_id, &it.isp_id),
        ProvisionDeleted(it) => (&it.account_id, &it.isp_id),
    }
}

/// A device that HS-BE discovered and accounts is asked to take in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostDevice {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// What is known of it.
    pub device: DiscoveredDevice,
}

/// What HS-BE tells of a device that it discovered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiscoveredDevice {
    /// The id that HS-BE gave it.
    pub device_id: DeviceId,
    /// Router or not.
    pub kind: DeviceKind,
    /// A name to begin with.
    pub name: Text,
    /// What it seems to be.
    pub device_type: DeviceType,
    /// Its address in the home's network.
    pub mac: MacAddress,
    /// `RouterSecure.status` of the new device.
    pub product_data: Map<String, Value>,
}

/// A change of a device that accounts is asked to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatchDevice {
    /// The tenant.
    pub isp_id: IspId,
    /// The entity.
    pub device_id: DeviceId,
    /// A JSON merge patch (RFC 7396).
    pub patch: Map<String, Value>,
}

/// What rsevents asks of accounts.
#[derive(Clone, Debug, PartialEq)]
pub enum ProvisionCommand {
    /// `PostDevice`
    PostDevice(PostDevice),
    /// `PatchDevice`
    PatchDevice(PatchDevice),
}

crate::topic_event! {
    ProvisionCommand on "as-provision-command-topic" {
        PostDevice(it) => (&it.device.device_id, &it.isp_id),
        PatchDevice(it) => (&it.device_id, &it.isp_id),
    }
}
