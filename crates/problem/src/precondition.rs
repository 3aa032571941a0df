//! In which state somebody wants to change something, and which state an answer shows (RFC 9110): a revision is a tag.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use events::Revision;
use serde::Serialize;

use crate::{Json, Kind, Problem};

/// Which state somebody wants to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever there is.
    Any,
    /// One of these revisions.
    OneOf(Vec<Revision>),
}

impl Expected {
    /// What `If-Match` says. A tag that is weak, or none of ours, is the tag of no state.
    ///
    /// # Errors
    /// A problem of the kind [`Kind::Invalid`]: it is no list of tags.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut tags = Vec::new();
        for value in headers.get_all(header::IF_MATCH) {
            let wrong =
                || Problem::new(Kind::Invalid, "If-Match must be * or a list of entity tags");
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
            return Ok(Self::Any);
        }
        let revision = |tag: &str| -> Option<Revision> {
            let text = tag.strip_prefix('"')?.strip_suffix('"')?;
            let number: u64 = text.parse().ok()?;
            // Tags are compared by their characters: of a number there is one way to write it.
            number.try_into().ok().filter(|_| number.to_string() == text)
        };
        Ok(Self::OneOf(tags.into_iter().filter_map(revision).collect()))
    }

    /// Whether a state of this revision is meant.
    pub fn allows(&self, revision: Revision) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revisions) => revisions.contains(&revision),
        }
    }
}

/// A state with its tag.
pub fn tagged(revision: Revision, state: &impl Serialize) -> Response {
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
        match Expected::of(&headers) {
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
        for none_of_ours in ["\"seven\"", "\"+7\"", "\"07\"", "\"\""] {
            assert_eq!(said(&[none_of_ours]), "[]");
        }
        assert_eq!(said(&["\"99999999999999999999\""]), "[]");
        assert_eq!(said(&[""]), "[]");
        assert_eq!(said(&["7"]), "If-Match must be * or a list of entity tags");
    }

    #[test]
    fn only_the_states_that_are_meant_are_changed() {
        let revision = |it: u64| Revision::try_from(it).unwrap();
        let two = Expected::OneOf(vec![revision(7), revision(8)]);
        assert!(two.allows(revision(8)) && !two.allows(revision(9)));
        assert!(Expected::Any.allows(revision(9)));
        assert!(!Expected::OneOf(Vec::new()).allows(revision(0)));
    }
}
