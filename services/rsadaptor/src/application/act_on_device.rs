//! Give a device a command, with its full state.

use events::DeviceAction;

use super::{Request, Result, fulfil::fulfil};
use crate::{
    app::App,
    domain::{Json, Spared, Subject, Want, Wish, configuration_of, live_action},
};

/// Makes the backend hold the configuration of a device together with a command. A command whose time is over is
/// dropped, and the configuration goes without it.
///
/// # Errors
/// The record waits.
pub async fn act_on_device(
    app: &App,
    request: &Request,
    DeviceAction { device, action }: &DeviceAction,
) -> Result {
    let live = live_action(action, jiff::Timestamp::now());
    let spared = match live {
        None if !request.force => {
            let then = configuration_of(device, Some(action.clone()));
            Spared::IfAppliedBefore(Json::of(&then).hash())
        }
        Some(_) | None => request.spared(),
    };
    let wish = Wish {
        isp_id: Some(device.isp_id.clone()),
        revision: device.revision,
        want: Want::body(&configuration_of(device, live)),
        spared,
        varies: true,
    };
    fulfil(app, request, Subject::Device(&device.device_id), &wish).await
}
