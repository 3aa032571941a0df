//! The REST face: agent packages, what models run by default, and what failed in a job.

mod asked;
mod defaults;
mod packages;
mod read;
mod shown;

use async_task::failures_router;
use auth::Verifier;
use axum::{Router, extract::FromRef};
use problem::no_such_method;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{SERVICE, app::App};

/// Every route of the service.
pub fn router(app: App) -> Router {
    let failures = failures_router(app.async_tasks.failures().clone(), app.verifier.clone());
    let described =
        openapi::served(described()).method_not_allowed_fallback(no_such_method).with_state(app);
    // What is said of a path that nobody knows is said by the router of failures.
    failures.merge(described)
}

/// What the routes are, as a document.
pub fn document() -> OpenApi {
    described().into_openapi()
}

fn described() -> OpenApiRouter<App> {
    let about = "The releases of the agent on routers, and what models of routers run by default. An ISP sees \
                 and changes its own; operators all.";
    OpenApiRouter::with_openapi(openapi::document(SERVICE, about))
        .routes(routes!(packages::list, packages::create))
        .routes(routes!(packages::list_in_subsystem, packages::create_in_subsystem))
        .routes(routes!(
            packages::show,
            packages::create_named,
            packages::replace,
            packages::patch,
            packages::delete
        ))
        .routes(routes!(defaults::show, defaults::set))
}

impl FromRef<App> for Verifier {
    fn from_ref(app: &App) -> Self {
        app.verifier.clone()
    }
}
