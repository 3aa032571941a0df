//! The admin port: `/livez`, `/readyz`, `/healthz`, `/metrics`.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::Health;
use crate::health::Report;

/// The routes of the admin port.
pub fn router(health: Health, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz))
        .with_state(health)
        .merge(Router::new().route("/metrics", get(render_metrics)).with_state(metrics))
}

/// The process runs; nothing else is checked, since a restart would cure nothing else.
async fn livez() -> &'static str {
    "alive\n"
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let reasons = health.unready();
    if reasons.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n")))
}

/// Always 200: it is read by people and dashboards, not by what restarts processes.
async fn healthz(State(health): State<Health>) -> Json<Report> {
    Json(health.report())
}

async fn render_metrics(State(metrics): State<PrometheusHandle>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render())
}
