//! A subscriber household at rest.

use events::{AccountId, AccountStatus, IspId, Revision, Rules, Services, Text};
use serde::{Deserialize, Serialize};

/// An account, or what is left of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The entity.
    #[serde(rename = "_id")]
    pub id: AccountId,
    /// The tenant.
    pub isp_id: IspId,
    /// The highest revision that was seen of it.
    pub revision: Revision,
    /// The highest revision of any deletion that was seen: it ends every user and device below.
    pub ended_at: Revision,
    /// A tombstone: remembered, so that something older does not bring it back.
    pub deleted: bool,
    /// What it said last; nothing where only its deletion is known.
    pub state: Option<AccountState>,
}

/// What an account says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountState {
    /// The ISP's own number.
    pub external_id: Option<Text>,
    /// Whether the household is served.
    pub status: AccountStatus,
    /// What the account says of the services.
    pub services: Option<Services>,
    /// What the account allows and blocks.
    pub rules: Option<Rules>,
}

impl Account {
    /// What the account says, unless it is deleted.
    pub fn live(&self) -> Option<&AccountState> {
        self.state.as_ref().filter(|_| !self.deleted)
    }
}

impl From<&events::Account> for AccountState {
    fn from(said: &events::Account) -> Self {
        Self {
            external_id: said.external_id.clone(),
            status: said.status,
            services: said.services.clone(),
            rules: said.rules.clone(),
        }
    }
}
