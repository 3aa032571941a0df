//! `/subsystems/rs/router_agent_packages/{agent_package_id}`: who is to run a package; and, for services alone, whether
//! anybody is.

use auth::{Caller, INTERNAL};
use axum::{
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
    response::Response,
};
use events::{AgentPackageId, DeviceId, Text};
use openapi::{
    refusals::{Always, Changed, Conflict, Invalid, NotFound},
    schema,
};
use problem::{Json, Kind, Problem};
use serde::Serialize;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Served,
    asked::{IF_MATCH, Named, Reads, Writes, tagged},
    body::{Body, text},
};
use crate::{
    app::App,
    application::{associate_package, find_association, release_package},
    domain::{Association, Group},
};

/// The package of a path. What cannot be a package's name is the name of none.
#[derive(Debug)]
pub(super) struct PackageOfPath(AgentPackageId);

impl<S: Send + Sync> FromRequestParts<S> for PackageOfPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|it| it.0.parse().ok());
        id.map(Self).ok_or_else(|| Problem::new(Kind::NotFound, Kind::NotFound.title()))
    }
}

/// The routes, without what they reach for.
pub(super) fn described() -> OpenApiRouter<Served> {
    OpenApiRouter::new().routes(routes!(show, set))
}

#[derive(Serialize)]
struct Shown<'a> {
    routers: &'a [DeviceId],
    groups: &'a [Group],
}

/// Which routers are to run an agent package.
#[utoipa::path(
    get,
    path = "/subsystems/rs/router_agent_packages/{agent_package_id}",
    tag = "agent packages",
    params(
        Named,
        ("agent_package_id" = schema::Id, Path, description = "The package."),
    ),
    responses(
        (status = 200, description = "Who is to run it.", body = schema::PackageUsers,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn show(
    State(app): State<App>,
    Reads(isp_id): Reads,
    PackageOfPath(id): PackageOfPath,
) -> Result<Response, Problem> {
    let held = find_association(&app, &isp_id, &id).await.map_err(|it| it.problem())?;
    Ok(shown(&held))
}

/// Says which routers are to run an agent package.
#[utoipa::path(
    put,
    path = "/subsystems/rs/router_agent_packages/{agent_package_id}",
    tag = "agent packages",
    params(
        Named,
        ("agent_package_id" = schema::Id, Path, description = "The package."),
        ("If-Match" = Option<String>, Header, description = IF_MATCH),
    ),
    request_body(
        content = schema::PackageUsers,
        examples(
            ("nobody" = (value = json!({"routers": [], "groups": []}))),
            ("the routers of a model" = (value = json!({"routers": [], "groups": [{"model": "hg-8000", "target_version": "2.1.0"}]}))),
        ),
    ),
    responses(
        (status = 200, description = "Who is to run it.", body = schema::PackageUsers,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid, Changed, Conflict,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn set(
    State(app): State<App>,
    Writes(isp_id, expected): Writes,
    PackageOfPath(id): PackageOfPath,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let mut body = Body::of(body)?;
    let router = |it: &str| it.parse::<DeviceId>().map_err(|_| "must be the id of a router");
    let routers = body.list("routers", router);
    let groups = body.entries("groups", group);
    let (routers, groups) = body.finish((routers, groups))?;
    let wanted = Association { routers: routers.into(), groups, ..Association::default() };
    let held = associate_package(&app, &isp_id, &id, &expected, &wanted).await;
    held.map(|it| shown(&it)).map_err(|it| it.problem())
}

/// `DELETE /router_agent_packages/references/{agent_package_id}`
pub(super) async fn release(
    State(app): State<App>,
    caller: Caller,
    PackageOfPath(id): PackageOfPath,
) -> Result<StatusCode, Problem> {
    caller.require(INTERNAL)?;
    release_package(&app, &id).await.map_err(|it| it.problem())?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(held: &Association) -> Response {
    tagged(held.revision, &Shown { routers: &held.routers, groups: &held.groups })
}

fn group(value: &Value) -> Result<Group, &'static str> {
    const FORM: &str = "must have a model, and a target_version or null, and no other member";
    let members = value.as_object().ok_or(FORM)?;
    let is_known = |it: &String| it == "model" || it == "target_version";
    if !members.keys().all(is_known) {
        return Err(FORM);
    }
    let named = |it: &Value| -> Result<Text, &'static str> {
        let it = text(it).map_err(|_| FORM)?;
        Text::try_from(it.to_owned()).map_err(|_| FORM).and_then(|text| match it.is_empty() {
            true => Err(FORM),
            false => Ok(text),
        })
    };
    let target_version = match members.get("target_version") {
        None | Some(Value::Null) => None,
        Some(it) => Some(named(it)?),
    };
    Ok(Group { model: named(members.get("model").ok_or(FORM)?)?, target_version })
}
