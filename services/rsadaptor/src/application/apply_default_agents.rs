//! Make the backend hold the packages that an ISP's routers run where nothing else is said.

use events::DefaultAgents;
use hs_admin::SystemDocument;

use super::{Request, Result, put_document::put_document};
use crate::{app::App, domain::agent_default};

/// Makes the backend hold the packages that an ISP's routers run where nothing else is said.
///
/// # Errors
/// The record waits.
pub async fn apply_default_agents(app: &App, request: &Request, agents: &DefaultAgents) -> Result {
    let at = (&agents.isp_id, SystemDocument::AgentDefault);
    put_document(app, request, at, agents.revision, &agent_default(agents)).await
}
