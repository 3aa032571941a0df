//! Topics `as-configuration-topic` and `as-rs-system-configuration-topic`: what holds for a whole ISP.

use serde::{Deserialize, Serialize};

use crate::{Bounded, Count, Flags, Ip, IpNetwork, IspId, Revision, Rules, Services, Text};

/// What an ISP says for all of its accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IspConfiguration {
    /// The tenant.
    pub isp_id: IspId,
    /// Order between two states of this configuration.
    pub revision: Revision,
    /// What the ISP says of the services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Services>,
    /// What the ISP allows and blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Rules>,
    /// Seconds after which an inactive device is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_inactive_seconds: Option<Count>,
    /// Seconds before that deletion at which the household is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_lead_seconds: Option<Count>,
}

/// What customconfig says to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigurationEvent {
    /// `ISPGlobalConfigurationsCreated`
    ISPGlobalConfigurationsCreated(IspConfiguration),
    /// `ISPGlobalConfigurationsUpdated`
    ISPGlobalConfigurationsUpdated(IspConfiguration),
}

crate::topic_event! {
    ConfigurationEvent on "as-configuration-topic" {
        ISPGlobalConfigurationsCreated(it) => (&it.isp_id, &it.isp_id),
        ISPGlobalConfigurationsUpdated(it) => (&it.isp_id, &it.isp_id),
    }
}

/// Protection of an ISP's routers, with both lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterProtection {
    /// The tenant.
    pub isp_id: IspId,
    /// Order between two states of this document.
    pub revision: Revision,
    /// On or off, and where blocked traffic goes.
    pub router_protection: RouterProtectionSettings,
    /// Name servers that homes may use.
    pub dns_allowed_list: Bounded<Ip>,
    /// Networks that routers may be managed from.
    pub allowed_list: Bounded<IpNetwork>,
}

/// On or off, and where blocked traffic goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterProtectionSettings {
    /// On or off.
    pub enabled: bool,
    /// Where blocked traffic goes.
    pub block_page_ip: Option<Ip>,
}

/// LAN protection and advanced configuration of an ISP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemConfiguration {
    /// The tenant.
    pub isp_id: IspId,
    /// Order between two states of this document.
    pub revision: Revision,
    /// Protection inside the home's network.
    pub lan_protection: LanProtection,
    /// What experts set.
    pub advanced: AdvancedConfiguration,
}

/// Protection inside the home's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanProtection {
    /// On or off.
    pub enabled: bool,
    /// Whether things are kept apart from screens.
    pub isolate_iot: bool,
    /// Whether forged ARP answers are dropped.
    pub arp_guard: bool,
}

/// What experts set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvancedConfiguration {
    /// How much routers log.
    pub log_level: Text,
    /// Whether routers report figures of their own.
    pub telemetry: bool,
    /// Features by name.
    pub features: Flags,
}

/// What rsclient says to rsadaptor of an ISP's system documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RsSystemEvent {
    /// `RSRouterProtectionUpdated`
    RSRouterProtectionUpdated(RouterProtection),
    /// `RSSystemUpdated`
    RSSystemUpdated(SystemConfiguration),
}

crate::topic_event! {
    RsSystemEvent on "as-rs-system-configuration-topic" {
        RSRouterProtectionUpdated(it) => (&it.isp_id, &it.isp_id),
        RSSystemUpdated(it) => (&it.isp_id, &it.isp_id),
    }
}
