//! The REST face: full syncs are started, jobs shown, watched and steered.

mod body;
mod events;
mod jobs;

use auth::Verifier;
use axum::{
    Router,
    extract::FromRef,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use problem::{Kind, Problem};

use crate::app::App;

/// Every route of the service.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/subsystems/rs/full-sync", post(jobs::start))
        .route("/subsystems/rs/jobs", get(jobs::list))
        .route("/subsystems/rs/jobs/{job_id}", get(jobs::show).post(jobs::steer))
        .route("/subsystems/rs/jobs/{job_id}/failures", get(jobs::failures))
        .route("/subsystems/rs/jobs/{job_id}/events", get(events::watch))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

async fn not_found(_: Uri) -> Problem {
    Problem::new(Kind::NotFound, "there is no such path")
}

async fn method_not_allowed() -> Response {
    // The path is there, so that the status must say more than that it is not.
    let mut response = Problem::new(Kind::NotFound, "the path has no such method").into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.verifier.clone()
    }
}
