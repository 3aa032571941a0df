//! Make the backend hold an agent package.

use events::AgentPackage;

use super::{Request, Result, fulfil::fulfil};
use crate::{
    app::App,
    domain::{Json, Kind, Subject, Want, Wish, agent_package},
};

/// Makes the backend hold `package`, whether or not it holds it already.
///
/// # Errors
/// The record waits.
pub async fn apply_package(app: &App, request: &Request, package: &AgentPackage) -> Result {
    let body = Json::of(&agent_package(package));
    let wish = Wish {
        isp_id: Some(package.isp_id.clone()),
        revision: package.revision,
        want: Want::Body { kind: Kind::Package, hash: body.hash(), body },
        spared: request.spared(),
        varies: false,
    };
    fulfil(app, request, Subject::Package(&package.agent_package_id), &wish).await
}
