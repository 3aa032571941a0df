//! The REST face: full syncs are started, jobs shown, watched and steered.

mod body;
mod events;
mod jobs;

use auth::Verifier;
use axum::{Router, extract::FromRef};
use problem::{no_such_method, no_such_path};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{SERVICE, app::App};

/// Every route of the service.
pub fn router(app: App) -> Router {
    openapi::served(described())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
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

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.verifier.clone()
    }
}
