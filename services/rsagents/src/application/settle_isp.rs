//! What follows for an ISP from the state of its packages: which of them routers may be pointed at, and that none which
//! must not run is anybody's default.

use events::{AgentPackageState, IspId};

use super::Failure;
use crate::{
    app::App,
    domain::{AgentList, Package},
    infrastructure::store::{ATTEMPTS_MAX, StoreError},
};

/// Works out what follows from the packages of an ISP and has it told.
///
/// The list is read before the packages, and written where nobody has written it since: of many who do so at once, the
/// last one to write has read the packages last.
///
/// # Errors
/// The store failed; doing it again is safe.
pub async fn settle_isp(app: &App, isp_id: &IspId) -> Result<AgentList, Failure> {
    drop_defaults(app, isp_id).await?;
    list_packages_of(app, isp_id).await
}

/// The same for what somebody has just changed. Where it fails, the backend's answer about the change has it done.
pub(super) async fn settle_soon(app: &App, isp_id: &IspId) {
    if let Err(failure) = settle_isp(app, isp_id).await {
        tracing::warn!(isp_id = isp_id.as_str(), %failure, "packages are listed later");
    }
}

async fn list_packages_of(app: &App, isp_id: &IspId) -> Result<AgentList, Failure> {
    for _ in 0..ATTEMPTS_MAX {
        let read = app.store.lists.find(isp_id).await?;
        let listed = app.store.packages.listed(isp_id).await?;
        let packages: Vec<_> = listed.iter().map(Package::listed).collect();
        if app.store.lists.write(&read, &packages).await? {
            if packages != read.packages {
                app.outboxes.lists.tell_soon(isp_id.as_str());
            }
            return Ok(app.store.lists.find(isp_id).await?);
        }
    }
    Err(StoreError::Contended { id: isp_id.to_string() }.into())
}

/// Has no model run a revoked package by default.
async fn drop_defaults(app: &App, isp_id: &IspId) -> Result<(), Failure> {
    for _ in 0..ATTEMPTS_MAX {
        let held = app.store.defaults.find(isp_id).await?;
        let ids: Vec<&str> = held.defaults.iter().map(|it| it.agent_package_id.as_str()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let packages = app.store.packages.find(&ids).await?;
        let is_revoked = |it: &Package| it.package.state == AgentPackageState::Revoked;
        let mut next = held.clone();
        next.defaults.retain(|it| {
            let found = packages.iter().find(|p| p.package.agent_package_id == it.agent_package_id);
            !found.is_some_and(is_revoked)
        });
        if next.defaults == held.defaults {
            return Ok(());
        }
        if app.store.defaults.write(&held, &next).await? {
            app.outboxes.defaults.tell_soon(isp_id.as_str());
            return Ok(());
        }
    }
    Err(StoreError::Contended { id: isp_id.to_string() }.into())
}
