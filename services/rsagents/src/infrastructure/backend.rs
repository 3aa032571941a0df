//! The face for the HomeSecure backend: it comes with a certificate and asks for packages of any ISP.

use std::sync::Arc;

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Path, State, rejection::PathRejection},
    response::Response,
    routing::get,
};
use chassis::{
    Chassis,
    http::{Limits, ServerConfig},
    tls::server_config,
};
use events::{AgentPackageId, Bounded, Count, HttpUrl, Text};
use problem::{Problem, no_such_method, no_such_path, tagged};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::{
    app::App,
    application::{Failure, find_package},
    settings::BackendSettings,
};

/// A package as the backend knows it: the same members as in what it is told.
#[derive(Serialize)]
struct AgentPackage<'a> {
    id: &'a AgentPackageId,
    version: &'a Text,
    models: &'a Bounded<Text>,
    url: &'a HttpUrl,
    sha256: &'a Text,
    size_bytes: Count,
    signature: &'a str,
}

/// The face, bound and not served yet.
#[derive(Debug)]
pub struct BackendFace {
    listener: TcpListener,
    tls: Arc<ServerConfig>,
}

impl BackendFace {
    /// Reads the certificates and binds the port.
    ///
    /// # Errors
    /// Certificates that cannot be used, or a port that is taken.
    pub async fn bind(settings: &BackendSettings) -> anyhow::Result<Self> {
        let tls = server_config(&settings.tls()).context("backend")?;
        let address = settings.listen;
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.with_context(|| format!("backend.listen: cannot bind {address}"))?;
        Ok(Self { listener, tls })
    }

    /// Serves until the chassis says stop, and says where. Who shows no certificate of the authority gets no answer.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(self, app: App, chassis: &Chassis) -> anyhow::Result<()> {
        chassis.listening("backend", self.listener.local_addr()?)?;
        let (limits, stop) = (Limits::default(), chassis.stop.clone());
        let tls = Some(self.tls);
        let serving = chassis::http::serve_with(self.listener, router(app), tls, &limits, stop);
        serving.await.context("the backend cannot be served")
    }
}

fn router(app: App) -> Router {
    Router::new()
        .route("/router_agent_packages/{router_package_id}", get(show))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(app)
}

/// `GET /router_agent_packages/{router_package_id}`
async fn show(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id: Option<AgentPackageId> = id.ok().and_then(|it| it.parse().ok());
    let id = id.ok_or_else(|| Failure::NoSuch(Vec::new()).problem())?;
    let held = find_package(&app, None, &id).await.map_err(Failure::problem)?;
    let it = &held.package;
    let shown = AgentPackage {
        id: &it.agent_package_id,
        version: &it.version,
        models: &it.models,
        url: &it.url,
        sha256: &it.sha256,
        size_bytes: it.size_bytes,
        signature: &it.signature,
    };
    Ok(tagged(it.revision, &shown))
}
