//! Make the backend hold a device's effective configuration.

use events::EffectiveDevice;

use super::{Request, Result, fulfil::fulfil};
use crate::{
    app::App,
    domain::{Subject, Want, Wish, configuration_of},
};

/// Makes the backend hold the configuration of `device`, whether or not it holds one already.
///
/// # Errors
/// The record waits.
pub async fn apply_device(app: &App, request: &Request, device: &EffectiveDevice) -> Result {
    let wish = Wish {
        isp_id: Some(device.isp_id.clone()),
        revision: device.revision,
        want: Want::body(&configuration_of(device, None)),
        spared: request.spared(),
        varies: false,
    };
    fulfil(app, request, Subject::Device(&device.device_id), &wish).await
}
