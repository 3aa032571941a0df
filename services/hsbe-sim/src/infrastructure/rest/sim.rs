//! `/sim`: what the simulator holds and has seen, and what it is told to do wrong. Faults never reach it.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
    routing::{delete, get},
};
use serde::Serialize;

use super::form;
use crate::{
    App,
    app::Traffic,
    domain::{Document, Entry, FaultState, Faults, Refusal, Summary},
};

/// Every route below `/sim`.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/sim", delete(forget))
        .route("/sim/faults", get(faults).put(set_faults).delete(clear_faults))
        .route("/sim/summary", get(summary))
        .route("/sim/dump", get(dump))
        .route("/sim/devices/{device_id}/history", get(history))
        .route("/sim/routers/{router_id}/history", get(history))
        .route("/sim/routers/{router_id}/feature-flags/history", get(history))
        .route("/sim/agent-packages/{agent_package_id}/history", get(history))
        .route("/sim/system/{isp_id}/{document}/history", get(history))
}

/// Forgets what is held, revisions, histories and counts. Faults stay, and what they have spent.
async fn forget(State(app): State<App>) -> StatusCode {
    app.backend().forget();
    let mut traffic = app.traffic();
    // Requests that are on the way still end.
    let in_flight = traffic.in_flight;
    *traffic = Traffic { in_flight, in_flight_max: in_flight, ..Traffic::default() };
    StatusCode::NO_CONTENT
}

async fn faults(State(app): State<App>) -> Json<Vec<FaultState>> {
    Json(app.faults().list().to_vec())
}

async fn set_faults(State(app): State<App>, body: Bytes) -> Result<StatusCode, Refusal> {
    let faults = serde_json::from_slice(&body).map_err(|it| Refusal::malformed(it.to_string()))?;
    let faults = Faults::new(faults)?;
    *app.faults() = faults;
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(State(app): State<App>) -> StatusCode {
    *app.faults() = Faults::default();
    StatusCode::NO_CONTENT
}

#[derive(Serialize)]
struct WholeSummary {
    #[serde(flatten)]
    held: Summary,
    #[serde(flatten)]
    traffic: Traffic,
}

async fn summary(State(app): State<App>) -> Json<WholeSummary> {
    let held = app.backend().summary();
    let traffic = app.traffic().clone();
    Json(WholeSummary { held, traffic })
}

async fn dump(State(app): State<App>) -> Json<BTreeMap<&'static str, BTreeMap<String, Document>>> {
    Json(app.backend().dump())
}

async fn history(State(app): State<App>, uri: Uri) -> Result<Json<Vec<Entry>>, Refusal> {
    let path = uri.path().strip_prefix("/sim").and_then(|it| it.strip_suffix("/history"));
    let resource = form::resource(path.unwrap_or_default())?;
    Ok(Json(app.backend().history(&resource)))
}
