//! The REST face of the service under test, called over a socket as anybody would.

use std::fmt::Write as _;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use testkit::tokens::Issuer;

use crate::service::{LIMIT, Service};

/// What the tests' tokens grant where a test does not say otherwise.
pub(crate) const BOTH: &str = "rs:read rs:write";
/// Where packages are.
pub(crate) const PATH: &str = "/router_agent_packages";

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) body: Value,
}

/// A package that `maker` has signed.
pub(crate) fn package(maker: &Issuer, version: &str) -> Value {
    let sha256 = "0123456789abcdef".repeat(4);
    let text = format!("routersecure agent package\n{version}\n{sha256}\n1048576\n");
    json!({
        "version": version, "models": ["hg-8000"], "url": "https://example.org/p",
        "sha256": sha256, "size_bytes": 1_048_576,
        "signature": maker.signature(text.as_bytes()).unwrap(),
    })
}

impl Service {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let client = Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        client.request(method, format!("http://{}{path}", self.address()))
    }

    /// Asks as the ISP of the test.
    pub(crate) fn as_isp(&self, method: Method, path: &str) -> RequestBuilder {
        let token = self.shared.issuers.gateway.of_isp(&self.isp, "rsagents", BOTH).unwrap();
        self.request(method, path).bearer_auth(token)
    }

    /// Asks as an operator.
    pub(crate) fn as_operator(&self, method: Method, path: &str) -> RequestBuilder {
        let token = self.shared.issuers.operators.operator("rsagents", BOTH).unwrap();
        self.request(method, path).bearer_auth(token)
    }

    /// A package that can be made.
    pub(crate) fn package(&self, version: &str) -> Value {
        package(&self.shared.issuers.maker, version)
    }

    /// Where the package of this name is.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{PATH}/{}", self.id(name))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.as_isp(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.as_isp(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.as_isp(Method::PUT, path).json(body)).await
    }

    pub(crate) async fn delete(&self, name: &str) -> Answer {
        Answer::of(self.as_isp(Method::DELETE, &self.path(name))).await
    }

    /// Changes a package where it is in this state, if one is named.
    pub(crate) async fn patch(&self, name: &str, body: &Value, tag: Option<&str>) -> Answer {
        let request = self.as_isp(Method::PATCH, &self.path(name)).json(body);
        Answer::of(tag.into_iter().fold(request, |it, tag| it.header("if-match", tag))).await
    }

    /// Makes a package of a name, in this state.
    pub(crate) async fn make(&self, name: &str, state: &str) -> Answer {
        let mut body = self.package("4.2.0");
        body["state"] = json!(state);
        let answer = self.post(&self.path(name), &body).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.body);
        answer
    }

    /// Makes a released package and waits until routers may be pointed at it.
    pub(crate) async fn release(&self, name: &str) {
        self.make(name, "released").await;
        self.becomes(name, |it| it["listed"] == true).await;
    }

    /// Waits until a package is as wanted.
    pub(crate) async fn becomes(&self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        let look = async || {
            let answer = self.get(&self.path(name)).await;
            (answer.status == 200 && is(&answer.body)).then_some(answer.body)
        };
        testkit::eventually(&format!("{name} is as wanted"), LIMIT, look).await
    }
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    async fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let (etag, location) = (header("etag"), header("location"));
        if status >= 400 {
            assert_eq!(header("content-type").as_deref(), Some("application/problem+json"));
        }
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, etag, location, body }
    }

    /// The status, and what a problem says of each member.
    pub(crate) fn lines(&self) -> String {
        let detail = self.body["detail"].as_str().unwrap_or_default();
        let mut lines = format!("{} {detail}", self.status).trim().to_owned();
        for it in self.body["errors"].as_array().into_iter().flatten() {
            let word = |name: &str| it[name].as_str().unwrap();
            write!(lines, "\n{} {}", word("pointer"), word("detail")).unwrap();
        }
        lines
    }
}
