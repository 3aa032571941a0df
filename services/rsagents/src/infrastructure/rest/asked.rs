//! Who asks, about what, and in which state: what a request says beside its body.

use auth::{Caller, RS_READ, RS_WRITE};
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use events::{AgentPackageId, IspId};
use problem::{Expected, Kind, Problem};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{app::App, application::Failure};

/// Longest text of a query.
const QUERY_BYTES_MAX: usize = 1_024;

/// Somebody who may read.
#[derive(Debug)]
pub(super) struct Reads(pub(super) Caller);

/// Somebody who may write, and in which state of what is written.
#[derive(Debug)]
pub(super) struct Writes(pub(super) Caller, pub(super) Expected);

/// The package of a path. What cannot be a package's name is the name of none.
#[derive(Debug)]
pub(super) struct PackageOfPath(pub(super) AgentPackageId);

/// A query of which every mistake becomes a problem.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

/// Whose things are meant. An ISP need not say so; an operator does where nothing else tells.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OfIsp {
    isp_id: Option<String>,
}

impl OfIsp {
    /// The ISP that the caller speaks for.
    pub(super) fn spoken_for(&self, caller: &Caller) -> Result<IspId, Problem> {
        caller.speaks_for(self.isp_id.as_deref())
    }

    /// The same where a package tells whose it is: an operator need not.
    pub(super) fn named(&self, caller: &Caller) -> Result<Option<IspId>, Problem> {
        match caller.is_operator() && self.isp_id.is_none() {
            true => Ok(None),
            false => self.spoken_for(caller).map(Some),
        }
    }
}

impl FromRequestParts<App> for Reads {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        permitted(parts, app, RS_READ).await.map(Self)
    }
}

impl FromRequestParts<App> for Writes {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let caller = permitted(parts, app, RS_WRITE).await?;
        let expected = Expected::of(&parts.headers).map_err(IntoResponse::into_response)?;
        Ok(Self(caller, expected))
    }
}

async fn permitted(parts: &mut Parts, app: &App, scope: &str) -> Result<Caller, Response> {
    let caller = Caller::from_request_parts(parts, app).await;
    let caller = caller.map_err(IntoResponse::into_response)?;
    caller.require(scope).map_err(IntoResponse::into_response)?;
    Ok(caller)
}

impl<S: Send + Sync> FromRequestParts<S> for PackageOfPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        // However it is encoded, that is the path of the defaults.
        let id = path.ok().map(|it| it.0).filter(|it| it != "default");
        let id = id.and_then(|it| it.parse().ok());
        id.map(Self).ok_or_else(|| Failure::NoSuch(Vec::new()).problem())
    }
}

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
