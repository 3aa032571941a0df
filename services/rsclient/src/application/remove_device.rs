//! A device was deleted.

use std::slice::from_ref;

use events::DeletedDevice;

use crate::{
    app::App,
    application::{Cause, Effect, Failure, publish_devices},
    infrastructure::store::Written,
};

/// Ends a device and says so, where others may believe that it is served.
///
/// # Errors
/// The store or the bus failed, or the device is another ISP's.
pub async fn remove_device(
    app: &App,
    cause: &Cause,
    device: &DeletedDevice,
) -> Result<Effect, Failure> {
    match app.store.devices.remove(device).await? {
        Written::Superseded => Ok(Effect::Superseded),
        Written::Yes => {
            publish_devices(app, cause, from_ref(&device.device_id)).await?;
            Ok(Effect::Applied)
        }
    }
}
