//! The REST face: what an ISP sets for its homes, which routers run which software, why a home looks as it does, and
//! what failed in a job.

mod agents;
mod asked;
mod body;
mod devices;
mod router_protection;
mod system;

use async_task::failures_router;
use auth::Verifier;
use axum::{
    Router,
    extract::FromRef,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get},
};
use problem::{Kind, Problem};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use self::devices::Devices;
use crate::{SERVICE, app::App, infrastructure::witnesses::Witnesses};

/// Every route of the service.
pub fn router(app: App, witnesses: Witnesses) -> Router {
    let failures = failures_router(app.async_tasks.failures().clone(), app.verifier.clone());
    let mut settings = Router::new();
    for (path, methods) in routes() {
        settings = settings.route(path, methods);
    }
    let settings = settings
        .route("/router_agent_packages/references/{agent_package_id}", delete(agents::release))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app.clone());
    let described = openapi::served(described())
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(Devices { app, witnesses });
    // What is said of a path that nobody knows is said by the router of failures.
    failures.merge(settings).merge(described)
}

/// What the routes are that describe themselves, as a document.
pub fn document() -> OpenApi {
    described().into_openapi()
}

fn described() -> OpenApiRouter<Devices> {
    let about = "What holds for the homes of an ISP, and why. An ISP sees its own; operators all.";
    OpenApiRouter::with_openapi(openapi::document(SERVICE, about)).merge(devices::described())
}

/// The paths that belong to one ISP each, with what can be done there.
fn routes() -> Vec<(&'static str, MethodRouter<App>)> {
    vec![
        ("/router-protection", get(router_protection::show).put(router_protection::set)),
        (
            "/router-protection/dns-allowed-list",
            get(router_protection::show_dns_allowed_list)
                .put(router_protection::set_dns_allowed_list),
        ),
        (
            "/router-protection/allowed-list",
            get(router_protection::show_allowed_list).put(router_protection::set_allowed_list),
        ),
        ("/lan-protection", get(system::show_lan_protection).put(system::set_lan_protection)),
        ("/advanced-configuration", get(system::show_advanced).put(system::set_advanced)),
        (
            "/subsystems/rs/router_agent_packages/{agent_package_id}",
            get(agents::show).put(agents::set),
        ),
    ]
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
