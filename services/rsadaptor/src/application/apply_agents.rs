//! Make the backend hold the packages that an ISP's routers may run.

use events::Agents;
use hs_admin::SystemDocument;

use super::{Request, Result, put_document::put_document};
use crate::{app::App, domain::agent_versions};

/// Makes the backend hold the packages that an ISP's routers may run.
///
/// # Errors
/// The record waits.
pub async fn apply_agents(app: &App, request: &Request, agents: &Agents) -> Result {
    let at = (&agents.isp_id, SystemDocument::AgentVersions);
    put_document(app, request, at, agents.revision, &agent_versions(agents)).await
}
