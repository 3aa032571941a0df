//! `/lan-protection` and `/advanced-configuration`.

use axum::{extract::State, response::Response};
use events::{AdvancedConfiguration, IspId, LanProtection, Text};
use openapi::{
    refusals::{Always, Changed, Invalid, NotFound},
    schema,
};
use problem::{Json, Problem};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Served,
    asked::{IF_MATCH, Named, Reads, Writes, tagged},
    body::{Body, boolean, text},
};
use crate::{
    app::App,
    application::{change_system, find_system},
    domain::{Expected, SystemChange, SystemConfiguration},
};

/// How much routers can log.
const LOG_LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// Longest name of a feature.
const FEATURE_CHARS_MAX: usize = 64;

/// The routes, without what they reach for.
pub(super) fn described() -> OpenApiRouter<Served> {
    OpenApiRouter::new()
        .routes(routes!(show_lan_protection, set_lan_protection))
        .routes(routes!(show_advanced, set_advanced))
}

/// What protects homes from inside.
#[utoipa::path(
    get,
    path = "/lan-protection",
    tag = "settings",
    params(
        Named,
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::LanProtection,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn show_lan_protection(
    State(app): State<App>,
    Reads(isp_id): Reads,
) -> Result<Response, Problem> {
    find(&app, &isp_id).await.map(|it| tagged(it.revision, &it.lan_protection))
}

/// Sets what protects homes from inside.
#[utoipa::path(
    put,
    path = "/lan-protection",
    tag = "settings",
    params(
        Named,
        ("If-Match" = Option<String>, Header, description = IF_MATCH),
    ),
    request_body(
        content = schema::LanProtection,
        examples(
            ("all of it" = (value = json!({"enabled": true, "isolate_iot": true, "arp_guard": true}))),
        ),
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::LanProtection,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid, Changed,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn set_lan_protection(
    State(app): State<App>,
    Writes(isp_id, expected): Writes,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let mut body = Body::of(body)?;
    let enabled = body.member("enabled", boolean);
    let isolate_iot = body.member("isolate_iot", boolean);
    let arp_guard = body.member("arp_guard", boolean);
    let wanted = body.finish(LanProtection { enabled, isolate_iot, arp_guard })?;
    let change = SystemChange::LanProtection(wanted);
    let held = self::change(&app, &isp_id, &expected, &change).await?;
    Ok(tagged(held.revision, &held.lan_protection))
}

/// What experts have set.
#[utoipa::path(
    get,
    path = "/advanced-configuration",
    tag = "settings",
    params(
        Named,
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::AdvancedConfiguration,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid,
    ),
    security(("bearer" = ["rs:read"])),
)]
pub(super) async fn show_advanced(
    State(app): State<App>,
    Reads(isp_id): Reads,
) -> Result<Response, Problem> {
    find(&app, &isp_id).await.map(|it| tagged(it.revision, &it.advanced))
}

/// Sets what experts set.
#[utoipa::path(
    put,
    path = "/advanced-configuration",
    tag = "settings",
    params(
        Named,
        ("If-Match" = Option<String>, Header, description = IF_MATCH),
    ),
    request_body(
        content = schema::AdvancedConfiguration,
        examples(
            ("more in the log" = (value = json!({"log_level": "debug", "telemetry": true, "features": {"beta": true}}))),
        ),
    ),
    responses(
        (status = 200, description = "What holds.", body = schema::AdvancedConfiguration,
            headers(("ETag" = String, description = "The tag of this state."))),
        Always, NotFound, Invalid, Changed,
    ),
    security(("bearer" = ["rs:write"])),
)]
pub(super) async fn set_advanced(
    State(app): State<App>,
    Writes(isp_id, expected): Writes,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let mut body = Body::of(body)?;
    let level = body.member("log_level", log_level);
    let telemetry = body.member("telemetry", boolean);
    let features = body.map("features", is_feature, boolean);
    let (level, telemetry, features) = body.finish((level, telemetry, features))?;
    let text = |it: String| Text::try_from(it).expect("its form was looked at");
    let wanted = AdvancedConfiguration {
        log_level: text(level),
        telemetry,
        features: features.into_iter().map(|(name, it)| (text(name), it)).collect(),
    };
    let change = SystemChange::Advanced(wanted);
    let held = self::change(&app, &isp_id, &expected, &change).await?;
    Ok(tagged(held.revision, &held.advanced))
}

fn log_level(value: &Value) -> Result<String, &'static str> {
    match text(value) {
        Ok(it) if LOG_LEVELS.contains(&it) => Ok(it.to_owned()),
        Ok(_) | Err(_) => Err("must be error, warn, info, debug or trace"),
    }
}

fn is_feature(name: &str) -> bool {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || it == b'_' || it == b'-';
    (1..=FEATURE_CHARS_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

async fn find(app: &App, isp_id: &IspId) -> Result<SystemConfiguration, Problem> {
    find_system(app, isp_id).await.map_err(|it| it.problem())
}

async fn change(
    app: &App,
    isp_id: &IspId,
    expected: &Expected,
    change: &SystemChange,
) -> Result<SystemConfiguration, Problem> {
    change_system(app, isp_id, expected, change).await.map_err(|it| it.problem())
}
