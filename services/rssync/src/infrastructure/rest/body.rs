//! What callers send, read strictly: a member that nobody knows is refused.

use std::fmt;

use auth::{Caller, SYNC_WRITE};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use events::{AccountId, IspId, JobId, SyncMode, SyncScope, Text};
use openapi::schema;
use problem::{Json, Kind, Problem};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::ToSchema;

use crate::{
    app::App, application::Action, domain::OnRunning, domain::Start, settings::JobSettings,
};

/// Items of a page where the caller does not say how many.
const PAGE_ITEMS: u32 = 50;
/// The most that a caller may say.
const PAGE_ITEMS_MAX: u32 = 500;
/// Longest text of a query.
const QUERY_BYTES_MAX: usize = 1_024;

/// Somebody who may start and steer jobs; others are told so before their bodies are looked at.
pub(super) struct Steers(pub(super) Caller);

impl FromRequestParts<App> for Steers {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let caller = Caller::from_request_parts(parts, app).await;
        let caller = caller.map_err(IntoResponse::into_response)?;
        caller.require(SYNC_WRITE).map_err(IntoResponse::into_response)?;
        Ok(Self(caller))
    }
}

/// The body of `POST /subsystems/rs/full-sync`.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StartBody {
    /// Which homes; without it, all that the caller may reach.
    #[serde(deserialize_with = "object")]
    scope: ScopeBody,
    /// What is sent; without it, everything.
    #[schema(value_type = Option<schema::SyncMode>)]
    mode: Option<SyncMode>,
    /// Most devices that are open at a time.
    #[schema(minimum = 1, maximum = 4000)]
    window: Option<u32>,
    /// Most devices per second; without it, as many as are taken.
    #[schema(minimum = 1)]
    rate_per_s: Option<u32>,
    /// What happens where one of the same scope runs; without it, that one is returned.
    on_running: Option<OnRunningBody>,
}

#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct ScopeBody {
    /// One ISP.
    #[schema(value_type = Option<schema::Id>)]
    isp_id: Option<IspId>,
    /// One account.
    #[schema(value_type = Option<schema::Id>)]
    account_id: Option<AccountId>,
    /// Routers of one model.
    #[schema(value_type = Option<schema::Text>)]
    model: Option<Text>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum OnRunningBody {
    Return,
    Reject,
    Replace,
}

/// The body of `POST /subsystems/rs/jobs/{job_id}`.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SteerBody {
    action: ActionBody,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ActionBody {
    Cancel,
    Pause,
    Resume,
    Redrive,
}

/// Reads a nested object; a list would be taken for its members in their order.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ScopeBody, D::Error> {
    struct Object;

    impl<'de> Visitor<'de> for Object {
        type Value = ScopeBody;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<ScopeBody, A::Error> {
            ScopeBody::deserialize(MapAccessDeserializer::new(members))
        }
    }

    deserializer.deserialize_any(Object)
}

impl StartBody {
    /// What is asked for, within the limits of the service.
    pub(super) fn start(self, limits: &JobSettings) -> Result<Start, Problem> {
        let window = self.window.unwrap_or(limits.window_default.min(limits.window_max));
        let invalid = || Problem::new(Kind::Invalid, "a member is out of its range");
        if !(1..=limits.window_max).contains(&window) {
            let range = format!("must be from 1 to {}", limits.window_max);
            return Err(invalid().member("/window", range));
        }
        if self.rate_per_s == Some(0) {
            return Err(invalid().member("/rate_per_s", "must be at least 1"));
        }
        let ScopeBody { isp_id, account_id, model } = self.scope;
        Ok(Start {
            scope: SyncScope { isp_id, account_id, model },
            mode: self.mode.unwrap_or(SyncMode::Force),
            window,
            rate_per_s: self.rate_per_s,
            on_running: match self.on_running {
                None | Some(OnRunningBody::Return) => OnRunning::Return,
                Some(OnRunningBody::Reject) => OnRunning::Reject,
                Some(OnRunningBody::Replace) => OnRunning::Replace,
            },
        })
    }
}

impl Default for SteerBody {
    /// An empty body means what the documents mean.
    fn default() -> Self {
        Self { action: ActionBody::Cancel }
    }
}

impl SteerBody {
    pub(super) fn action(self) -> Action {
        match self.action {
            ActionBody::Cancel => Action::Cancel,
            ActionBody::Pause => Action::Pause,
            ActionBody::Resume => Action::Resume,
            ActionBody::Redrive => Action::Redrive,
        }
    }
}

/// A JSON body that may be left out as a whole.
#[derive(Debug)]
pub(super) struct OrEmpty<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OrEmpty<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| {
                match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => {
                        Problem::new(Kind::TooLarge, "the body is larger than the limit")
                    }
                    _ => Problem::new(Kind::Invalid, "the body could not be read to its end"),
                }
            })?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        // A list would be taken for the members in their order.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(Problem::new(Kind::Invalid, "the body must be a JSON object"));
        }
        let whole = Request::from_parts(parts, bytes.into());
        let Json(it) = Json::<T>::from_request(whole, state).await?;
        Ok(Self(it))
    }
}

/// The job of a path. What cannot be a job's name is the name of none.
#[derive(Debug)]
pub(super) struct JobOfPath(pub(super) JobId);

impl<S: Send + Sync> FromRequestParts<S> for JobOfPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|it| it.0.parse().ok());
        id.map(Self).ok_or_else(|| Problem::new(Kind::NotFound, Kind::NotFound.title()))
    }
}

/// Which page of a list is asked for. An option without a value counts as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PageQuery {
    pub(super) cursor: String,
    limit: String,
}

/// Which failures are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FailureQuery {
    pub(super) class: String,
    pub(super) cursor: String,
    limit: String,
}

impl PageQuery {
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        limit(&self.limit)
    }
}

impl FailureQuery {
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        limit(&self.limit)
    }
}

fn limit(text: &str) -> Result<u32, Problem> {
    if text.is_empty() {
        return Ok(PAGE_ITEMS);
    }
    let limit = text.parse().ok().filter(|it| (1..=PAGE_ITEMS_MAX).contains(it));
    let detail = || format!("limit must be from 1 to {PAGE_ITEMS_MAX}");
    limit.ok_or_else(|| Problem::new(Kind::Invalid, detail()))
}

/// A query of which every mistake becomes a problem.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(|it| it.len() > QUERY_BYTES_MAX) {
            return Err(Problem::new(Kind::TooLarge, "the query is larger than the limit"));
        }
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(it) = query.map_err(|it| Problem::new(Kind::Invalid, it.body_text()))?;
        Ok(Self(it))
    }
}

/// Whether the caller wants to see what was made (RFC 7240).
pub(super) fn wants_representation(headers: &axum::http::HeaderMap) -> bool {
    let values = headers.get_all(header::HeaderName::from_static("prefer")).iter();
    let mut preferences =
        values.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(&[',', ';'][..]));
    preferences.any(|it| {
        let mut parts = it.split('=').map(str::trim);
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        name.eq_ignore_ascii_case("return") && value.trim_matches('"') == "representation"
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn a_preference_is_found_among_others() {
        let wants = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(value));
            wants_representation(&headers)
        };
        assert!(wants("return=representation"));
        assert!(wants("respond-async, return = \"representation\"; x=1"));
        assert!(!wants("return=minimal"));
        assert!(!wants_representation(&HeaderMap::new()));
    }
}
