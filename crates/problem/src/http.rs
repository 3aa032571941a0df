//! A problem as an HTTP answer (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::{Kind, Member, Problem};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// When to come back where nothing better is known.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

impl Kind {
    /// The status of an answer. A foreign tenant's thing is not there.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::TenantMismatch => StatusCode::NOT_FOUND,
            Self::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What a router answers for every other path.
pub async fn no_such_path() -> Problem {
    Problem::new(Kind::NotFound, "there is no such path")
}

/// What a router answers for every other method of a path.
pub async fn no_such_method() -> Problem {
    Problem::new(Kind::NoSuchMethod, "the path has no such method")
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Member]>::is_empty")]
    errors: &'a [Member],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let told = match self.kind {
            // To say that it is another tenant's would say that it exists.
            Kind::TenantMismatch => Self::new(Kind::NotFound, Kind::NotFound.title()),
            Kind::Internal
            | Kind::Unavailable
            | Kind::Invalid
            | Kind::Unauthorized
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::NoSuchMethod
            | Kind::Conflict
            | Kind::PreconditionFailed
            | Kind::TooLarge => self.clone(),
        };
        if self.kind.is_ours() {
            tracing::error!(kind = ?self.kind, error = %self.detail, "request failed");
        } else if self.kind == Kind::TenantMismatch {
            tracing::warn!(kind = ?self.kind, error = %self.detail, "request refused");
        }
        let ours = told.kind.is_ours();
        let status = told.kind.status();
        let body = Body {
            r#type: told.kind.uri(),
            title: told.kind.title(),
            status: status.as_u16(),
            detail: (!ours).then_some(&*told.detail),
            errors: if ours { &[] } else { &told.errors },
        };
        let body = serde_json::to_vec(&body).expect("strings and numbers have a form in JSON");
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, MEDIA_TYPE);
        if told.kind == Kind::Unavailable {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn show(problem: Problem) -> String {
        let response = problem.into_response();
        let status = response.status().as_u16();
        let media_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        assert_eq!(media_type, "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20);
        let body = crate::json::tests::now(body).unwrap();
        format!("{status} {}", String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn every_kind_has_its_status_and_its_type() {
        let table: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| format!("{kind:?} {} {}", kind.status().as_u16(), kind.uri()))
            .collect();
        expect![[r#"
            Invalid 422 urn:routersecure:problem:invalid
            Unauthorized 401 urn:routersecure:problem:unauthorized
            Forbidden 403 urn:routersecure:problem:forbidden
            NotFound 404 urn:routersecure:problem:not-found
            NoSuchMethod 405 urn:routersecure:problem:no-such-method
            Conflict 409 urn:routersecure:problem:conflict
            PreconditionFailed 412 urn:routersecure:problem:precondition-failed
            TooLarge 413 urn:routersecure:problem:too-large
            TenantMismatch 404 urn:routersecure:problem:tenant-mismatch
            Unavailable 503 urn:routersecure:problem:unavailable
            Internal 500 urn:routersecure:problem:internal"#]]
        .assert_eq(&table.join("\n"));
    }

    #[test]
    fn a_caller_s_fault_is_told_with_its_members() {
        let problem = Problem::new(Kind::Invalid, "two members are wrong")
            .member("/name", "longer than 64")
            .member("/devices/0/mac", "not a MAC address");
        expect![[r#"422 {"type":"urn:routersecure:problem:invalid","title":"The input is not valid","status":422,"detail":"two members are wrong","errors":[{"pointer":"/name","detail":"longer than 64"},{"pointer":"/devices/0/mac","detail":"not a MAC address"}]}"#]].assert_eq(&show(problem));
    }

    #[test]
    fn a_fault_of_the_service_is_not_told() {
        let problem = Problem::internal("mongodb at 10.0.0.1 refused the password");
        expect![[r#"500 {"type":"urn:routersecure:problem:internal","title":"Internal error","status":500}"#]].assert_eq(&show(problem));
        let problem = Problem::new(Kind::Unavailable, "no broker at 10.0.0.2");
        expect![[r#"503 {"type":"urn:routersecure:problem:unavailable","title":"Not available now","status":503}"#]].assert_eq(&show(problem));
    }

    #[test]
    fn another_tenant_s_thing_looks_like_nothing() {
        let foreign = Problem::new(Kind::TenantMismatch, "account a-1 belongs to isp-2");
        let absent = Problem::new(Kind::NotFound, Kind::NotFound.title());
        assert_eq!(show(foreign), show(absent));
    }
}
