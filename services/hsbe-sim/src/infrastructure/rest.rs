//! The HTTP face: the HS Admin API, and `/sim` for whoever runs the simulator.

mod admin;
mod arrival;
pub(super) mod form;
mod sim;
mod town;

use axum::{
    Json, Router,
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, put},
};

use crate::{App, domain::Refusal};

/// Every route of the simulator.
pub fn router(app: App) -> Router {
    let resource = || put(admin::put).delete(admin::delete);
    let admin = Router::new()
        .route("/status", get(admin::status))
        .route("/devices", get(admin::list).post(admin::post))
        .route("/routers", get(admin::list))
        .route("/agent-packages", get(admin::list))
        .route("/devices/{device_id}", resource())
        .route("/routers/{router_id}", resource())
        .route("/routers/{router_id}/feature-flags", put(admin::put))
        .route("/agent-packages/{agent_package_id}", resource())
        .route("/system/{isp_id}/{document}", put(admin::put))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // Faults reach unknown paths and methods too.
        .layer(from_fn_with_state(app.clone(), arrival::arrive));
    let own = sim::routes().merge(town::routes());
    own.method_not_allowed_fallback(method_not_allowed).merge(admin).with_state(app)
}

async fn not_found() -> Refusal {
    Refusal::not_found("no such path")
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(405, "method_not_allowed", "the path has no such method")
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (status_code(self.status), Json(self)).into_response()
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("statuses are chosen from 200 to 599")
}
