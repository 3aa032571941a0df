//! Serving HTTP with limits on everything, a span for each request, and metrics.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use opentelemetry::propagation::Extractor;
pub use rustls::ServerConfig;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::telemetry;

/// Limits of a server.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Seconds in which a client must send the head of a request.
    pub header_seconds: u64,
    /// Seconds in which a request must be answered, its body read.
    pub request_seconds: u64,
    /// Greatest body.
    pub body_bytes: usize,
    /// Seconds that requests in hand get when the service stops.
    pub drain_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header_seconds: 10, request_seconds: 30, body_bytes: 2 << 20, drain_seconds: 10 }
    }
}

/// Serves `router` with the default [`Limits`] until `stop` is cancelled and what is in hand ended.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<rustls::ServerConfig>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    serve_with(listener, router, tls, &Limits::default(), stop).await
}

/// Serves `router` until `stop` is cancelled and what is in hand has ended or met its limit.
///
/// # Errors
/// When the listener fails.
pub async fn serve_with(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: &Limits,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let seconds = Duration::from_secs;
    let router = router
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            seconds(limits.request_seconds),
        ))
        .layer(axum::middleware::from_fn(observe))
        .into_make_service();
    let handle = Handle::<std::net::SocketAddr>::new();
    let mut server = Server::from_listener(listener).handle(handle.clone()).http1_only();
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(seconds(limits.header_seconds));
    let serving = async {
        match tls {
            None => server.serve(router).await,
            Some(config) => {
                let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(config));
                server.acceptor(acceptor).serve(router).await
            }
        }
    };
    let limit = seconds(limits.drain_seconds);
    let stopping = async {
        stop.cancelled().await;
        handle.graceful_shutdown(Some(limit));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = serving.into_future() => Ok(result?),
        () = stopping => Ok(()),
    }
}

/// A span that continues the caller's trace, and the metrics of a request.
async fn observe(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().as_str().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!(
        "http_request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    );
    // Without the span layer (some tests) there is nothing to continue.
    let _ = span.set_parent(remote_context(request.headers()));
    telemetry::show_trace_id(&span);
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    let labels = [("method", method), ("route", route), ("status", status.as_str().to_owned())];
    metrics::counter!("http_server_requests_total", &labels).increment(1);
    metrics::histogram!("http_server_request_seconds", &labels).record(begun.elapsed());
    response
}

/// The trace context and baggage that a request carries.
pub fn remote_context(headers: &HeaderMap) -> opentelemetry::Context {
    opentelemetry::global::get_text_map_propagator(|propagator| {
        propagator.extract(&Headers(headers))
    })
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}
