//! Topics `as-notification-topic`, `as-wsp-request-topic` and `as-subsystem-topic`: what others are told.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{AccountId, Category, DeviceId, DomainName, IspId, Text, Timestamp};

/// Something that a household should hear of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The device that it is about.
    pub device_id: DeviceId,
    /// What it is about, in a few words.
    pub subject: Text,
    /// What a template may use.
    pub data: Map<String, Value>,
    /// When.
    pub at: Timestamp,
}

/// What notifications is told.
#[derive(Clone, Debug, PartialEq)]
pub enum NotificationEvent {
    /// `device_event_new_device`
    NewDevice(Notice),
    /// `device_inactive_delete_alert`
    InactiveDeleteAlert(Notice),
    /// `device_inactive_deleted`
    InactiveDeleted(Notice),
    /// `threat_blocked`
    ThreatBlocked(Notice),
}

crate::topic_event! {
    NotificationEvent on "as-notification-topic" {
        NewDevice as "device_event_new_device" (it) => (&it.account_id, &it.isp_id),
        InactiveDeleteAlert as "device_inactive_delete_alert" (it) => (&it.account_id, &it.isp_id),
        InactiveDeleted as "device_inactive_deleted" (it) => (&it.account_id, &it.isp_id),
        ThreatBlocked as "threat_blocked" (it) => (&it.account_id, &it.isp_id),
    }
}

/// Something that was kept from a home, for the reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WspRequest {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The device.
    pub device_id: DeviceId,
    /// By which service.
    pub kind: WspKind,
    /// Where the device wanted to go.
    pub domain: DomainName,
    /// Why it could not, for content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Why it could not, for threats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threat: Option<Text>,
    /// When.
    pub at: Timestamp,
}

/// Which service kept something from a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WspKind {
    /// Content filtering.
    Blocked,
    /// Threat protection.
    Threat,
}

/// What bucket-writer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportEvent {
    /// `WSPRequest`
    WSPRequest(WspRequest),
}

crate::topic_event! {
    ReportEvent on "as-wsp-request-topic" {
        WSPRequest(it) => (&it.account_id, &it.isp_id),
    }
}

/// A subsystem that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubsystemInstalled {
    /// Which subsystem.
    pub subsystem: Text,
    /// Which version of it.
    pub version: Text,
    /// Which process says so.
    pub instance: Text,
    /// When.
    pub at: Timestamp,
}

/// A subsystem that is still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubsystemHeartbeat {
    /// Who and when.
    #[serde(flatten)]
    pub installed: SubsystemInstalled,
    /// Whether it can do its work.
    pub healthy: bool,
}

/// What subsystem-supervisor is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubsystemEvent {
    /// `ProductIsInstalled`
    ProductIsInstalled(SubsystemInstalled),
    /// `Heartbeat`
    Heartbeat(SubsystemHeartbeat),
}

crate::topic_event! {
    SubsystemEvent on "as-subsystem-topic" {
        ProductIsInstalled(it) => (&it.subsystem, &()),
        Heartbeat(it) => (&it.installed.subsystem, &()),
    }
}
