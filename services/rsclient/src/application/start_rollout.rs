//! An ISP has the routers of a group led from one package to another.

use async_task::At;
use events::{AgentPackageId, IspId, JobId};
use uuid::Uuid;

use super::associate_package::check_package;
use crate::{
    app::App,
    application::Failure,
    domain::{Association, Group, Package, Plan, Rollout, Software},
};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct WantedRollout {
    /// Whose routers.
    pub group: Group,
    /// What they run.
    pub from: AgentPackageId,
    /// What they are to run.
    pub to: AgentPackageId,
    /// How.
    pub plan: Plan,
}

/// Starts a rollout: keeps it. From then on it goes its way whichever process looks at it.
///
/// # Errors
/// A package is not known or may not be used, the routers do not follow the one that they are to leave, another rollout of
/// the same model is open, or the store failed.
pub async fn start_rollout(
    app: &App,
    isp_id: &IspId,
    wanted: WantedRollout,
    who: &str,
) -> Result<Rollout, Failure> {
    let WantedRollout { group, from, to, plan } = wanted;
    let nobody = Association::default();
    check_package(app, isp_id, &from, &nobody).await?;
    let groups = vec![group.clone()];
    check_package(app, isp_id, &to, &Association { groups, ..nobody }).await?;
    check_followed(app, isp_id, &group, &from).await?;
    let (id, isp_id) = (new_id(), isp_id.clone());
    let rollout = Rollout::new(id, isp_id, group, (from, to), plan, who, At::now());
    match app.store.rollouts.insert(&rollout).await? {
        true => Ok(rollout),
        false => Err(another(app, &rollout).await?),
    }
}

/// Whether the routers of a group follow the package that a rollout leads away from: the others it would not move.
///
/// # Errors
/// They follow another one, or the store failed.
pub(super) async fn check_followed(
    app: &App,
    isp_id: &IspId,
    group: &Group,
    from: &AgentPackageId,
) -> Result<(), Failure> {
    let agents = app.store.agents.find(&[isp_id]).await?.pop();
    let associated = app.store.packages.associated(&[isp_id], &[]).await?;
    let software = Software { agents: agents.as_ref(), associated: &associated };
    match not_followed(software, group, from) {
        Some(why) => Err(Failure::Conflict(why)),
        None => Ok(()),
    }
}

/// Why a rollout of a group cannot lead away from a package.
pub(super) fn not_followed(
    software: Software<'_>,
    group: &Group,
    from: &AgentPackageId,
) -> Option<String> {
    match software.followed_by(group, from) {
        Some(it) if it == from => None,
        Some(it) => Some(format!("the routers follow package `{it}`, not `{from}`")),
        None => Some(format!("the routers follow no package, not even `{from}`")),
    }
}

/// Names the rollout that is in the way.
async fn another(app: &App, wanted: &Rollout) -> Result<Failure, Failure> {
    let open = app.store.rollouts.open_of(&wanted.isp_id).await?;
    let model = &wanted.group.model;
    let other = open.iter().find(|it| it.group.model == *model);
    let which =
        other.map_or_else(|| "another rollout".to_owned(), |it| format!("rollout `{}`", it.id));
    Ok(Failure::Conflict(format!("{which} of routers of model `{model}` is not over")))
}

/// Ids grow with time, so that the newest rollout is the last.
fn new_id() -> JobId {
    format!("rollout-{}", Uuid::now_v7()).parse().expect("a word and a UUID are an id")
}

/// Why nobody else may say what the routers of a group run while a rollout leads them: what stands against changing the
/// association of a package from `held` to `wanted`. To say the same again is to say it last, so only the package that
/// the routers are led away from may.
///
/// # Errors
/// A rollout stands against it, or the store failed.
pub(super) async fn check_rollouts(
    app: &App,
    isp_id: &IspId,
    id: &AgentPackageId,
    held: Option<&Package>,
    wanted: &Association,
) -> Result<(), Failure> {
    let held =
        held.and_then(|it| it.association.as_ref()).map_or(&[][..], |it| it.groups.as_slice());
    let is_changed = |it: &Rollout| {
        let (was, is) = (held.contains(&it.group), wanted.groups.contains(&it.group));
        was != is || (is && it.from != *id)
    };
    let open = app.store.rollouts.open_of(isp_id).await?;
    match open.iter().find(|it| is_changed(it)) {
        None => Ok(()),
        Some(it) => {
            let (id, model) = (&it.id, &it.group.model);
            let why = format!("rollout `{id}` leads these routers of model `{model}`");
            Err(Failure::Conflict(why))
        }
    }
}
