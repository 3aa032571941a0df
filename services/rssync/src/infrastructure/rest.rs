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
};
use problem::{Kind, Problem};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{SERVICE, app::App};

/// Every route of the service.
pub fn router(app: App) -> Router {
    openapi::served(described())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app)
}

/// What the routes are, as a document.
pub fn document() -> OpenApi {
    described().into_openapi()
}

fn described() -> OpenApiRouter<App> {
    let about = "Full syncs as jobs: started, listed, shown, watched and steered. An ISP sees and steers \
                 its own; operators all.";
    OpenApiRouter::with_openapi(openapi::document(SERVICE, about))
        .routes(routes!(jobs::start))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show, jobs::steer))
        .routes(routes!(jobs::failures))
        .routes(routes!(events::watch))
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
