//! Whose devices are.

use super::{Effect, Failure};
use crate::{app::App, infrastructure::store::Written};

/// Remembers whose devices of one account are, each unless something newer is known. One of another ISP does not keep
/// the others from being remembered; all of them are refused afterwards.
///
/// # Errors
/// The store does not answer, or a device is another ISP's.
pub async fn save_devices(app: &App, devices: &[events::Device]) -> Result<Effect, Failure> {
    let Some(first) = devices.first() else { return Ok(Effect::Superseded) };
    let written = app.places.store().save_devices(devices).await?;
    app.places.devices_changed(devices.iter().map(|it| &it.device_id));
    // An older device that comes late has ended with its account.
    app.places.store().mark_ended(&first.account_id).await?;
    let foreign = written.iter().filter_map(|it| match it {
        Written::Foreign(why) => Some(why.as_str()),
        Written::Yes | Written::Superseded => None,
    });
    let foreign: Vec<&str> = foreign.collect();
    if !foreign.is_empty() {
        return Err(Failure::TenantMismatch(foreign.join("; ")));
    }
    match written.contains(&Written::Yes) {
        true => Ok(Effect::Applied),
        false => Ok(Effect::Superseded),
    }
}
