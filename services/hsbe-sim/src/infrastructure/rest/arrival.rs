//! What happens to every request of the HS Admin API before and after it is handled: limits, delays, faults, counts.

use std::{io, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, header::RETRY_AFTER},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;

use super::{admin::write_of, form, status_code};
use crate::{
    App,
    domain::{Action, Blow, Refusal, When},
};

/// Reads the body, waits, spoils what is to be spoiled, and counts.
pub(super) async fn arrive(State(app): State<App>, request: Request, next: Next) -> Response {
    let _in_flight = app.arrive();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, app.body_bytes_max()).await else {
        let refusal = Refusal::new(413, "too_large", "the body is too large");
        app.backend().count_rejected(&refusal, parts.method.as_str());
        return counted(&app, refusal.into_response());
    };
    tokio::time::sleep(app.latency()).await;

    let path = parts.uri.path().to_owned();
    let struck = app.faults().strike(parts.method.as_str(), &path, fastrand::f64);
    let Some((when, action)) = struck else {
        return counted(&app, next.run(Request::from_parts(parts, Body::from(body))).await);
    };
    app.backend().count_faulted();
    match (when, &action.blow) {
        (When::Before, None) => {
            tokio::time::sleep(Duration::from_millis(action.latency_ms)).await;
            counted(&app, next.run(Request::from_parts(parts, Body::from(body))).await)
        }
        (When::Before, Some(blow)) => {
            remember(&app, &parts, &body, blow);
            spoil(&app, action).await
        }
        (When::After, blow) => {
            let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
            match blow {
                Some(_) => spoil(&app, action).await,
                None => {
                    tokio::time::sleep(Duration::from_millis(action.latency_ms)).await;
                    counted(&app, answer)
                }
            }
        }
    }
}

async fn spoil(app: &App, action: Action) -> Response {
    tokio::time::sleep(Duration::from_millis(action.latency_ms)).await;
    match action.blow {
        Some(Blow::Status { status, retry_after, error }) => {
            let body = serde_json::json!({"error": error, "detail": "a fault on purpose"});
            let mut response = match status {
                // Bodies have no place there.
                204 | 304 => status_code(status).into_response(),
                _ => (status_code(status), Json(body)).into_response(),
            };
            if let Some(value) = retry_after.and_then(|it| HeaderValue::from_str(&it).ok()) {
                response.headers_mut().insert(RETRY_AFTER, value);
            }
            counted(app, response)
        }
        Some(Blow::Hang) => {
            // The client goes first, and drops this.
            app.stop().cancelled().await;
            dropped_connection()
        }
        Some(Blow::Reset) | None => dropped_connection(),
    }
}

/// A response that breaks before its first byte is sent, so that the server drops the connection.
fn dropped_connection() -> Response {
    let broken = stream::iter([Err::<Bytes, _>(io::Error::other("dropped on purpose"))]);
    Response::new(Body::from_stream(broken))
}

/// A spoiled write belongs to the order of arrival.
fn remember(app: &App, parts: &axum::http::request::Parts, body: &Bytes, blow: &Blow) {
    let is_write = [Method::PUT, Method::DELETE].contains(&parts.method);
    if !is_write {
        return;
    }
    let Ok(resource) = form::resource(parts.uri.path()) else { return };
    let revision = super::admin::revision(&parts.headers).unwrap_or_default();
    let status = match blow {
        Blow::Status { status, .. } => Some(*status),
        Blow::Reset | Blow::Hang => None,
    };
    let write = write_of(&parts.method, revision);
    app.backend().remember(write, &resource, status, form::read(body));
}

fn counted(app: &App, response: Response) -> Response {
    *app.traffic().answers.entry(response.status().as_u16()).or_default() += 1;
    response
}
