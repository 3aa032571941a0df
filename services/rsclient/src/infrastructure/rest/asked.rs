//! Who asks, about which ISP, and in which state: what a request says beside its body.

use auth::{Caller, RS_READ, RS_WRITE};
use axum::{
    extract::{FromRequestParts, Query},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use events::{IspId, Revision};
use openapi::schema;
use problem::{Json, Kind, Problem};
use serde::{Deserialize, Serialize};
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
        let expected = expected(&parts.headers).map_err(IntoResponse::into_response)?;
        Ok(Self(isp_id, expected))
    }
}

async fn permitted(parts: &mut Parts, served: &Served, scope: &str) -> Result<IspId, Response> {
    let caller = Caller::from_request_parts(parts, served).await;
    let caller = caller.map_err(IntoResponse::into_response)?;
    let isp_id = caller.require(scope).and_then(|()| isp_of(&caller, parts));
    isp_id.map_err(IntoResponse::into_response)
}

/// The ISP that a caller speaks for. Another one's looks as if it were not there.
fn isp_of(caller: &Caller, parts: &Parts) -> Result<IspId, Problem> {
    if parts.uri.query().is_some_and(|it| it.len() > QUERY_BYTES_MAX) {
        return Err(Problem::new(Kind::TooLarge, "the query is larger than the limit"));
    }
    let query = Query::<Named>::try_from_uri(&parts.uri);
    let Query(named) = query.map_err(|it| Problem::new(Kind::Invalid, it.body_text()))?;
    match (&caller.isp_id, named.isp_id) {
        (Some(own), None) => Ok(own.clone()),
        (None, None) => Err(Problem::new(Kind::Invalid, "isp_id must name the ISP")),
        (_, Some(named)) => {
            // What cannot be an ISP's name is the name of none.
            let none = |_| Problem::new(Kind::NotFound, Kind::NotFound.title());
            let named: IspId = named.parse().map_err(none)?;
            caller.tenant(&named)?;
            Ok(named)
        }
    }
}

/// What `If-Match` says (RFC 9110). A tag that is weak, or none of ours, is the tag of no state.
fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let mut tags = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let wrong = || Problem::new(Kind::Invalid, "If-Match must be * or a list of entity tags");
        let value = value.to_str().map_err(|_| wrong())?;
        for tag in value.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let strong = tag.strip_prefix("W/").unwrap_or(tag);
            let is_tag = strong.len() >= 2 && strong.starts_with('"') && strong.ends_with('"');
            if !is_tag && tag != "*" {
                return Err(wrong());
            }
            tags.push(tag);
        }
    }
    if !headers.contains_key(header::IF_MATCH) || tags.contains(&"*") {
        return Ok(Expected::Any);
    }
    let revision = |tag: &str| -> Option<Revision> {
        let number: u64 = tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?;
        number.try_into().ok()
    };
    Ok(Expected::OneOf(tags.into_iter().filter_map(revision).collect()))
}

/// A state with its tag.
pub(super) fn tagged(revision: Revision, state: &impl Serialize) -> Response {
    let mut response = Json(state).into_response();
    let tag = HeaderValue::try_from(format!("\"{revision}\"")).expect("digits make a header");
    response.headers_mut().insert(header::ETAG, tag);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(values: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for it in values {
            headers.append(header::IF_MATCH, HeaderValue::from_static(it));
        }
        match expected(&headers) {
            Ok(Expected::Any) => "any".to_owned(),
            Ok(Expected::OneOf(them)) => {
                format!("{:?}", them.iter().map(|it| it.get()).collect::<Vec<_>>())
            }
            Err(problem) => problem.detail().to_owned(),
        }
    }

    #[test]
    fn a_tag_stands_for_one_state() {
        assert_eq!(said(&[]), "any");
        assert_eq!(said(&["*"]), "any");
        assert_eq!(said(&["\"7\""]), "[7]");
        assert_eq!(said(&["\"7\", \"8\"", "\"9\""]), "[7, 8, 9]");
        assert_eq!(said(&["W/\"7\""]), "[]");
        assert_eq!(said(&["\"seven\""]), "[]");
        assert_eq!(said(&["\"99999999999999999999\""]), "[]");
        assert_eq!(said(&[""]), "[]");
        assert_eq!(said(&["7"]), "If-Match must be * or a list of entity tags");
    }
}
