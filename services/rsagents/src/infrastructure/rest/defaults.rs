//! What models of routers run where nothing else is said.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use events::{AgentPackageId, Text};
use openapi::{
    refusals::{Always, Changed, Conflict, Invalid, NotFound},
    schema::Id,
};
use problem::{
    Json, Problem,
    body::{Body, text},
    tagged,
};
use serde_json::Value;

use super::{
    asked::{Asked, OfIsp, Reads, Writes},
    read::model,
    shown::DefaultAgents,
};
use crate::{
    app::App,
    application::{Failure, find_defaults, set_defaults},
    domain::Defaults,
};

/// Shows what models run where nothing else is said.
#[utoipa::path(
    get,
    operation_id = "show_defaults",
    path = "/router_agent_packages/default",
    tag = "defaults",
    params(("isp_id" = Option<Id>, Query, description = "The ISP; operators must name it.")),
    responses(
        (status = 200, description = "A package for each model.", body = DefaultAgents,
            headers(("ETag" = String, description = "Their revision."))),
        Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn show(
    State(app): State<App>,
    Reads(caller): Reads,
    Asked(of_isp): Asked<OfIsp>,
) -> Result<Response, Problem> {
    let isp_id = of_isp.spoken_for(&caller)?;
    Ok(shown(&find_defaults(&app, &isp_id).await.map_err(Failure::problem)?))
}

/// Sets what models run where nothing else is said.
///
/// A package that was not the default of a model becomes it only when it is released, runs on that model and is held by
/// the backend.
#[utoipa::path(
    put,
    operation_id = "set_defaults",
    path = "/router_agent_packages/default",
    tag = "defaults",
    params(
        ("isp_id" = Option<Id>, Query, description = "The ISP; operators must name it."),
        ("If-Match" = Option<String>, Header, description = "The state that is meant, by its `ETag`."),
    ),
    request_body(
        content = DefaultAgents,
        examples(("none" = (value = json!({"defaults": {}})))),
    ),
    responses(
        (status = 200, description = "As they are now.", body = DefaultAgents,
            headers(("ETag" = String, description = "Their revision."))),
        Always, NotFound, Conflict, Changed, Invalid,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn set(
    State(app): State<App>,
    Writes(caller, expected): Writes,
    Asked(of_isp): Asked<OfIsp>,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let isp_id = of_isp.spoken_for(&caller)?;
    let wanted = by_model(body)?;
    let held = set_defaults(&app, &isp_id, &expected, &wanted).await;
    Ok(shown(&held.map_err(Failure::problem)?))
}

fn by_model(body: Value) -> Result<BTreeMap<Text, AgentPackageId>, Problem> {
    let mut body = Body::of(body)?;
    let package = |it: &Value| {
        let id = text(it).ok().and_then(|it| it.parse::<AgentPackageId>().ok());
        id.ok_or("must be the id of a package")
    };
    let defaults = body.named("defaults", (|it| model(it).is_some(), MODEL), package);
    let defaults = body.finish(defaults)?;
    let pair =
        |(name, id): (String, AgentPackageId)| (model(&name).expect("its form was looked at"), id);
    Ok(defaults.into_iter().map(pair).collect())
}

/// What the name of a member is.
const MODEL: &str = "must have the name of a model, of 1 to 64 characters";

fn shown(held: &Defaults) -> Response {
    tagged(held.revision, &DefaultAgents { defaults: held.by_model() })
}
