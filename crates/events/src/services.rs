//! Words that provisioning and the effective configuration share.

use serde::{Deserialize, Serialize};

use crate::{DomainName, HttpUrl, Schedule, Text, Timestamp};

/// Router or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// Runs an agent, carries the home's traffic.
    Router,
    /// Everything else.
    Device,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum DeviceType {
    Router,
    Phone,
    Tablet,
    Laptop,
    Desktop,
    Console,
    Tv,
    Speaker,
    Camera,
    Thermostat,
    Light,
    Plug,
    Appliance,
    Sensor,
    Printer,
    Other,
}

impl DeviceType {
    /// Whether it is a thing rather than somebody's screen.
    pub fn is_iot(self) -> bool {
        match self {
            Self::Tv
            | Self::Speaker
            | Self::Camera
            | Self::Thermostat
            | Self::Light
            | Self::Plug
            | Self::Appliance
            | Self::Sensor
            | Self::Printer => true,
            Self::Router
            | Self::Phone
            | Self::Tablet
            | Self::Laptop
            | Self::Desktop
            | Self::Console
            | Self::Other => false,
        }
    }
}

/// A kind of content, in the order in which lists are sent (that of the wire names).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Category {
    Adult,
    Chat,
    Dating,
    Drugs,
    Gambling,
    Games,
    MalwareRisk,
    Proxies,
    Social,
    Streaming,
    Violence,
    Weapons,
}

/// A command to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// HS-BE runs an action once per id.
    pub id: Text,
    /// What to do.
    pub name: ActionName,
    /// After this the command is dropped.
    pub expires_at: Timestamp,
}

/// What a device can be told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum ActionName {
    Block,
    Unblock,
    Reboot,
    Rescan,
}

/// What holds for a device once every level has spoken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveServices {
    /// Filtering by content.
    pub content_filtering: ContentFiltering,
    /// Protection against threats.
    pub threat_protection: ThreatProtection,
}

/// Content filtering as it holds for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentFiltering {
    /// On or off.
    pub enabled: bool,
    /// What is filtered, sorted and unique.
    pub categories: Vec<Category>,
    /// Whether search engines answer in their safe mode.
    pub safe_search: bool,
    /// When it is filtered; empty means always.
    pub schedules: Vec<Schedule>,
    /// What a blocked page shows.
    pub blocking_page_url: Option<HttpUrl>,
}

/// Threat protection as it holds for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreatProtection {
    /// On or off.
    pub enabled: bool,
    /// What a blocked page shows.
    pub blocking_page_url: Option<HttpUrl>,
}

/// One entry of the list that decides whether a device may reach a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActRule {
    /// What happens.
    pub action: RuleAction,
    /// Where to.
    pub domain: DomainName,
    /// Who said so.
    pub level: Level,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// Lets through.
    Allow,
    /// Does not.
    Block,
}

/// Who may speak of a device's configuration, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The device itself.
    Device,
    /// The user whose device it is.
    User,
    /// The household.
    Account,
    /// The ISP.
    Isp,
}
