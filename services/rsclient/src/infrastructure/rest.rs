//! The REST face: what an ISP sets for its homes, which routers run which software, how they are led to another one,
//! why a home looks as it does, and what failed in a job.

mod agents;
mod asked;
mod body;
mod devices;
mod rollouts;
mod router_protection;
mod shown_rollout;
mod system;

use async_task::failures_router;
use auth::Verifier;
use axum::{Router, extract::FromRef, routing::delete};
use problem::no_such_method;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{SERVICE, app::App, infrastructure::witnesses::Witnesses};

/// What the routes reach for.
#[derive(Clone)]
struct Served {
    app: App,
    witnesses: Witnesses,
}

impl FromRef<Served> for App {
    fn from_ref(served: &Served) -> Self {
        served.app.clone()
    }
}

impl FromRef<Served> for Verifier {
    fn from_ref(served: &Served) -> Self {
        served.app.verifier.clone()
    }
}

/// Every route of the service.
pub fn router(app: App, witnesses: Witnesses) -> Router {
    let failures = failures_router(app.async_tasks.failures().clone(), app.verifier.clone());
    let routes = openapi::served(described())
        .route("/router_agent_packages/references/{agent_package_id}", delete(agents::release))
        .method_not_allowed_fallback(no_such_method)
        .with_state(Served { app, witnesses });
    // What is said of a path that nobody knows is said by the router of failures.
    failures.merge(routes)
}

/// What the routes are that others than services of the fleet may call, as a document.
pub fn document() -> OpenApi {
    described().into_openapi()
}

fn described() -> OpenApiRouter<Served> {
    let about = "What an ISP sets for its homes, what holds for them, and why; rollouts of agent packages. An ISP sees \
                 its own; operators all.";
    OpenApiRouter::with_openapi(openapi::document(SERVICE, about))
        .merge(router_protection::described())
        .merge(system::described())
        .merge(agents::described())
        .merge(rollouts::described())
        .merge(devices::described())
}
