//! A device is gone.

use events::DeletedDevice;

use super::{Effect, Failure, save_account::effect};
use crate::app::App;

/// Remembers that a device is gone, unless something newer is known.
///
/// # Errors
/// The store does not answer, or the device is another ISP's.
pub async fn remove_device(app: &App, device: &DeletedDevice) -> Result<Effect, Failure> {
    let written = app.places.store().remove_device(device).await?;
    app.places.devices_changed([&device.device_id].into_iter());
    effect(written)
}
