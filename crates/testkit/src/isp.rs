//! What an ISP sets and asks over the REST APIs of the services.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::{simulator::http_client, tokens::Issuer};

const SCOPES: &str = "rs:read rs:write";
const AGAIN: Duration = Duration::from_millis(100);

/// Somebody of an ISP, who talks to any instance of a service.
#[derive(Debug, Clone)]
pub struct Isp {
    client: Client,
    service: &'static str,
    bases: Vec<String>,
    issuer: Arc<Issuer>,
    isp_id: String,
}

/// An answer, whatever it says.
type Answer = (StatusCode, String);

impl Isp {
    /// Somebody of this ISP. The instances of the service are at `addresses` (`host:port`).
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn of(
        isp_id: &str,
        service: &'static str,
        addresses: &[String],
        issuer: Arc<Issuer>,
    ) -> Result<Self> {
        let bases = addresses.iter().map(|it| format!("http://{it}")).collect();
        Ok(Self { client: http_client()?, service, bases, issuer, isp_id: isp_id.to_owned() })
    }

    /// The ISP.
    #[must_use]
    pub fn isp_id(&self) -> &str {
        &self.isp_id
    }

    /// What is held at a path.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.send(0, Method::GET, path, None).await?;
        held(answer).with_context(|| format!("GET {path}"))
    }

    /// Sets what is held at a path, and answers what is held then.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send(0, Method::PUT, path, Some(body)).await?;
        held(answer).with_context(|| format!("PUT {path}"))
    }

    /// Asks for something to be done, and answers what is said of it: null where that is nothing.
    ///
    /// # Errors
    /// When the answer is no success.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send(0, Method::POST, path, Some(body)).await?;
        held(answer).with_context(|| format!("POST {path}"))
    }

    /// The same as [`Self::put`] over crashes: what was not answered, or was answered with a fault of the server, is
    /// asked again, also of the other instances.
    ///
    /// # Errors
    /// When it is refused, or nobody has done it within `limit`.
    pub async fn put_at_last(&self, path: &str, body: &Value, limit: Duration) -> Result<Value> {
        let deadline = Instant::now() + limit;
        let mut turn = 0;
        loop {
            let answer = self.send(turn, Method::PUT, path, Some(body)).await;
            let failed = answer.as_ref().map_or(true, |it| it.0.is_server_error());
            if !failed || Instant::now() >= deadline {
                return answer.and_then(held).with_context(|| format!("PUT {path}"));
            }
            turn += 1;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// A request as this ISP, to be sent as the caller likes.
    ///
    /// # Errors
    /// When its token cannot be signed.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        self.request_to(0, method, path)
    }

    fn request_to(&self, turn: usize, method: Method, path: &str) -> Result<RequestBuilder> {
        let base = &self.bases[turn % self.bases.len()];
        let token = self.issuer.of_isp(&self.isp_id, self.service, SCOPES)?;
        Ok(self.client.request(method, format!("{base}{path}")).bearer_auth(token))
    }

    async fn send(
        &self,
        turn: usize,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = self.request_to(turn, method, path)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        Ok((answer.status(), answer.text().await?))
    }
}

fn held((status, text): Answer) -> Result<Value> {
    ensure!(status.is_success(), "{status} {text}");
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
}
