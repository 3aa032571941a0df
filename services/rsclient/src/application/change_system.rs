//! Somebody sets what else holds for all homes of an ISP.

use events::IspId;

use crate::{
    app::App,
    application::Failure,
    domain::{Expected, SystemChange, SystemConfiguration},
};

/// Sets a part of an ISP's system configuration and has the others told; answers the new state.
///
/// # Errors
/// The store failed, or another state is held than the one that is expected.
pub async fn change_system(
    app: &App,
    isp_id: &IspId,
    expected: &Expected,
    change: &SystemChange,
) -> Result<SystemConfiguration, Failure> {
    let changed = app.store.system_configurations.set(isp_id, expected, change).await?;
    app.outboxes.system.tell_soon(isp_id.as_str());
    changed.ok_or(Failure::Changed)
}

/// What else holds for all homes of an ISP.
///
/// # Errors
/// The store failed.
pub async fn find_system(app: &App, isp_id: &IspId) -> Result<SystemConfiguration, Failure> {
    let held = app.store.system_configurations.find(isp_id).await?;
    Ok(held.unwrap_or_else(|| SystemConfiguration::unset(isp_id.clone())))
}
