//! `/router-protection` and its two lists.

use axum::{extract::State, response::Response};
use events::{Bounded, Ip, IpNetwork, IspId, RouterProtectionSettings};
use problem::{Json, Problem};
use serde::Serialize;
use serde_json::Value;

use super::{
    asked::{Reads, Writes, tagged},
    body::{Body, boolean, nullable},
};
use crate::{
    app::App,
    application::{change_router_protection, find_router_protection},
    domain::{Expected, ProtectionChange, RouterProtection, network, server_address},
};

#[derive(Serialize)]
struct DnsAllowedList<'a> {
    dns_allowed_list: &'a Bounded<Ip>,
}

#[derive(Serialize)]
struct AllowedList<'a> {
    allowed_list: &'a Bounded<IpNetwork>,
}

/// `GET /router-protection`
pub(super) async fn show(
    State(app): State<App>,
    Reads(isp_id): Reads,
) -> Result<Response, Problem> {
    find(&app, &isp_id).await.map(|it| settings(&it))
}

/// `PUT /router-protection`
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

/// `GET /router-protection/dns-allowed-list`
pub(super) async fn show_dns_allowed_list(
    State(app): State<App>,
    Reads(isp_id): Reads,
) -> Result<Response, Problem> {
    find(&app, &isp_id).await.map(|it| dns_allowed_list(&it))
}

/// `PUT /router-protection/dns-allowed-list`
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

/// `GET /router-protection/allowed-list`
pub(super) async fn show_allowed_list(
    State(app): State<App>,
    Reads(isp_id): Reads,
) -> Result<Response, Problem> {
    find(&app, &isp_id).await.map(|it| allowed_list(&it))
}

/// `PUT /router-protection/allowed-list`
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
