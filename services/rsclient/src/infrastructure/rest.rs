//! The REST face: what an ISP sets for its homes, and which routers run which software.

mod agents;
mod asked;
mod body;
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

use crate::app::App;

/// Every route of the service.
pub fn router(app: App) -> Router {
    let failures = failures_router(app.async_tasks.failures().clone(), app.verifier.clone());
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    router = router
        .route("/router_agent_packages/references/{agent_package_id}", delete(agents::release));
    // What is said of a path that nobody knows is said by the router of failures.
    router.method_not_allowed_fallback(method_not_allowed).with_state(app).merge(failures)
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
