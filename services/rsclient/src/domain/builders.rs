//! Message builders: from what is stored to what is said.

use events::{ChangedUser, DeviceAction, RemovedDevice, Revision, RsProvisioningEvent};
use jiff::Timestamp;

use super::{Inputs, Published, effective_device};

/// What is to be said of a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Publication {
    /// It is served like this.
    Live(RsProvisioningEvent),
    /// It is not served any more.
    Removed(RsProvisioningEvent),
    /// It is not served, and nobody believes that it is.
    Nothing,
}

/// What is to be said of a device, at `now`.
pub fn publication(inputs: Inputs<'_>, now: Timestamp) -> Publication {
    let device = inputs.device;
    if let Some(effective) = effective_device(inputs) {
        let command = device.pending_action.clone().filter(|it| it.expires_at.instant() > now);
        return Publication::Live(match (command, device.published) {
            (Some(action), _) => {
                RsProvisioningEvent::RSDeviceAction(DeviceAction { device: effective, action })
            }
            (None, Published::Live) => RsProvisioningEvent::RSDeviceUpdated(effective),
            (None, Published::Never | Published::Removed) => {
                RsProvisioningEvent::RSDeviceCreated(effective)
            }
        });
    }
    let Some(state) = &device.state else { return Publication::Nothing };
    match device.published {
        Published::Live => {
            Publication::Removed(RsProvisioningEvent::RSDeviceDeleted(RemovedDevice {
                isp_id: device.isp_id.clone(),
                account_id: device.account_id.clone(),
                device_id: device.id.clone(),
                kind: state.kind,
                revision: device.rs_revision,
            }))
        }
        Published::Never | Published::Removed => Publication::Nothing,
    }
}

/// Says that a user has changed.
pub fn changed_user(
    isp_id: &events::IspId,
    account_id: &events::AccountId,
    user_id: &events::UserId,
    revision: Revision,
) -> RsProvisioningEvent {
    RsProvisioningEvent::RSUserUpdated(ChangedUser {
        isp_id: isp_id.clone(),
        account_id: account_id.clone(),
        user_id: user_id.clone(),
        revision,
    })
}
