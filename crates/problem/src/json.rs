//! A JSON body of which every mistake becomes a [`Problem`].

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Kind, Problem};

/// A JSON body, in and out. Unknown members are refused by a `T` that denies unknown fields.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Kind::Invalid, "the content-type must be application/json"));
        }
        let bytes = axum::body::Bytes::from_request(request, state).await.map_err(unread)?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| malformed(&error))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|it| it.split(';').next()).unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().ends_with("+json")
}

fn unread(rejection: BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(Kind::TooLarge, "the body is larger than the limit");
    }
    Problem::new(Kind::Invalid, "the body could not be read to its end")
}

fn malformed(error: &serde_json::Error) -> Problem {
    if error.is_syntax() || error.is_eof() {
        let (line, column) = (error.line(), error.column());
        let detail = format!("the body is not JSON at line {line}, column {column}");
        return Problem::new(Kind::Invalid, detail);
    }
    Problem::new(Kind::Invalid, error.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use axum::body::Body;
    use axum::extract::DefaultBodyLimit;
    use axum::http::Request;
    use expect_test::expect;
    use serde::Deserialize;

    use super::*;

    /// The value of a future that waits for nothing.
    pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("the future waits"),
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Account {
        #[expect(dead_code, reason = "shown by Debug")]
        name: String,
    }

    fn read(media_type: &str, body: &str) -> String {
        let mut request = Request::builder()
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(body.to_owned()))
            .unwrap();
        DefaultBodyLimit::max(40).apply(&mut request);
        match now(Json::<Account>::from_request(request, &())) {
            Ok(Json(account)) => format!("{account:?}"),
            Err(problem) => format!("{} {problem}", problem.kind().status().as_u16()),
        }
    }

    #[test]
    fn each_mistake_in_a_body_has_its_sentence() {
        let json = "application/json";
        let answers = [
            read("application/json; charset=utf-8", r#"{"name":"Ada"}"#),
            read(json, r#"{"name":"Ada","age":3}"#),
            read(json, r#"{}"#),
            read(json, r#"{"name":1}"#),
            read(json, r#"{"name":"#),
            read(json, r#"{"name":"Ada"} x"#),
            read(json, &format!(r#"{{"name":"{}"}}"#, "a".repeat(40))),
            read("text/plain", r#"{"name":"Ada"}"#),
        ];
        expect![[r#"
            Account { name: "Ada" }
            422 The input is not valid: unknown field `age`, expected `name` at line 1 column 19
            422 The input is not valid: missing field `name` at line 1 column 2
            422 The input is not valid: invalid type: integer `1`, expected a string at line 1 column 9
            422 The input is not valid: the body is not JSON at line 1, column 8
            422 The input is not valid: the body is not JSON at line 1, column 16
            413 Too large: the body is larger than the limit
            422 The input is not valid: the content-type must be application/json"#]].assert_eq(&answers.join("\n"));
    }
}
