//! The admin port: `/livez`, `/readyz`, `/healthz`, `/metrics`, `/actions`.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::actions::{ActionError, Actions, Offered};
use crate::health::{Health, Report};

/// The routes of the admin port.
pub fn router(health: Health, actions: Actions, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz))
        .with_state(health)
        .merge(Router::new().route("/metrics", get(render_metrics)).with_state(metrics))
        .merge(
            Router::new()
                .route("/actions", get(offered))
                .route("/actions/{name}", post(carry_out))
                .with_state(actions),
        )
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

async fn offered(State(actions): State<Actions>) -> Json<Vec<Offered>> {
    Json(actions.offered())
}

async fn carry_out(State(actions): State<Actions>, Path(name): Path<String>) -> impl IntoResponse {
    let (span, all) = (tracing::Span::current(), actions.clone());
    let carried_out =
        tokio::task::spawn_blocking(move || span.in_scope(|| actions.carry_out(&name))).await;
    match carried_out {
        Ok(Ok(done)) => (StatusCode::OK, format!("{done}\n")),
        Ok(Err(error @ ActionError::Refused(_))) => (StatusCode::CONFLICT, format!("{error}\n")),
        Ok(Err(error @ ActionError::Unknown(_))) => {
            let names: Vec<String> = all.offered().into_iter().map(|it| it.name).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            (StatusCode::NOT_FOUND, format!("{error}; offered: {names}\n"))
        }
        Err(error) => {
            tracing::error!(%error, "an operator's action broke off");
            (StatusCode::INTERNAL_SERVER_ERROR, "the action broke off\n".to_owned())
        }
    }
}
