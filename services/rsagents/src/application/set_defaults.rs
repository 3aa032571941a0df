//! An ISP says what its routers run where nothing else is said.

use std::collections::BTreeMap;

use events::{AgentPackageId, AgentPackageState, IspId, Text};
use problem::{Expected, body::pointer};

use super::Failure;
use crate::{
    app::App,
    domain::{DefaultOfModel, Defaults, Package, State},
    infrastructure::store::{ATTEMPTS_MAX, StoreError},
};

/// What the routers of an ISP run where nothing else is said.
///
/// # Errors
/// The store failed.
pub async fn find_defaults(app: &App, isp_id: &IspId) -> Result<Defaults, Failure> {
    Ok(app.store.defaults.find(isp_id).await?)
}

/// Sets what the routers of an ISP run where nothing else is said, a package for each model.
///
/// The defaults are read before the packages and written where nobody has written them since. A deletion writes them
/// before it goes on, so either it finds the package among them, or this finds it leaving.
///
/// # Errors
/// A package is not known or cannot be a default, another state is held than the one that is expected, or the store
/// failed.
pub async fn set_defaults(
    app: &App,
    isp_id: &IspId,
    expected: &Expected,
    wanted: &BTreeMap<Text, AgentPackageId>,
) -> Result<Defaults, Failure> {
    for _ in 0..ATTEMPTS_MAX {
        let held = app.store.defaults.find(isp_id).await?;
        if !expected.allows(held.revision) {
            return Err(Failure::Changed);
        }
        let ids: Vec<&str> = wanted.values().map(AgentPackageId::as_str).collect();
        let packages = app.store.packages.find(&ids).await?;
        check(&held, &packages, wanted)?;
        let defaults = wanted.iter().map(|(model, id)| DefaultOfModel {
            model: model.clone(),
            agent_package_id: id.clone(),
        });
        let next = Defaults { defaults: defaults.collect(), ..held.clone() };
        if next == held && held.revision.get() > 0 {
            return Ok(held);
        }
        if app.store.defaults.write(&held, &next).await? {
            fail::fail_point!("rsagents::after-change", |_| std::process::abort());
            app.outboxes.defaults.tell_soon(isp_id.as_str());
            // A package may have been revoked between the read and the write.
            super::settle_isp::settle_soon(app, isp_id).await;
            return Ok(app.store.defaults.find(isp_id).await?);
        }
    }
    Err(StoreError::Contended { id: isp_id.to_string() }.into())
}

/// Whether an ISP may have its models run these packages. What a model runs already it may go on to run.
fn check(
    held: &Defaults,
    packages: &[Package],
    wanted: &BTreeMap<Text, AgentPackageId>,
) -> Result<(), Failure> {
    let found = |id: &AgentPackageId| {
        let known = packages.iter().find(|it| it.package.agent_package_id == *id);
        known.filter(|it| !it.deleted && it.package.isp_id == held.isp_id)
    };
    let unknown = wanted.iter().filter(|(_, id)| found(id).is_none());
    let unknown: Vec<String> =
        unknown.map(|(model, _)| format!("/defaults{}", pointer(model.as_str()))).collect();
    if !unknown.is_empty() {
        return Err(Failure::NoSuch(unknown));
    }
    for (model, id) in wanted {
        let Some(package) = found(id) else { continue };
        if held.of_model(model) == Some(id) {
            continue;
        }
        if let Some(why) = why_not(held, package, model) {
            return Err(Failure::Conflict(format!("package `{id}` {why}")));
        }
    }
    Ok(())
}

fn why_not(held: &Defaults, package: &Package, model: &Text) -> Option<String> {
    let state = package.package.state;
    if state != AgentPackageState::Released {
        return Some(format!("is {}", State(state).as_str()));
    }
    if package.deleting.is_some() || held.leaving.contains(&package.package.agent_package_id) {
        return Some("is being deleted".to_owned());
    }
    if !package.package.models.as_slice().contains(model) {
        return Some(format!("does not run on model `{model}`"));
    }
    (!package.is_applied()).then(|| "is not held by the backend".to_owned())
}
