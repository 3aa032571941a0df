//! The collections `router_protection` and `system_configuration`.

use events::IspId;
use mongodb::bson::{Document, doc};

use super::{OfIsp, StoreError, to_bson};
use crate::domain::{
    Expected, ProtectionChange, RouterProtection, SystemChange, SystemConfiguration,
};

/// The collection of [`RouterProtection`].
pub const ROUTER_PROTECTION: &str = "router_protection";
/// The collection of [`SystemConfiguration`].
pub const SYSTEM_CONFIGURATION: &str = "system_configuration";

impl OfIsp<RouterProtection> {
    /// Sets a part of an ISP's protection of routers; the others stay as they are. Answers the new state; nothing where
    /// another one is held than the one that is expected.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn set(
        &self,
        isp_id: &IspId,
        expected: &Expected,
        change: &ProtectionChange,
    ) -> Result<Option<RouterProtection>, StoreError> {
        let unset = RouterProtection::unset(isp_id.clone());
        let mut members = doc! {
            "router_protection": or_stay("router_protection", &unset.router_protection)?,
            "dns_allowed_list": or_stay("dns_allowed_list", &unset.dns_allowed_list)?,
            "allowed_list": or_stay("allowed_list", &unset.allowed_list)?,
        };
        match change {
            ProtectionChange::Settings(it) => members.insert("router_protection", literal(it)?),
            ProtectionChange::DnsAllowedList(it) => {
                members.insert("dns_allowed_list", literal(it)?)
            }
            ProtectionChange::AllowedList(it) => members.insert("allowed_list", literal(it)?),
        };
        self.change(isp_id, expected, members).await
    }
}

impl OfIsp<SystemConfiguration> {
    /// Sets a part of an ISP's system configuration; the other stays as it is. Answers the new state; nothing where
    /// another one is held than the one that is expected.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn set(
        &self,
        isp_id: &IspId,
        expected: &Expected,
        change: &SystemChange,
    ) -> Result<Option<SystemConfiguration>, StoreError> {
        let unset = SystemConfiguration::unset(isp_id.clone());
        let mut members = doc! {
            "lan_protection": or_stay("lan_protection", &unset.lan_protection)?,
            "advanced": or_stay("advanced", &unset.advanced)?,
        };
        match change {
            SystemChange::LanProtection(it) => members.insert("lan_protection", literal(it)?),
            SystemChange::Advanced(it) => members.insert("advanced", literal(it)?),
        };
        self.change(isp_id, expected, members).await
    }
}

/// A value in which no name is taken for an operator.
fn literal(value: &impl serde::Serialize) -> Result<Document, StoreError> {
    Ok(doc! { "$literal": to_bson(value)? })
}

/// What a member becomes that is not changed: what it is, or what holds where nothing was set.
fn or_stay(member: &str, unset: &impl serde::Serialize) -> Result<Document, StoreError> {
    Ok(doc! { "$ifNull": [format!("${member}"), literal(unset)?] })
}
