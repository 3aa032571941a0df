//! The REST API of a service: where it listens and what bounds a request.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Chassis, http};

/// The REST API of a service.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RestSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Seconds in which a request must be answered, its body read.
    pub request_seconds: u64,
    /// Greatest body of a request.
    pub body_bytes: usize,
}

/// A bound REST API that does not serve yet.
#[derive(Debug)]
pub struct Rest {
    listener: TcpListener,
    limits: http::Limits,
}

impl RestSettings {
    /// Binds the port, before anything else of the service begins.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn bind(&self) -> anyhow::Result<Rest> {
        let address = self.listen;
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("http.listen: cannot bind {address}"))?;
        let limits = http::Limits {
            request_seconds: self.request_seconds,
            body_bytes: self.body_bytes,
            ..http::Limits::default()
        };
        Ok(Rest { listener, limits })
    }
}

impl Rest {
    /// Serves `router` until `stop`, and says where.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(
        self,
        router: Router,
        chassis: &Chassis,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        chassis.listening("http", self.listener.local_addr()?)?;
        let serving = http::serve_with(self.listener, router, None, &self.limits, stop);
        serving.await.context("the REST API cannot be served")
    }
}
