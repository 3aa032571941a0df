//! Which home a device is of, as far as provisioning says.

use events::{AccountId, DeviceId, IspId, Revision};
use serde::{Deserialize, Serialize};

/// A device, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The entity.
    #[serde(rename = "_id")]
    pub id: DeviceId,
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The highest revision that was seen of it.
    pub revision: Revision,
    /// A tombstone: remembered, so that something older does not bring it back.
    pub deleted: bool,
}

/// A household, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The entity.
    #[serde(rename = "_id")]
    pub id: AccountId,
    /// The tenant.
    pub isp_id: IspId,
    /// The highest revision that was seen of it.
    pub revision: Revision,
    /// The highest revision of any deletion that was seen: it ends every device below.
    #[serde(default)]
    pub ended_at: Revision,
    /// A tombstone.
    pub deleted: bool,
}

/// Where something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
}

impl Device {
    /// Whether it is served, which is worked out whenever it is asked for: device and account come in any order.
    pub fn is_live(&self, account: &Account) -> bool {
        !self.deleted
            && !account.deleted
            && account.isp_id == self.isp_id
            && self.revision >= account.ended_at
    }

    /// Where it is.
    pub fn home(&self) -> Home {
        Home { isp_id: self.isp_id.clone(), account_id: self.account_id.clone() }
    }
}
