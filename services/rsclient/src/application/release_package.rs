//! rsagents wants to delete a package and asks whether anybody uses it.

use std::fmt::Write as _;

use events::AgentPackageId;

use crate::{app::App, application::Failure};

/// Most users that a refusal names.
const NAMED_MAX: usize = 10;

/// Has nobody start to use a package any more, for good, unless somebody uses it.
///
/// # Errors
/// Somebody uses it, or the store failed.
pub async fn release_package(app: &App, id: &AgentPackageId) -> Result<(), Failure> {
    let Some(used) = app.store.packages.reserve(id).await? else { return Ok(()) };
    let rollouts = used.shares.iter().map(|it| &it.rollout_id).chain(&used.left_by);
    let rollouts: Vec<String> = rollouts.map(|it| format!("rollout `{it}`")).collect();
    let users = used.association.unwrap_or_default();
    let mut names: Vec<String> = users
        .groups
        .iter()
        .take(NAMED_MAX)
        .map(|it| {
            let version = it.target_version.as_ref().map(|it| format!(" that follow `{it}`"));
            format!("routers of model `{}`{}", it.model, version.unwrap_or_default())
        })
        .collect();
    let left = NAMED_MAX - names.len();
    names.extend(users.routers.iter().take(left).map(|it| format!("router `{it}`")));
    let left = NAMED_MAX - names.len();
    names.extend(rollouts.iter().take(left).cloned());
    let more = users.groups.len() + users.routers.len() + rollouts.len() - names.len();
    let mut why = format!("used by {}", names.join(", "));
    if more > 0 {
        write!(why, " and {more} more").expect("a text takes all");
    }
    Err(Failure::Conflict(why))
}
