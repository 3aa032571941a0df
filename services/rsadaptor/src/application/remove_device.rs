//! Make the backend forget a device.

use events::RemovedDevice;

use super::{Request, Result, fulfil::fulfil};
use crate::{
    app::App,
    domain::{Subject, Want, Wish},
};

/// Makes the backend hold nothing of `device`.
///
/// # Errors
/// The record waits.
pub async fn remove_device(app: &App, request: &Request, device: &RemovedDevice) -> Result {
    let wish = Wish {
        isp_id: Some(device.isp_id.clone()),
        revision: device.revision,
        want: Want::Nothing(device.kind.into()),
        spared: request.spared(),
        varies: false,
    };
    fulfil(app, request, Subject::Device(&device.device_id), &wish).await
}
