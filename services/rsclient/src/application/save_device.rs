//! A device was created or updated.

use std::slice::from_ref;

use crate::{
    app::App,
    application::{Cause, Effect, Failure, publish_devices},
    infrastructure::store::Written,
};

/// Stores what provisioning says of a device and publishes it.
///
/// # Errors
/// The store or the bus failed, or the device is another ISP's.
pub async fn save_device(
    app: &App,
    cause: &Cause,
    device: &events::Device,
) -> Result<Effect, Failure> {
    match app.store.devices.save(device).await? {
        Written::Superseded => Ok(Effect::Superseded),
        Written::Yes => {
            publish_devices(app, cause, from_ref(&device.device_id)).await?;
            Ok(Effect::Applied)
        }
    }
}
