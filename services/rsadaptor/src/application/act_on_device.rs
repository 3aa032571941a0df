//! Give a device a command, with its full state.

use events::DeviceAction;

use super::{Request, Result, fulfil::fulfil};
use crate::{
    app::App,
    domain::{Spared, Wish, configuration_of, live_action},
    infrastructure::canonical::{hash_of, want},
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
            Spared::IfAppliedBefore(hash_of(&configuration_of(device, Some(action.clone()))))
        }
        Some(_) | None => request.spared(),
    };
    let wish = Wish {
        isp_id: device.isp_id.clone(),
        revision: device.revision,
        want: want(configuration_of(device, live)),
        spared,
    };
    fulfil(app, request, &device.device_id, &wish).await
}
