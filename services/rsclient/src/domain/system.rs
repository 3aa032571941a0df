//! What an ISP sets for all of its homes at once: two documents, each of which leaves in one event.

use events::{
    AdvancedConfiguration, Bounded, Flags, Ip, IpNetwork, IspId, LanProtection, Revision,
    RouterProtectionSettings, RsSystemEvent, Text,
};
pub use problem::Expected;
use serde::{Deserialize, Serialize};

/// Protection of an ISP's routers, with both lists: what leaves in one event has one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterProtection {
    /// The tenant, which is the entity.
    #[serde(rename = "_id")]
    pub isp_id: IspId,
    /// Order between two states; 0 where nothing was ever set.
    pub revision: Revision,
    /// On or off, and where blocked traffic goes.
    pub router_protection: RouterProtectionSettings,
    /// Name servers that homes may use.
    pub dns_allowed_list: Bounded<Ip>,
    /// Networks that routers may be managed from.
    pub allowed_list: Bounded<IpNetwork>,
}

/// LAN protection and advanced configuration of an ISP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemConfiguration {
    /// The tenant, which is the entity.
    #[serde(rename = "_id")]
    pub isp_id: IspId,
    /// Order between two states; 0 where nothing was ever set.
    pub revision: Revision,
    /// Protection inside the home's network.
    pub lan_protection: LanProtection,
    /// What experts set.
    pub advanced: AdvancedConfiguration,
}

/// What of the protection of routers is set anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtectionChange {
    /// On or off, and where blocked traffic goes.
    Settings(RouterProtectionSettings),
    /// Name servers that homes may use.
    DnsAllowedList(Bounded<Ip>),
    /// Networks that routers may be managed from.
    AllowedList(Bounded<IpNetwork>),
}

/// What of the system configuration is set anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemChange {
    /// Protection inside the home's network.
    LanProtection(LanProtection),
    /// What experts set.
    Advanced(AdvancedConfiguration),
}

impl RouterProtection {
    /// What holds for an ISP that has set nothing.
    pub fn unset(isp_id: IspId) -> Self {
        let none = "a list of nothing is short";
        Self {
            isp_id,
            revision: Revision::default(),
            router_protection: RouterProtectionSettings { enabled: false, block_page_ip: None },
            dns_allowed_list: Bounded::try_from(Vec::new()).expect(none),
            allowed_list: Bounded::try_from(Vec::new()).expect(none),
        }
    }

    /// What the others are told.
    pub fn event(&self) -> RsSystemEvent {
        RsSystemEvent::RSRouterProtectionUpdated(events::RouterProtection {
            isp_id: self.isp_id.clone(),
            revision: self.revision,
            router_protection: self.router_protection.clone(),
            dns_allowed_list: self.dns_allowed_list.clone(),
            allowed_list: self.allowed_list.clone(),
        })
    }
}

impl SystemConfiguration {
    /// What holds for an ISP that has set nothing.
    pub fn unset(isp_id: IspId) -> Self {
        let log_level = Text::try_from("info".to_owned()).expect("a word is a text");
        Self {
            isp_id,
            revision: Revision::default(),
            lan_protection: LanProtection { enabled: false, isolate_iot: false, arp_guard: false },
            advanced: AdvancedConfiguration { log_level, telemetry: false, features: Flags::new() },
        }
    }

    /// What the others are told.
    pub fn event(&self) -> RsSystemEvent {
        RsSystemEvent::RSSystemUpdated(events::SystemConfiguration {
            isp_id: self.isp_id.clone(),
            revision: self.revision,
            lan_protection: self.lan_protection.clone(),
            advanced: self.advanced.clone(),
        })
    }
}
