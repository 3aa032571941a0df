//! Why a device's configuration is as it is.

use auth::Caller;
use events::{DeviceId, IspId};
use jiff::Timestamp;

use super::read::Read;
use crate::{
    app::App,
    application::Failure,
    domain::{Absence, Device, Explained, explained},
};

/// A device with what holds for it and why, or why nothing does.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The device as it is stored.
    pub device: Device,
    /// What holds for it.
    pub explained: Result<Explained, Absence>,
}

/// What holds for a device, and who decided so.
///
/// # Errors
/// There is no such device, or it is not the caller's: both look alike from outside. Or the store failed.
pub async fn explain_device(
    app: &App,
    caller: &Caller,
    isp_id: Option<&IspId>,
    id: &DeviceId,
) -> Result<Explanation, Failure> {
    let read = read_own(app, caller, isp_id, id).await?;
    let device = &read.devices[0];
    let explained = explained(read.inputs(device), Timestamp::now());
    Ok(Explanation { device: device.clone(), explained })
}

/// A device with all that speaks for it, where the caller may see it. It is the only one.
pub(super) async fn read_own(
    app: &App,
    caller: &Caller,
    isp_id: Option<&IspId>,
    id: &DeviceId,
) -> Result<Read, Failure> {
    let read = Read::all(app, std::slice::from_ref(id)).await?;
    let device = read.devices.first().ok_or_else(|| Failure::NoSuch(Vec::new()))?;
    let is_own = caller.isp_id.as_ref().is_none_or(|it| *it == device.isp_id)
        && isp_id.is_none_or(|it| *it == device.isp_id);
    match is_own {
        true => Ok(read),
        false => {
            Err(Failure::TenantMismatch(format!("`{}` asks for device `{id}`", caller.subject)))
        }
    }
}
