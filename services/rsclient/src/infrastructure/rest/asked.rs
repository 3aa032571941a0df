//! Who asks, about which ISP, and in which state: what a request says beside its body.

use auth::{Caller, RS_READ, RS_WRITE};
use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use events::IspId;
use openapi::schema;
pub(super) use problem::tagged;
use problem::{Kind, Problem};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use super::Served;
use crate::domain::Expected;

/// Longest text of a query.
const QUERY_BYTES_MAX: usize = 1_024;

/// What `If-Match` is for.
pub(super) const IF_MATCH: &str =
    "The tag of the state that is to be changed; any other is left as it is (RFC 9110).";

/// Of which ISP somebody may read.
#[derive(Debug)]
pub(super) struct Reads(pub(super) IspId);

/// For which ISP somebody may write, and in which state of what is written.
#[derive(Debug)]
pub(super) struct Writes(pub(super) IspId, pub(super) Expected);

/// An operator names the ISP; an ISP is itself.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// Operators name the ISP; any other than a caller's own is unknown.
    #[param(value_type = Option<schema::Id>)]
    isp_id: Option<String>,
}

impl FromRequestParts<Served> for Reads {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Response> {
        Ok(Self(permitted(parts, served, RS_READ).await?))
    }
}

impl FromRequestParts<Served> for Writes {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Response> {
        let isp_id = permitted(parts, served, RS_WRITE).await?;
        let expected = Expected::of(&parts.headers).map_err(IntoResponse::into_response)?;
        Ok(Self(isp_id, expected))
    }
}

async fn permitted(parts: &mut Parts, served: &Served, scope: &str) -> Result<IspId, Response> {
    let (caller, named): (_, Named) = asks(parts, served, scope).await?;
    caller.speaks_for(named.isp_id.as_deref()).map_err(IntoResponse::into_response)
}

/// Who asks, and what the query says, where the caller may do what `scope` stands for.
pub(super) async fn asks<Q: DeserializeOwned>(
    parts: &mut Parts,
    served: &Served,
    scope: &str,
) -> Result<(Caller, Q), Response> {
    let caller = Caller::from_request_parts(parts, served).await;
    let caller = caller.map_err(IntoResponse::into_response)?;
    let query = caller.require(scope).and_then(|()| query(parts));
    Ok((caller, query.map_err(IntoResponse::into_response)?))
}

fn query<Q: DeserializeOwned>(parts: &Parts) -> Result<Q, Problem> {
    if parts.uri.query().is_some_and(|it| it.len() > QUERY_BYTES_MAX) {
        return Err(Problem::new(Kind::TooLarge, "the query is larger than the limit"));
    }
    let query = Query::<Q>::try_from_uri(&parts.uri);
    query.map(|it| it.0).map_err(|it| Problem::new(Kind::Invalid, it.body_text()))
}

impl From<Option<String>> for Named {
    fn from(isp_id: Option<String>) -> Self {
        Self { isp_id }
    }
}

impl Named {
    /// The ISP that is named, where a caller may name it.
    pub(super) fn of(self, caller: &Caller) -> Result<Option<IspId>, Problem> {
        let named = self.isp_id.map(|it| caller.speaks_for(Some(&it)));
        named.transpose()
    }
}
