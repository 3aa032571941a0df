//! Somebody sets how an ISP's routers are protected.

use events::IspId;

use crate::{
    app::App,
    application::Failure,
    domain::{Expected, ProtectionChange, RouterProtection},
};

/// Sets a part of an ISP's protection of routers and has the others told; answers the new state.
///
/// The write marks what it has changed as untold: whatever becomes of this process, the others are told.
///
/// # Errors
/// The store failed, or another state is held than the one that is expected.
pub async fn change_router_protection(
    app: &App,
    isp_id: &IspId,
    expected: &Expected,
    change: &ProtectionChange,
) -> Result<RouterProtection, Failure> {
    let changed = app.store.router_protections.set(isp_id, expected, change).await?;
    fail::fail_point!("rsclient::after-change", |_| std::process::abort());
    app.outboxes.router_protection.tell_soon(isp_id.as_str());
    changed.ok_or(Failure::Changed)
}

/// How an ISP's routers are protected.
///
/// # Errors
/// The store failed.
pub async fn find_router_protection(
    app: &App,
    isp_id: &IspId,
) -> Result<RouterProtection, Failure> {
    let held = app.store.router_protections.find(isp_id).await?;
    Ok(held.unwrap_or_else(|| RouterProtection::unset(isp_id.clone())))
}
