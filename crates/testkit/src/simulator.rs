//! What the simulated HomeSecure backend holds, and how it is told to misbehave.

use std::{sync::Once, time::Duration};

use anyhow::{Context, Result};
use reqwest::{Client, Method};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(15);
const PAGE: usize = 1_000;
/// What an expectation speaks of.
const KINDS: [&str; 4] = ["devices", "routers", "feature_flags", "system"];

static PROVIDER: Once = Once::new();

/// A client of the simulator's own paths, which no product code uses.
#[derive(Debug, Clone)]
pub struct Simulator {
    client: Client,
    base: String,
}

/// An HTTP client. It needs the process's one TLS provider even where no TLS is spoken.
pub(crate) fn http_client() -> Result<Client> {
    PROVIDER.call_once(|| {
        // Refused where the program has installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    Client::builder().timeout(PATIENCE).build().context("make an HTTP client")
}

impl Simulator {
    /// A client of the simulator at `address` (`host:port`).
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn at(address: &str) -> Result<Self> {
        Ok(Self { client: http_client()?, base: format!("http://{address}") })
    }

    /// Its base URL, which is also that of the HS Admin API.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// Everything that it holds: `{"devices":{id:…},"routers":{id:…},…}`, exactly as received.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn dump(&self) -> Result<Value> {
        self.call(Method::GET, "/sim/dump", None).await
    }

    /// What it holds of devices, routers, their flags and the documents of ISPs, in the form of an expectation.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn held(&self) -> Result<Value> {
        let mut held = self.dump().await?;
        if let Some(members) = held.as_object_mut() {
            members.retain(|kind, _| KINDS.contains(&kind.as_str()));
        }
        Ok(held)
    }

    /// How many writes it has done.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn writes(&self) -> Result<u64> {
        let writes = self.summary().await?["writes"].take();
        let of_methods = writes.as_object().into_iter().flatten();
        Ok(of_methods.filter_map(|(_, it)| it.as_u64()).sum())
    }

    /// A page of what it holds of `devices` or `routers`, in the order of their ids, and where the
    /// next one begins.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn page(&self, kind: &str, cursor: &str) -> Result<(Vec<Value>, Option<String>)> {
        let path = format!("/{kind}?limit={PAGE}&cursor={cursor}");
        let mut page = self.call(Method::GET, &path, None).await?;
        let next = page["next"].as_str().map(str::to_owned);
        let items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        Ok((items, next))
    }

    /// Counts of what it holds and of what it has seen.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn summary(&self) -> Result<Value> {
        self.call(Method::GET, "/sim/summary", None).await
    }

    /// One number of the summary; 0 where it has no such member.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn count(&self, member: &str) -> Result<u64> {
        Ok(self.summary().await?.get(member).and_then(Value::as_u64).unwrap_or(0))
    }

    /// The order of arrival at one resource; `kind` is `devices` or `routers`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn history(&self, kind: &str, id: &str) -> Result<Value> {
        self.call(Method::GET, &format!("/sim/{kind}/{id}/history"), None).await
    }

    /// Replaces its faults.
    ///
    /// # Errors
    /// When it refuses them.
    pub async fn faults(&self, faults: &Value) -> Result<()> {
        self.call(Method::PUT, "/sim/faults", Some(faults)).await.map(drop)
    }

    /// Lets a town live in it, in the place of the one there may be; answers the town in numbers.
    ///
    /// # Errors
    /// When it refuses the plan.
    pub async fn begin_town(&self, plan: &Value) -> Result<Value> {
        self.call(Method::PUT, "/sim/town", Some(plan)).await
    }

    /// The town in numbers.
    ///
    /// # Errors
    /// When it does not answer, or has none.
    pub async fn town(&self) -> Result<Value> {
        self.call(Method::GET, "/sim/town", None).await
    }

    /// Which agent package each router of the town runs: `{id: {"runs", "target", …}}`.
    ///
    /// # Errors
    /// When it does not answer, or has no town.
    pub async fn town_routers(&self) -> Result<Value> {
        self.call(Method::GET, "/sim/town/routers", None).await
    }

    /// Which devices of the town send, by the last that they have said of it: `{id: true | false}`.
    ///
    /// # Errors
    /// When it does not answer, or has no town.
    pub async fn town_active(&self) -> Result<Value> {
        self.call(Method::GET, "/sim/town/active", None).await
    }

    /// Ends the town; answers how it was at its end, null where there was none.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn end_town(&self) -> Result<Value> {
        self.call(Method::DELETE, "/sim/town", None).await
    }

    /// Lets it forget everything that it holds.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn forget(&self) -> Result<()> {
        self.call(Method::DELETE, "/sim", None).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let what = format!("{method} {path} of the simulator");
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| what.clone())?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| what.clone())?;
        anyhow::ensure!(status.is_success(), "{what}: {status} {text}");
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{what}: {text}"))
    }
}
