//! rsagents has said which software routers may run, or run by default.

use eventbus::Lane;
use events::{AgentPackage, Agents, DefaultAgents, DeletedAgentPackage, IspId};

use crate::{
    app::App,
    application::{Effect, Failure, walk_routers},
    domain,
    infrastructure::store::Written,
};

/// Stores which packages an ISP's routers may be pointed at and has all of them published again; not where a sync says
/// what is held already, for a sync raises nothing.
///
/// # Errors
/// The store or the bus failed.
pub async fn save_agents(app: &App, said: &Agents, lane: Lane) -> Result<Effect, Failure> {
    if lane == Lane::Sync && is_held(app, &said.isp_id, |it| it.holds_list(said)).await? {
        return Ok(Effect::Superseded);
    }
    follow(app, &said.isp_id, app.store.agents.save_list(said).await?).await
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
    if lane == Lane::Sync && is_held(app, &said.isp_id, |it| it.holds_defaults(said)).await? {
        return Ok(Effect::Superseded);
    }
    follow(app, &said.isp_id, app.store.agents.save_defaults(said).await?).await
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

async fn is_held(
    app: &App,
    isp_id: &IspId,
    holds: impl Fn(&domain::Agents) -> bool,
) -> Result<bool, Failure> {
    Ok(app.store.agents.find(&[isp_id]).await?.first().is_some_and(holds))
}

/// What is written reaches the routers.
async fn follow(app: &App, isp_id: &IspId, written: Written) -> Result<Effect, Failure> {
    if written == Written::Yes {
        walk_routers(app, isp_id).await?;
    }
    Ok(effect(written))
}

fn effect(written: Written) -> Effect {
    match written {
        Written::Yes => Effect::Applied,
        Written::Superseded => Effect::Superseded,
    }
}
