//! A device at rest: what provisioning said of it, and what was published about it.

use events::{
    AccountId, Action, DeviceId, DeviceKind, DeviceType, Flags, IspId, MacAddress, Revision, Rules,
    Services, Text, UploadIntervals, UserId,
};
use serde::{Deserialize, Serialize};

/// A device, or what is left of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The entity.
    #[serde(rename = "_id")]
    pub id: DeviceId,
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The highest revision that provisioning gave it.
    pub revision: Revision,
    /// A tombstone.
    pub deleted: bool,
    /// What provisioning said last; nothing where only the deletion is known.
    pub state: Option<DeviceState>,
    /// The revision of its effective configuration. It is raised after an input was written and before all
    /// inputs are read, so that whoever publishes the highest one has seen every input.
    #[serde(default)]
    pub rs_revision: Revision,
    /// What the others may believe.
    #[serde(default)]
    pub published: Published,
    /// A command that came with a state and is not published yet.
    #[serde(default)]
    pub pending_action: Option<Action>,
    /// Routers: the flags and intervals that were said last, while it is served.
    #[serde(default)]
    pub told_flags: Option<ToldFlags>,
    /// Whether something else may have been said of them since: it is noted before it is said.
    #[serde(default)]
    pub flags_in_doubt: bool,
    /// When provisioning's last word was written, in Unix milliseconds.
    #[serde(default)]
    pub saved_at_ms: Option<i64>,
    /// What was published of it last. It is noted in the background, so a crash may leave an older one.
    #[serde(default)]
    pub last_published: Option<LastPublished>,
}

/// A router's flags and intervals: one resource, always whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldFlags {
    /// Feature flags.
    pub flags: Flags,
    /// How often it reports.
    pub upload_intervals: UploadIntervals,
}

/// What was published of a device last, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPublished {
    /// The event's name on the wire.
    pub event: String,
    /// The partition of the topic.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
    /// The revision that was said.
    pub revision: Revision,
    /// When the broker had acknowledged it, in Unix milliseconds.
    pub at_ms: i64,
}

/// What the others may believe of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Published {
    /// Nothing was ever said.
    #[default]
    Never,
    /// It may have been said that it is served.
    Live,
    /// It was said that it is not served any more.
    Removed,
}

/// What provisioning says of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceState {
    /// Whose device it is; kept while that user is gone.
    pub user_id: Option<UserId>,
    /// The ISP's own number.
    pub external_id: Option<Text>,
    /// Router or not.
    pub kind: DeviceKind,
    /// What people call it.
    pub name: Text,
    /// What it is.
    pub device_type: DeviceType,
    /// Its address in the home's network.
    pub mac: MacAddress,
    /// The maker's name of the model.
    pub model: Option<Text>,
    /// The maker's number of the device.
    pub serial: Option<Text>,
    /// Whether a router is served.
    pub enabled: Option<bool>,
    /// What the device says of the services.
    pub services: Option<Services>,
    /// What the device allows and blocks.
    pub rules: Option<Rules>,
    /// Routers: the group of agent versions that it follows.
    pub target_version: Option<Text>,
    /// Routers: feature flags.
    pub flags: Option<Flags>,
    /// Routers: how often it reports.
    pub upload_intervals: Option<UploadIntervals>,
}

impl From<&events::Device> for DeviceState {
    fn from(said: &events::Device) -> Self {
        Self {
            user_id: said.user_id.clone(),
            external_id: said.external_id.clone(),
            kind: said.kind,
            name: said.name.clone(),
            device_type: said.device_type,
            mac: said.mac.clone(),
            model: said.model.clone(),
            serial: said.serial.clone(),
            enabled: said.enabled,
            services: said.services.clone(),
            rules: said.rules.clone(),
            target_version: said.target_version.clone(),
            flags: said.flags.clone(),
            upload_intervals: said.upload_intervals.clone(),
        }
    }
}
