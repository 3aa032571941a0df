//! A person of a household at rest.

use events::{AccountId, AgeGroup, IspId, Revision, Rules, Services, Text, UserId, UserKind};
use serde::{Deserialize, Serialize};

/// A user, or what is left of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The entity.
    #[serde(rename = "_id")]
    pub id: UserId,
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The highest revision that was seen of the user.
    pub revision: Revision,
    /// A tombstone.
    pub deleted: bool,
    /// What the user said last; nothing where only the deletion is known.
    pub state: Option<UserState>,
}

/// What a user says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserState {
    /// What people call the user.
    pub name: Text,
    /// Whether presets apply.
    pub kind: UserKind,
    /// Which preset applies.
    pub age_group: AgeGroup,
    /// What the user says of the services.
    pub services: Option<Services>,
    /// What the user allows and blocks.
    pub rules: Option<Rules>,
}

impl From<&events::User> for UserState {
    fn from(said: &events::User) -> Self {
        Self {
            name: said.name.clone(),
            kind: said.kind,
            age_group: said.age_group,
            services: said.services.clone(),
            rules: said.rules.clone(),
        }
    }
}
