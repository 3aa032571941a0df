//! Topic `as-rs-provision-topic`: what rsclient tells rsadaptor of devices.

use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ActRule, Action, AgentPackageId, DeviceId, DeviceKind, DeviceType,
    EffectiveServices, Flags, IspId, MacAddress, Revision, Text, UploadIntervals, UserId,
};

/// A device with the configuration that holds for it, every level considered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectiveDevice {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The entity.
    pub device_id: DeviceId,
    /// Whose device it is, where that user is of this household.
    pub user_id: Option<UserId>,
    /// Order between two effective configurations of this device (`rs_revision`).
    pub revision: Revision,
    /// Router or not.
    pub kind: DeviceKind,
    /// What people call the device.
    pub name: Text,
    /// What it is.
    pub device_type: DeviceType,
    /// Whether it is a thing rather than somebody's screen.
    pub is_iot: bool,
    /// Its address in the home's network.
    pub mac: MacAddress,
    /// The maker's name of the model.
    pub model: Option<Text>,
    /// The maker's number of the device.
    pub serial: Option<Text>,
    /// Whether a router is served.
    pub enabled: bool,
    /// The agent package that a router should run.
    pub target_agent_package: Option<AgentPackageId>,
    /// What is allowed and blocked, the first match decides.
    pub act_rules: Vec<ActRule>,
    /// What is filtered and protected.
    pub services: EffectiveServices,
}

/// A device's full state with a command to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAction {
    /// The state.
    #[serde(flatten)]
    pub device: EffectiveDevice,
    /// The command.
    pub action: Action,
}

/// A device that is not served any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedDevice {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The entity.
    pub device_id: DeviceId,
    /// What it was last.
    pub kind: DeviceKind,
    /// Order between two effective configurations of this device (`rs_revision`).
    pub revision: Revision,
}

/// A user changed; the effect on devices travels with the devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedUser {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// The entity.
    pub user_id: UserId,
    /// The user's own revision.
    pub revision: Revision,
}

/// A router's flags and upload intervals: one resource, always whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterFlags {
    /// The tenant.
    pub isp_id: IspId,
    /// The router.
    pub device_id: DeviceId,
    /// Order between two states of the flags.
    pub revision: Revision,
    /// Feature flags.
    pub flags: Flags,
    /// How often the router reports.
    pub upload_intervals: UploadIntervals,
}

/// What rsclient says to rsadaptor of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RsProvisioningEvent {
    /// `RSDeviceCreated`
    RSDeviceCreated(EffectiveDevice),
    /// `RSDeviceUpdated`
    RSDeviceUpdated(EffectiveDevice),
    /// `RSDeviceDeleted`
    RSDeviceDeleted(RemovedDevice),
    /// `RSDeviceAction`
    RSDeviceAction(DeviceAction),
    /// `RSUserUpdated`
    RSUserUpdated(ChangedUser),
    /// `RSCustomFlagsUpdated`
    RSCustomFlagsUpdated(RouterFlags),
    /// `RSRouterUploadIntervalsUpdated`
    RSRouterUploadIntervalsUpdated(RouterFlags),
}

crate::topic_event! {
    RsProvisioningEvent on "as-rs-provision-topic" {
        RSDeviceCreated(it) => (&it.device_id, &it.isp_id),
        RSDeviceUpdated(it) => (&it.device_id, &it.isp_id),
        RSDeviceDeleted(it) => (&it.device_id, &it.isp_id),
        RSDeviceAction(it) => (&it.device.device_id, &it.device.isp_id),
        RSUserUpdated(it) => (&it.user_id, &it.isp_id),
        RSCustomFlagsUpdated(it) => (&it.device_id, &it.isp_id),
        RSRouterUploadIntervalsUpdated(it) => (&it.device_id, &it.isp_id),
    }
}
