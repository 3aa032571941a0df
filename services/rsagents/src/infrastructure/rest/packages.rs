//! Agent packages: made, listed, shown, changed, deleted.

use auth::Caller;
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use events::{AgentPackageId, AgentPackageState};
use openapi::{
    refusals::{Always, Changed, Conflict, Invalid, NotFound},
    schema::{Id, Text},
};
use problem::{Expected, Json, Kind, Problem, tagged};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    asked::{Asked, OfIsp, PackageOfPath, Reads, Writes},
    read,
    shown::{AgentPackage, PackageBody, PackagePage, PackagePatch, PackageState},
};
use crate::{
    app::App,
    application::{
        Failure, change_package, create_package, delete_package, find_package, list_packages,
    },
    domain::{self, PackageChange},
    infrastructure::store::Page,
};

/// Items of a page where the caller does not say how many.
const PAGE_ITEMS: u32 = 50;
/// The most that a caller may say.
const PAGE_ITEMS_MAX: u32 = 500;

/// Which page of which packages. An option without a value counts as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    isp_id: Option<String>,
    state: String,
    model: String,
    cursor: String,
    limit: String,
}

/// Lists packages in the order of their ids.
#[utoipa::path(
    get,
    path = "/router_agent_packages",
    tag = "packages",
    params(
        ("isp_id" = Option<Id>, Query, description = "The ISP; operators must name it."),
        ("state" = Option<PackageState>, Query, description = "Those in this state alone."),
        ("model" = Option<Text>, Query, description = "Those that run on this model alone."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Most items."),
        ("cursor" = Option<String>, Query, description = "What `next` said on the page before."),
    ),
    responses((status = 200, description = "A page of them.", body = PackagePage), Always, NotFound, Invalid),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn list(
    State(app): State<App>,
    Reads(caller): Reads,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    page_of(&app, &caller, &wanted).await
}

/// Lists packages in the order of their ids.
#[utoipa::path(
    get,
    path = "/subsystems/rs/router_agent_packages",
    tag = "packages",
    params(
        ("isp_id" = Option<Id>, Query, description = "The ISP; operators must name it."),
        ("state" = Option<PackageState>, Query, description = "Those in this state alone."),
        ("model" = Option<Text>, Query, description = "Those that run on this model alone."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Most items."),
        ("cursor" = Option<String>, Query, description = "What `next` said on the page before."),
    ),
    responses((status = 200, description = "A page of them.", body = PackagePage), Always, NotFound, Invalid),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn list_in_subsystem(
    State(app): State<App>,
    Reads(caller): Reads,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    page_of(&app, &caller, &wanted).await
}

/// Makes a package and its id.
#[utoipa::path(
    post,
    path = "/router_agent_packages",
    tag = "packages",
    params(("isp_id" = Option<Id>, Query, description = "The ISP; operators must name it.")),
    request_body(content = PackageBody),
    responses(
        (status = 201, description = "It is made.", body = AgentPackage,
            headers(("Location" = String, description = "Where it is."), ("ETag" = String, description = "Its revision."))),
        Always, NotFound, Conflict, Invalid,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn create(
    State(app): State<App>,
    Writes(caller, _): Writes,
    Asked(of_isp): Asked<OfIsp>,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    made(&app, &caller, &of_isp, new_id(), body).await
}

/// Makes a package and its id.
#[utoipa::path(
    post,
    path = "/subsystems/rs/router_agent_packages",
    tag = "packages",
    params(("isp_id" = Option<Id>, Query, description = "The ISP; operators must name it.")),
    request_body(content = PackageBody),
    responses(
        (status = 201, description = "It is made.", body = AgentPackage,
            headers(("Location" = String, description = "Where it is."), ("ETag" = String, description = "Its revision."))),
        Always, NotFound, Conflict, Invalid,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn create_in_subsystem(
    State(app): State<App>,
    Writes(caller, _): Writes,
    Asked(of_isp): Asked<OfIsp>,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    made(&app, &caller, &of_isp, new_id(), body).await
}

/// Makes a package of this id.
///
/// The same package once more is no conflict. The id of a deleted package is not given again.
#[utoipa::path(
    post,
    path = "/router_agent_packages/{router_package_id}",
    tag = "packages",
    params(
        ("router_package_id" = Id, Path, description = "The package."),
        ("isp_id" = Option<Id>, Query, description = "The ISP; operators must name it."),
    ),
    request_body(content = PackageBody),
    responses(
        (status = 200, description = "It is there already, as it is said.", body = AgentPackage,
            headers(("Location" = String, description = "Where it is."), ("ETag" = String, description = "Its revision."))),
        (status = 201, description = "It is made.", body = AgentPackage,
            headers(("Location" = String, description = "Where it is."), ("ETag" = String, description = "Its revision."))),
        Always, NotFound, Conflict, Invalid,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn create_named(
    State(app): State<App>,
    Writes(caller, _): Writes,
    PackageOfPath(id): PackageOfPath,
    Asked(of_isp): Asked<OfIsp>,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    made(&app, &caller, &of_isp, id, body).await
}

/// Shows a package.
#[utoipa::path(
    get,
    path = "/router_agent_packages/{router_package_id}",
    tag = "packages",
    params(
        ("router_package_id" = Id, Path, description = "The package."),
        ("isp_id" = Option<Id>, Query, description = "Its ISP; any other than the caller's own is unknown."),
    ),
    responses(
        (status = 200, description = "The package as it is.", body = AgentPackage,
            headers(("ETag" = String, description = "Its revision."))),
        Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn show(
    State(app): State<App>,
    Reads(caller): Reads,
    PackageOfPath(id): PackageOfPath,
    Asked(of_isp): Asked<OfIsp>,
) -> Result<Response, Problem> {
    let isp_id = of_isp.named(&caller)?;
    let held = find_package(&app, isp_id.as_ref(), &id).await.map_err(Failure::problem)?;
    Ok(shown(held))
}

/// Says a package anew.
///
/// Only a draft becomes other software; afterwards nothing but the state changes.
#[utoipa::path(
    put,
    path = "/router_agent_packages/{router_package_id}",
    tag = "packages",
    params(
        ("router_package_id" = Id, Path, description = "The package."),
        ("isp_id" = Option<Id>, Query, description = "Its ISP; any other than the caller's own is unknown."),
        ("If-Match" = Option<String>, Header, description = "The state that is meant, by its `ETag`."),
    ),
    request_body(content = PackageBody),
    responses(
        (status = 200, description = "The package as it is now.", body = AgentPackage,
            headers(("ETag" = String, description = "Its revision."))),
        Always, NotFound, Conflict, Changed, Invalid,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn replace(
    State(app): State<App>,
    Writes(caller, expected): Writes,
    PackageOfPath(id): PackageOfPath,
    Asked(of_isp): Asked<OfIsp>,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let change = read::whole(body)?;
    changed(&app, (&caller, &of_isp, &expected), &id, &change).await
}

/// Changes members of a package, its state above all.
#[utoipa::path(
    patch,
    path = "/router_agent_packages/{router_package_id}",
    tag = "packages",
    params(
        ("router_package_id" = Id, Path, description = "The package."),
        ("isp_id" = Option<Id>, Query, description = "Its ISP; any other than the caller's own is unknown."),
        ("If-Match" = Option<String>, Header, description = "The state that is meant, by its `ETag`."),
    ),
    request_body(
        content = PackagePatch,
        examples(
            ("release" = (value = json!({"state": "released"}))),
            ("deprecate" = (value = json!({"state": "deprecated"}))),
            ("revoke" = (value = json!({"state": "revoked"}))),
        ),
    ),
    responses(
        (status = 200, description = "The package as it is now.", body = AgentPackage,
            headers(("ETag" = String, description = "Its revision."))),
        Always, NotFound, Conflict, Changed, Invalid,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn patch(
    State(app): State<App>,
    Writes(caller, expected): Writes,
    PackageOfPath(id): PackageOfPath,
    Asked(of_isp): Asked<OfIsp>,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let change = read::part(body)?;
    changed(&app, (&caller, &of_isp, &expected), &id, &change).await
}

/// Deletes a package that nobody uses.
///
/// Where routers are to run it, or a model runs it by default, the answer says so and the package stays. Where it
/// cannot be found out, the deletion goes on later.
#[utoipa::path(
    delete,
    path = "/router_agent_packages/{router_package_id}",
    tag = "packages",
    params(
        ("router_package_id" = Id, Path, description = "The package."),
        ("isp_id" = Option<Id>, Query, description = "Its ISP; any other than the caller's own is unknown."),
        ("If-Match" = Option<String>, Header, description = "The state that is meant, by its `ETag`."),
    ),
    responses(
        (status = 204, description = "It is deleted."), Always, NotFound, Conflict, Changed, Invalid,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn delete(
    State(app): State<App>,
    Writes(caller, expected): Writes,
    PackageOfPath(id): PackageOfPath,
    Asked(of_isp): Asked<OfIsp>,
) -> Result<StatusCode, Problem> {
    let isp_id = of_isp.named(&caller)?;
    let deleted = delete_package(&app, isp_id.as_ref(), &id, &expected).await;
    deleted.map_err(Failure::problem)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn page_of(app: &App, caller: &Caller, wanted: &Wanted) -> Result<Response, Problem> {
    let isp_id = caller.speaks_for(wanted.isp_id.as_deref())?;
    let (found, next) =
        list_packages(app, &isp_id, wanted.page()?).await.map_err(Failure::problem)?;
    Ok(Json(PackagePage::of(found, next)).into_response())
}

async fn made(
    app: &App,
    caller: &Caller,
    of_isp: &OfIsp,
    id: AgentPackageId,
    body: Value,
) -> Result<Response, Problem> {
    let package = read::new_package(body, of_isp.spoken_for(caller)?, id)?;
    let (held, is_new) = create_package(app, &package).await.map_err(Failure::problem)?;
    let place = format!("/router_agent_packages/{}", held.package.agent_package_id);
    let place = HeaderValue::try_from(place).expect("an id has no characters of its own");
    let mut response = shown(held);
    response.headers_mut().insert(header::LOCATION, place);
    if is_new {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

async fn changed(
    app: &App,
    (caller, of_isp, expected): (&Caller, &OfIsp, &Expected),
    id: &AgentPackageId,
    change: &PackageChange,
) -> Result<Response, Problem> {
    let isp_id = of_isp.named(caller)?;
    let held = change_package(app, isp_id.as_ref(), id, expected, change).await;
    Ok(shown(held.map_err(Failure::problem)?))
}

fn shown(held: domain::Package) -> Response {
    tagged(held.package.revision, &AgentPackage::from(held))
}

fn new_id() -> AgentPackageId {
    Uuid::now_v7().to_string().parse().expect("a UUID is an id")
}

impl Wanted {
    fn page(&self) -> Result<Page, Problem> {
        let invalid = |why: String| Problem::new(Kind::Invalid, why);
        let limit = match self.limit.as_str() {
            "" => PAGE_ITEMS,
            text => text
                .parse()
                .ok()
                .filter(|it| (1..=PAGE_ITEMS_MAX).contains(it))
                .ok_or_else(|| invalid(format!("limit must be from 1 to {PAGE_ITEMS_MAX}")))?,
        };
        let state = |text: &str| -> Result<AgentPackageState, Problem> {
            let named = domain::State::named(text);
            let why = "state must be draft, released, deprecated or revoked";
            named.ok_or_else(|| invalid(why.to_owned()))
        };
        let cursor = |text: &str| -> Result<AgentPackageId, Problem> {
            text.parse().map_err(|_| invalid("cursor must be what `next` said".to_owned()))
        };
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(Page {
            state: given(&self.state).map(|it| state(&it)).transpose()?,
            model: given(&self.model),
            after: given(&self.cursor).map(|it| cursor(&it)).transpose()?.map(String::from),
            limit,
        })
    }
}
