//! What a sync says of a device.

use events::{DeviceKind, RemovedDevice, RouterFlags, RsProvisioningEvent};

use super::{Device, Inputs, Published, ToldFlags, effective_device};

/// What the key of a router's flags ends with.
pub const FLAGS: &str = "~flags";

/// Splits the key of a request into the device's id and whether its flags are meant.
pub fn split_key(key: &str) -> (&str, bool) {
    key.strip_suffix(FLAGS).map_or((key, false), |id| (id, true))
}

/// Says again how a device is served, or that it is not served any more. Nothing where that was never said.
pub fn said_again(inputs: Inputs<'_>) -> Option<RsProvisioningEvent> {
    let device = inputs.device;
    if let Some(effective) = effective_device(inputs) {
        return Some(RsProvisioningEvent::RSDeviceUpdated(effective));
    }
    match (device.published, &device.state) {
        (Published::Live | Published::Removed, Some(state)) => {
            Some(RsProvisioningEvent::RSDeviceDeleted(RemovedDevice {
                isp_id: device.isp_id.clone(),
                account_id: device.account_id.clone(),
                device_id: device.id.clone(),
                kind: state.kind,
                revision: device.rs_revision,
            }))
        }
        (Published::Never, _) | (_, None) => None,
    }
}

/// Says again which flags and intervals a router has. Nothing where it has none, or is not served.
pub fn flags_again(inputs: Inputs<'_>) -> Option<RsProvisioningEvent> {
    let whole = flags_of(inputs)?;
    Some(RsProvisioningEvent::RSCustomFlagsUpdated(router_flags(inputs.device, whole)))
}

/// Says which flags and intervals a router has, where that has changed since it was said last. Flags that it has no more
/// are said to be none.
pub fn changed_flags(inputs: Inputs<'_>) -> Option<RsProvisioningEvent> {
    let device = inputs.device;
    device.state.as_ref().filter(|it| it.kind == DeviceKind::Router && inputs.is_live())?;
    let whole = flags_of(inputs).unwrap_or_default();
    // What was said of a router that was taken back went with it.
    let told = device.told_flags.as_ref().filter(|_| device.published == Published::Live);
    let told = told.cloned().unwrap_or_default();
    if told == whole && !device.flags_in_doubt {
        return None;
    }
    let only_intervals =
        told.flags == whole.flags && told.upload_intervals != whole.upload_intervals;
    let said = router_flags(device, whole);
    Some(match only_intervals {
        true => RsProvisioningEvent::RSRouterUploadIntervalsUpdated(said),
        false => RsProvisioningEvent::RSCustomFlagsUpdated(said),
    })
}

/// Whether what was said of a router's flags is in doubt once this is said of the device: they are said with it, or go
/// with the router that it is no more.
pub fn puts_flags_in_doubt(device: &Device, flags: Option<&RsProvisioningEvent>) -> bool {
    let is_router = device.state.as_ref().is_some_and(|it| it.kind == DeviceKind::Router);
    flags.is_some() || (!is_router && device.told_flags.is_some())
}

/// The flags and intervals of a router that is served, where it has any.
fn flags_of(inputs: Inputs<'_>) -> Option<ToldFlags> {
    let state = inputs.device.state.as_ref().filter(|it| it.kind == DeviceKind::Router)?;
    if state.flags.is_none() && state.upload_intervals.is_none() || !inputs.is_live() {
        return None;
    }
    Some(ToldFlags {
        flags: state.flags.clone().unwrap_or_default(),
        upload_intervals: state.upload_intervals.clone().unwrap_or_default(),
    })
}

fn router_flags(device: &Device, whole: ToldFlags) -> RouterFlags {
    RouterFlags {
        isp_id: device.isp_id.clone(),
        device_id: device.id.clone(),
        revision: device.rs_revision,
        flags: whole.flags,
        upload_intervals: whole.upload_intervals,
    }
}
