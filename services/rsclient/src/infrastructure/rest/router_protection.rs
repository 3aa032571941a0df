//! `/router-protection` and its two lists.

use axum::{extract::State, response::Response};
use events::{Bounded, Ip, IpNetwork, IspId, RouterProtectionSettings};
use openapi::{
    refusals::{Always, Changed, Invalid, NotFound},
    schema,
};
use problem::{Json, Problem};
use serde::Serialize;
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Served,
    asked::{IF_MATCH, Named, Reads, Writes, tagged},
    body::{Body, boolean, nullable},
};
use crate::{
    app::App,
    application::{change_router_protection, find_router_protection},
    domain::{Expected, ProtectionChange, RouterProtection, network, server_address},
};

/// The routes, without what they reach for.
pub(super) fn described() -> OpenApiRouter<Served> {
    OpenApiRouter::new()
        .routes(routes!(show, set))
        .routes(routes!(show_dns_allowed_list, set_dns_allowed_list))
        .routes(routes!(show_allowed_list, set_allowed_list))
}

#[derive(Serialize)]
struct DnsAllowedList<'a> {
    dns_allowed_list: &'a Bounded<Ip>,
}

#[derive(Serialize)]
struct AllowedList<'a> {
    allowed_list: &'a Bounded<IpNetwork>,
}

/// Whether routers are protected, and where blocked traffic goes.
#[utoipa::path(
    get,
    path = "/router-protection",
    tag = "settings",
    params(
        Named,
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::RouterProtection,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn show(
    State(app): State<App>,
    Reads(isp_id): Reads,
) -> Result<Response, Problem> {
    find(&app, &isp_id).await.map(|it| settings(&it))
}

/// Protects routers or no more, and says where blocked traffic goes.
#[utoipa::path(
    put,
    path = "/router-protection",
    tag = "settings",
    params(
        Named,
        ("If-Match" = Option<String>, Header, description = IF_MATCH),
    ),
    request_body(
        content = schema::RouterProtection,
        examples(
            ("on" = (value = json!({"enabled": true, "block_page_ip": "192.0.2.1"}))),
            ("off" = (value = json!({"enabled": false, "block_page_ip": null}))),
        ),
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::RouterProtection,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid, Changed,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn set(
    State(app): State<App>,
    Writes(isp_id, expected): Writes,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let mut body = Body::of(body)?;
    let enabled = body.member("enabled", boolean);
    let block_page_ip = body.member("block_page_ip", nullable(server_address));
    let wanted = body.finish(RouterProtectionSettings { enabled, block_page_ip })?;
    let change = ProtectionChange::Settings(wanted);
    self::change(&app, &isp_id, &expected, &change).await.map(|it| settings(&it))
}

/// The name servers that homes may use.
#[utoipa::path(
    get,
    path = "/router-protection/dns-allowed-list",
    tag = "settings",
    params(
        Named,
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::DnsAllowedList,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn show_dns_allowed_list(
    State(app): State<App>,
    Reads(isp_id): Reads,
) -> Result<Response, Problem> {
    find(&app, &isp_id).await.map(|it| dns_allowed_list(&it))
}

/// Sets the name servers that homes may use.
#[utoipa::path(
    put,
    path = "/router-protection/dns-allowed-list",
    tag = "settings",
    params(
        Named,
        ("If-Match" = Option<String>, Header, description = IF_MATCH),
    ),
    request_body(
        content = schema::DnsAllowedList,
        examples(
            ("two servers" = (value = json!({"dns_allowed_list": ["192.0.2.53", "2001:db8::35"]}))),
            ("none" = (value = json!({"dns_allowed_list": []}))),
        ),
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::DnsAllowedList,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid, Changed,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn set_dns_allowed_list(
    State(app): State<App>,
    Writes(isp_id, expected): Writes,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let mut body = Body::of(body)?;
    let list = body.list("dns_allowed_list", server_address);
    let change = ProtectionChange::DnsAllowedList(body.finish(list)?);
    self::change(&app, &isp_id, &expected, &change).await.map(|it| dns_allowed_list(&it))
}

/// The networks that routers may be managed from.
#[utoipa::path(
    get,
    path = "/router-protection/allowed-list",
    tag = "settings",
    params(
        Named,
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::AllowedList,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn show_allowed_list(
    State(app): State<App>,
    Reads(isp_id): Reads,
) -> Result<Response, Problem> {
    find(&app, &isp_id).await.map(|it| allowed_list(&it))
}

/// Sets the networks that routers may be managed from.
#[utoipa::path(
    put,
    path = "/router-protection/allowed-list",
    tag = "settings",
    params(
        Named,
        ("If-Match" = Option<String>, Header, description = IF_MATCH),
    ),
    request_body(
        content = schema::AllowedList,
        examples(
            ("a network and an address" = (value = json!({"allowed_list": ["198.51.100.0/24", "203.0.113.7"]}))),
            ("none" = (value = json!({"allowed_list": []}))),
        ),
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::AllowedList,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid, Changed,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn set_allowed_list(
    State(app): State<App>,
    Writes(isp_id, expected): Writes,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let mut body = Body::of(body)?;
    let list = body.list("allowed_list", network);
    let change = ProtectionChange::AllowedList(body.finish(list)?);
    self::change(&app, &isp_id, &expected, &change).await.map(|it| allowed_list(&it))
}

async fn find(app: &App, isp_id: &IspId) -> Result<RouterProtection, Problem> {
    find_router_protection(app, isp_id).await.map_err(|it| it.problem())
}

async fn change(
    app: &App,
    isp_id: &IspId,
    expected: &Expected,
    change: &ProtectionChange,
) -> Result<RouterProtection, Problem> {
    change_router_protection(app, isp_id, expected, change).await.map_err(|it| it.problem())
}

fn settings(held: &RouterProtection) -> Response {
    tagged(held.revision, &held.router_protection)
}

fn dns_allowed_list(held: &RouterProtection) -> Response {
    tagged(held.revision, &DnsAllowedList { dns_allowed_list: &held.dns_allowed_list })
}

fn allowed_list(held: &RouterProtection) -> Response {
    tagged(held.revision, &AllowedList { allowed_list: &held.allowed_list })
}
