//! rsagents has said which software routers may run, or run by default.

use eventbus::Lane;
use events::{AgentPackage, Agents, DefaultAgents, DeletedAgentPackage};

use crate::{
    app::App,
    application::{Effect, Failure, walk_routers},
    infrastructure::store::Written,
};

/// Stores which packages an ISP's routers may be pointed at and has all of them published again; not where a sync says
/// what is held already, for a sync raises nothing.
///
/// # Errors
/// The store or the bus failed.
pub async fn save_agents(app: &App, said: &Agents, lane: Lane) -> Result<Effect, Failure> {
    if lane == Lane::Sync {
        let held = app.store.agents.find(&[&said.isp_id]).await?.pop();
        if held.is_some_and(|it| it.holds_list(said)) {
            return Ok(Effect::Superseded);
        }
    }
    match app.store.agents.save_list(said).await? {
        Written::Superseded => Ok(Effect::Superseded),
        Written::Yes => {
            walk_routers(app, &said.isp_id).await?;
            Ok(Effect::Applied)
        }
    }
}

/// Stores what an ISP's routers run by default and has all of them published again; with a sync as above.
///
/// # Errors
/// The store or the bus failed.
pub async fn save_default_agents(
    app: &App,
    said: &DefaultAgents,
    lane: Lane,
) -> Result<Effect, Failure> {
    if lane == Lane::Sync {
        let held = app.store.agents.find(&[&said.isp_id]).await?.pop();
        if held.is_some_and(|it| it.holds_defaults(said)) {
            return Ok(Effect::Superseded);
        }
    }
    match app.store.agents.save_defaults(said).await? {
        Written::Superseded => Ok(Effect::Superseded),
        Written::Yes => {
            walk_routers(app, &said.isp_id).await?;
            Ok(Effect::Applied)
        }
    }
}

/// Stores where in its life a package is. What routers run depends on the list alone.
///
/// # Errors
/// The store failed, or the package is another ISP's.
pub async fn save_package(app: &App, said: &AgentPackage) -> Result<Effect, Failure> {
    Ok(effect(app.store.packages.save(said).await?))
}

/// Stores that a package is gone.
///
/// # Errors
/// The store failed.
pub async fn remove_package(app: &App, said: &DeletedAgentPackage) -> Result<Effect, Failure> {
    Ok(effect(app.store.packages.remove(said).await?))
}

fn effect(written: Written) -> Effect {
    match written {
        Written::Yes => Effect::Applied,
        Written::Superseded => Effect::Superseded,
    }
}
