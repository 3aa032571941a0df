//! An ISP says which of its routers are to run a package.

use std::time::Duration;

use events::{AgentPackageId, AgentPackageState, DeviceId, DeviceKind, IspId, Revision};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    application::{Failure, start_rollout::check_rollouts, walk_routers},
    domain::{Association, Expected, Package},
    infrastructure::store::{Associated, StoreError},
};

/// How often a write is tried that others overtake.
const ROUNDS_MAX: usize = 100;
/// Most packages whose routers are told in one look.
const WALKS_MAX: i64 = 100;

/// Says who is to run a package, and has all routers of the ISP told.
///
/// The write marks the package, so that a process that dies behind it is followed by one that tells the routers.
///
/// # Errors
/// The package, or a router, is not known; the package may not be used; another state is held than the one that is
/// expected; or the store failed.
pub async fn associate_package(
    app: &App,
    isp_id: &IspId,
    id: &AgentPackageId,
    expected: &Expected,
    wanted: &Association,
) -> Result<Association, Failure> {
    let association = write(app, isp_id, id, expected, wanted).await?;
    if let Err(failure) = tell_routers(app, isp_id, id, &association).await {
        tracing::warn!(agent_package_id = id.as_str(), %failure, "routers are told later");
    }
    Ok(association)
}

/// Writes where what was looked at is still held: a rollout that ends meanwhile writes, too.
async fn write(
    app: &App,
    isp_id: &IspId,
    id: &AgentPackageId,
    expected: &Expected,
    wanted: &Association,
) -> Result<Association, Failure> {
    for _ in 0..ROUNDS_MAX {
        let held = check_package(app, isp_id, id, wanted).await?;
        check_rollouts(app, isp_id, id, held.as_ref(), wanted).await?;
        check_routers(app, isp_id, &wanted.routers).await?;
        let held = held.and_then(|it| it.association);
        let as_held = Expected::OneOf(vec![held.map_or(Revision::default(), |it| it.revision)]);
        let (expected, is_final) = match expected {
            Expected::Any => (&as_held, false),
            Expected::OneOf(_) => (expected, true),
        };
        match app.store.packages.associate(isp_id, id, expected, wanted).await? {
            Associated::Yes(association) => return Ok(association),
            Associated::Reserved => return Err(given_up()),
            Associated::Changed if is_final => return Err(Failure::Changed),
            Associated::Changed => (),
            Associated::Foreign => return Err(Failure::NoSuch(Vec::new())),
        }
    }
    Err(Failure::Store(StoreError::Contended { id: id.to_string() }))
}

/// Who is to run a package.
///
/// # Errors
/// The package is not known, or the store failed.
pub async fn find_association(
    app: &App,
    isp_id: &IspId,
    id: &AgentPackageId,
) -> Result<Association, Failure> {
    let held = app.store.packages.find(id).await?;
    let held = held.filter(|it| it.isp_id.as_ref() == Some(isp_id));
    match held.and_then(|it| it.association) {
        Some(association) => Ok(association),
        None => {
            check_package(app, isp_id, id, &Association::default()).await?;
            Ok(Association::default())
        }
    }
}

/// Has the routers told of packages whose association nobody has told them.
///
/// # Errors
/// The store failed.
pub async fn tell_routers_due(app: &App) -> Result<(), Failure> {
    for it in app.store.packages.walks_due(WALKS_MAX).await? {
        if let Package { id, isp_id: Some(isp_id), association: Some(association), .. } = &it {
            tell_routers(app, isp_id, id, association).await?;
        }
    }
    Ok(())
}

/// Looks `every` so often for packages of which the routers were not told, until `stop`.
pub async fn tell_routers_until(app: &App, every: Duration, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(failure) = tell_routers_due(app).await {
            tracing::warn!(%failure, "routers are told later");
        }
    }
}

async fn tell_routers(
    app: &App,
    isp_id: &IspId,
    id: &AgentPackageId,
    read: &Association,
) -> Result<(), Failure> {
    walk_routers(app, isp_id).await?;
    Ok(app.store.packages.mark_walked(id, read.revision).await?)
}

/// Whether an ISP knows a package, and may have these run it; and the package, where anything is held of it.
pub(super) async fn check_package(
    app: &App,
    isp_id: &IspId,
    id: &AgentPackageId,
    wanted: &Association,
) -> Result<Option<Package>, Failure> {
    let held = app.store.packages.find(id).await?;
    let theirs = |it: &IspId| it != isp_id;
    if held.as_ref().and_then(|it| it.isp_id.as_ref()).is_some_and(theirs) {
        return Err(Failure::NoSuch(Vec::new()));
    }
    let agents = app.store.agents.find(&[isp_id]).await?.pop();
    let listed = agents.as_ref().and_then(|it| it.listed(id));
    let is_ours = held.as_ref().is_some_and(|it| it.isp_id.is_some());
    if listed.is_none() && !is_ours {
        return Err(Failure::NoSuch(Vec::new()));
    }
    if wanted.is_empty() {
        return Ok(held);
    }
    if held.as_ref().is_some_and(|it| it.reserved) {
        return Err(given_up());
    }
    let state = held.as_ref().and_then(|it| it.said.as_ref()).map(|it| it.state);
    let why = match state {
        Some(None) => Some("the package is deleted"),
        Some(Some(AgentPackageState::Draft)) => Some("the package is a draft"),
        Some(Some(AgentPackageState::Revoked)) => Some("the package is revoked"),
        Some(Some(AgentPackageState::Released | AgentPackageState::Deprecated)) | None => None,
    };
    if let Some(why) = why {
        return Err(Failure::Conflict(why.to_owned()));
    }
    let Some(listed) = listed else {
        return Err(Failure::Conflict("the package is not listed for routers".to_owned()));
    };
    let runs_on = |it: &events::Text| listed.models.as_slice().contains(it);
    match wanted.groups.iter().find(|it| !runs_on(&it.model)) {
        Some(group) => {
            let why = format!("the package does not run on model `{}`", group.model);
            Err(Failure::Conflict(why))
        }
        None => Ok(held),
    }
}

/// Whether all of these are routers of the ISP. Another ISP's looks as if it were not there.
async fn check_routers(app: &App, isp_id: &IspId, routers: &[DeviceId]) -> Result<(), Failure> {
    let known = app.store.devices.find(routers).await?;
    let is_ours = |id: &DeviceId| {
        known.iter().any(|it| {
            let is_router = it.state.as_ref().is_some_and(|it| it.kind == DeviceKind::Router);
            it.id == *id && it.isp_id == *isp_id && !it.deleted && is_router
        })
    };
    let unknown = routers.iter().enumerate().filter(|(_, it)| !is_ours(it));
    let unknown: Vec<String> = unknown.map(|(at, _)| format!("/routers/{at}")).collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Failure::NoSuch(unknown)),
    }
}

fn given_up() -> Failure {
    Failure::Conflict("the package is reserved: nobody may start to use it".to_owned())
}
