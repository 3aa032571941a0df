//! What is known of packages.

use events::{AgentPackageId, IspId};

use super::Failure;
use crate::{app::App, domain::Package, infrastructure::store::Page};

/// A package; without an ISP it may be anybody's.
///
/// # Errors
/// It is not known, or the store failed.
pub async fn find_package(
    app: &App,
    isp_id: Option<&IspId>,
    id: &AgentPackageId,
) -> Result<Package, Failure> {
    let found = app.store.packages.find_one(id).await?;
    let found = found.filter(|it| !it.deleted && is_of(it, isp_id));
    found.ok_or_else(|| Failure::NoSuch(Vec::new()))
}

/// Packages of an ISP in the order of their ids, and behind which id there are more.
///
/// # Errors
/// The store failed.
pub async fn list_packages(
    app: &App,
    isp_id: &IspId,
    page: Page,
) -> Result<(Vec<Package>, Option<AgentPackageId>), Failure> {
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let one_more = Page { limit: page.limit.saturating_add(1), ..page };
    let mut found = app.store.packages.of_isp(isp_id, &one_more).await?;
    let is_last = found.len() <= limit;
    found.truncate(limit);
    let next = found.last().filter(|_| !is_last).map(|it| it.package.agent_package_id.clone());
    Ok((found, next))
}

/// Whether a package is this ISP's. Without an ISP, every one is.
pub(super) fn is_of(package: &Package, isp_id: Option<&IspId>) -> bool {
    isp_id.is_none_or(|it| package.package.isp_id == *it)
}
