//! `/sim/town`: a town whose homes send events, and exactly what it has sent.

use std::collections::BTreeMap;

use axum::{
    Json, Router as Routes,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};
use events::DeviceId;

use crate::{
    App,
    domain::{Refusal, Router, TownState},
    infrastructure::town,
};

/// Every route below `/sim/town`.
pub(super) fn routes() -> Routes<App> {
    Routes::new()
        .route("/sim/town", get(state).put(begin).delete(end))
        .route("/sim/town/routers", get(routers))
        .route("/sim/town/active", get(active))
}

/// The town in numbers.
async fn state(State(app): State<App>) -> Result<Json<TownState>, Refusal> {
    let state = app.town().as_ref().map(|it| it.state());
    state.map(Json).ok_or_else(no_town)
}

/// Begins a town, in the place of the one there may be.
async fn begin(State(app): State<App>, body: Bytes) -> Result<Json<TownState>, Refusal> {
    let plan = serde_json::from_slice(&body).map_err(|it| Refusal::malformed(it.to_string()))?;
    town::begin(&app, plan).await.map(Json)
}

/// Ends the town; answers how it was at its end.
async fn end(State(app): State<App>) -> Response {
    match town::end(&app).await {
        Some(state) => Json(state).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Which agent package each router runs.
async fn routers(State(app): State<App>) -> Result<Json<BTreeMap<DeviceId, Router>>, Refusal> {
    let routers = app.town().as_ref().map(|it| it.routers().clone());
    routers.map(Json).ok_or_else(no_town)
}

/// Which devices send.
async fn active(State(app): State<App>) -> Result<Json<BTreeMap<DeviceId, bool>>, Refusal> {
    let active = app.town().as_ref().map(|it| it.active().clone());
    active.map(Json).ok_or_else(no_town)
}

fn no_town() -> Refusal {
    Refusal::not_found("there is no town")
}
