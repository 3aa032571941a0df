//! The HS Admin API.

use axum::{
    Json,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, Method, StatusCode, Uri, header::CONTENT_TYPE},
};
use events::Revision;
use hs_admin::{REVISION_HEADER, Resource, ResourceKind, Status};
use serde::{Deserialize, Serialize};

use super::{form, status_code};
use crate::{
    App,
    domain::{Change, Page, Refusal, Write},
};

const PAGE_ITEMS: usize = 100;
const PAGE_ITEMS_MAX: usize = 1_000;

/// `GET /status`
pub(super) async fn status() -> Json<Status> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Json(Status { status: "ok".to_owned(), version })
}

/// `PUT` of any resource
pub(super) async fn put(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let resource = form::resource(uri.path()).inspect_err(|it| count(&app, it, "PUT"))?;
    let revision = required_revision(&headers);
    // A body that is malformed is so whatever else is missing.
    let checked = json(&headers)
        .and_then(|()| form::check(&resource, &body))
        .and_then(|checked| revision.clone().map(|_| checked));
    let write = write_of(&Method::PUT, revision.ok());
    let mut backend = app.backend();
    match checked {
        Ok(checked) => backend.write(write, &resource, Change::Put(checked)).map(status_code),
        Err(refusal) => {
            backend.reject(write, &resource, &refusal, form::read(&body));
            Err(refusal)
        }
    }
}

/// `DELETE` of any resource that can be deleted
pub(super) async fn delete(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let resource = form::resource(uri.path()).inspect_err(|it| count(&app, it, "DELETE"))?;
    let revision = required_revision(&headers);
    let write = write_of(&Method::DELETE, revision.clone().ok());
    let mut backend = app.backend();
    match revision {
        Ok(_) => backend.write(write, &resource, Change::Delete).map(status_code),
        Err(refusal) => {
            backend.reject(write, &resource, &refusal, None);
            Err(refusal)
        }
    }
}

/// What became of one item of a batch.
#[derive(Debug, Serialize)]
pub(super) struct ItemResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    status: u16,
    #[serde(flatten)]
    refusal: Option<Refusal>,
}

/// `POST /devices`: 201 with one result for a device that comes alone, 207 with one for each item of a list
pub(super) async fn post(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<serde_json::Value>), Refusal> {
    let of_header = revision(&headers);
    let items = json(&headers)
        .and(of_header.clone().map(drop))
        .and_then(|()| form::batch(&body))
        .inspect_err(|it| count(&app, it, "POST"))?;
    let of_header = of_header.unwrap_or_default();
    let alone = !body.trim_ascii_start().starts_with(b"[");
    let mut results = Vec::with_capacity(items.len());
    let mut backend = app.backend();
    for item in items {
        let (id, answer) = match item {
            Ok(upsert) => {
                let write = write_of(&Method::POST, upsert.revision.or(of_header));
                let resource = Resource::Device(upsert.id.clone());
                let change = Change::Put(upsert.checked);
                (Some(upsert.id.to_string()), backend.write(write, &resource, change))
            }
            Err(refusal) => {
                backend.count_rejected(&refusal, "POST");
                (None, Err(refusal))
            }
        };
        results.push(match answer {
            Ok(_) => ItemResult { id, status: 201, refusal: None },
            Err(refusal) if alone => return Err(refusal),
            Err(refusal) => ItemResult { id, status: refusal.status, refusal: Some(refusal) },
        });
    }
    let status = if alone { StatusCode::CREATED } else { StatusCode::MULTI_STATUS };
    Ok((status, Json(serde_json::json!({ "results": results }))))
}

/// What a list is asked for. An option without a value counts as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PageQuery {
    cursor: String,
    limit: String,
}

/// `GET` of a list
pub(super) async fn list(
    State(app): State<App>,
    uri: Uri,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Page>, Refusal> {
    let Query(query) = query.map_err(|it| Refusal::new(400, "bad_query", it.body_text()))?;
    let limit = match query.limit.as_str() {
        "" => Some(PAGE_ITEMS),
        text => text.parse().ok().filter(|it| (1..=PAGE_ITEMS_MAX).contains(it)),
    };
    let out_of_range = || Refusal::new(400, "bad_query", "limit must be from 1 to 1000");
    let limit = limit.ok_or_else(out_of_range)?;
    let cursor = Some(query.cursor.as_str()).filter(|it| !it.is_empty());
    let kind = match uri.path() {
        "/devices" => ResourceKind::Device,
        "/routers" => ResourceKind::Router,
        _ => ResourceKind::AgentPackage,
    };
    Ok(Json(app.backend().list(kind, cursor, limit)))
}

/// The revision that came with a request, if one did.
pub(super) fn revision(headers: &HeaderMap) -> Result<Option<Revision>, Refusal> {
    let Some(value) = headers.get(REVISION_HEADER) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|it| it.parse::<u64>().ok());
    let revision = number.and_then(|it| Revision::try_from(it).ok());
    let malformed = || Refusal::new(400, "bad_revision", "X-Revision must be a number below 2^53");
    revision.ok_or_else(malformed).map(Some)
}

/// A write that arrives now.
pub(super) fn write_of(method: &Method, revision: Option<Revision>) -> Write {
    let method = match *method {
        Method::DELETE => "DELETE",
        Method::POST => "POST",
        _ => "PUT",
    };
    Write { time: jiff::Timestamp::now().to_string(), method, revision }
}

fn required_revision(headers: &HeaderMap) -> Result<Revision, Refusal> {
    let missing = || Refusal::new(400, "missing_revision", "PUT and DELETE carry X-Revision");
    revision(headers)?.ok_or_else(missing)
}

fn json(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::new(415, "unsupported_media_type", "bodies are application/json"))
}

fn count(app: &App, refusal: &Refusal, method: &str) {
    app.backend().count_rejected(refusal, method);
}
