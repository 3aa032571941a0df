//! Somebody changes a package, or where in its life it is.

use events::{AgentPackage, AgentPackageId, IspId};
use problem::Expected;

use super::{Failure, find_package::find_package, settle_isp::settle_soon};
use crate::{
    app::App,
    domain::{Changed, Package, PackageChange},
    infrastructure::store::{ATTEMPTS_MAX, StoreError},
};

/// Changes a package; without an ISP it may be anybody's.
///
/// # Errors
/// It is not known, it cannot change like that, it is in another state than the one that is expected, nobody who is
/// trusted has signed it as it would be, or the store failed.
pub async fn change_package(
    app: &App,
    isp_id: Option<&IspId>,
    id: &AgentPackageId,
    expected: &Expected,
    change: &PackageChange,
) -> Result<Package, Failure> {
    for _ in 0..ATTEMPTS_MAX {
        let held = find_package(app, isp_id, id).await?;
        if !expected.allows(held.package.revision) {
            return Err(Failure::Changed);
        }
        if held.deleting.is_some() {
            return Err(Failure::Conflict("the package is being deleted".to_owned()));
        }
        let changed = match change.of(&held.package)? {
            Changed::Nothing => return Ok(held),
            Changed::State(next) => write(app, &held, &next, false).await?,
            Changed::Content(next) if !app.makers.vouch_for(&next) => {
                return Err(Failure::Unsigned);
            }
            Changed::Content(next) => write(app, &held, &next, true).await?,
        };
        if let Some(changed) = changed {
            fail::fail_point!("rsagents::after-change", |_| std::process::abort());
            app.outboxes.packages.tell_soon(id.as_str());
            settle_soon(app, &changed.package.isp_id).await;
            return Ok(changed);
        }
    }
    Err(StoreError::Contended { id: id.to_string() }.into())
}

async fn write(
    app: &App,
    held: &Package,
    next: &AgentPackage,
    is_other_software: bool,
) -> Result<Option<Package>, Failure> {
    Ok(app.store.packages.change(held, next, is_other_software).await?)
}
