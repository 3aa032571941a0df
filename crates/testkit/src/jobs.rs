//! Jobs over REST: started, watched, steered and waited for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::{simulator::http_client, tokens::Issuer};

const ROOT: &str = "/subsystems/rs";
const AUDIENCE: &str = "rssync";
const SCOPES: &str = "sync:read sync:write";
const AGAIN: Duration = Duration::from_millis(250);
/// A stream of events that stays silent for so long is opened anew.
const SILENCE: Duration = Duration::from_secs(20);
/// States in which a job stays.
pub const TERMINAL: &[&str] = &["completed", "completed_with_failures", "cancelled", "failed"];

/// A client of rssync, as an operator or as somebody of an ISP.
#[derive(Debug, Clone)]
pub struct Jobs {
    client: Client,
    base: String,
    issuer: Arc<Issuer>,
    isp_id: Option<String>,
}

impl Jobs {
    /// An operator's client of the rssync at `address` (`host:port`).
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn at(address: &str, issuer: Arc<Issuer>) -> Result<Self> {
        let base = format!("http://{address}{ROOT}");
        Ok(Self { client: http_client()?, base, issuer, isp_id: None })
    }

    /// The same for somebody of this ISP.
    #[must_use]
    pub fn of_isp(mut self, isp_id: &str) -> Self {
        self.isp_id = Some(isp_id.to_owned());
        self
    }

    /// Starts a full sync and answers the job.
    ///
    /// # Errors
    /// When rssync does not take it.
    pub async fn start(&self, request: &Value) -> Result<Value> {
        let asked = self.request(Method::POST, "/full-sync")?.json(request);
        let answer = asked.header("prefer", "return=representation").send().await?;
        body(answer, StatusCode::ACCEPTED).await.context("start a full sync")
    }

    /// A job.
    ///
    /// # Errors
    /// When rssync does not answer, or does not know it.
    pub async fn get(&self, job_id: &str) -> Result<Value> {
        let answer = self.request(Method::GET, &format!("/jobs/{job_id}"))?.send().await?;
        body(answer, StatusCode::OK).await.with_context(|| format!("ask for the job {job_id}"))
    }

    /// Every job of the first page.
    ///
    /// # Errors
    /// When rssync does not answer.
    pub async fn list(&self) -> Result<Vec<Value>> {
        let answer = self.request(Method::GET, "/jobs")?.send().await?;
        let page = body(answer, StatusCode::OK).await.context("ask for the jobs")?;
        Ok(page["items"].as_array().cloned().unwrap_or_default())
    }

    /// What failed in a job, the first page.
    ///
    /// # Errors
    /// When rssync does not answer.
    pub async fn failures(&self, job_id: &str) -> Result<Value> {
        let path = format!("/jobs/{job_id}/failures");
        let answer = self.request(Method::GET, &path)?.send().await?;
        body(answer, StatusCode::OK).await.context("ask for the failures")
    }

    /// Tells a job to `cancel`, `pause`, `resume` or `redrive`.
    ///
    /// # Errors
    /// When rssync refuses.
    pub async fn tell(&self, job_id: &str, action: &str) -> Result<()> {
        let asked = self.request(Method::POST, &format!("/jobs/{job_id}"))?;
        let answer = asked.json(&json!({"action": action})).send().await?;
        let done = body(answer, StatusCode::NO_CONTENT).await;
        done.map(drop).with_context(|| format!("tell the job {job_id} to {action}"))
    }

    /// Waits until the job has ended, over crashes of rssync too; answers it as it ended.
    ///
    /// # Errors
    /// When it has not within `limit`.
    pub async fn ends(&self, job_id: &str, limit: Duration) -> Result<Value> {
        self.follow(job_id, limit, |_| {}).await
    }

    /// The same, with each change of the job shown to `see`.
    ///
    /// # Errors
    /// When it has not ended within `limit`.
    pub async fn follow(
        &self,
        job_id: &str,
        limit: Duration,
        mut see: impl FnMut(&Value),
    ) -> Result<Value> {
        let deadline = Instant::now() + limit;
        let mut last = Value::Null;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut take = |job: &Value| {
                see(job);
                last = job.clone();
                is_terminal(job)
            };
            let listened = tokio::time::timeout(left, self.listen(job_id, &mut take)).await;
            if is_terminal(&last) {
                return Ok(last);
            }
            if Instant::now() >= deadline {
                let why = match listened {
                    Ok(Err(error)) => format!("{error:#}"),
                    Ok(Ok(())) | Err(_) => String::new(),
                };
                bail!("the job has not ended after {} s: {last} {why}", limit.as_secs());
            }
            tokio::time::sleep(AGAIN).await;
            if let Ok(job) = self.get(job_id).await {
                see(&job);
                last = job;
                if is_terminal(&last) {
                    return Ok(last);
                }
            }
        }
    }

    /// Reads server-sent events until one ends the job or the stream breaks.
    async fn listen(&self, job_id: &str, take: &mut impl FnMut(&Value) -> bool) -> Result<()> {
        let asked = self.request(Method::GET, &format!("/jobs/{job_id}/events"))?;
        let mut answer = asked.timeout(Duration::from_secs(24 * 60 * 60)).send().await?;
        ensure!(answer.status().is_success(), "the events of the job: {}", answer.status());
        let mut text = Vec::new();
        loop {
            let chunk = tokio::time::timeout(SILENCE, answer.chunk()).await;
            let Some(chunk) = chunk.context("the events of the job are silent")?? else {
                return Ok(());
            };
            text.extend_from_slice(&chunk);
            while let Some(end) = text.iter().position(|it| *it == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                let Some(data) = line.strip_prefix(b"data:") else { continue };
                if take(&serde_json::from_slice(data).context("an event that is no JSON")?) {
                    return Ok(());
                }
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> Result<reqwest::RequestBuilder> {
        let token = match &self.isp_id {
            Some(isp_id) => self.issuer.of_isp(isp_id, AUDIENCE, SCOPES)?,
            None => self.issuer.operator(AUDIENCE, SCOPES)?,
        };
        Ok(self.client.request(method, format!("{}{path}", self.base)).bearer_auth(token))
    }
}

/// Whether a job has come to its end.
#[must_use]
pub fn is_terminal(job: &Value) -> bool {
    job["state"].as_str().is_some_and(|it| TERMINAL.contains(&it))
}

async fn body(answer: Response, wanted: StatusCode) -> Result<Value> {
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status == wanted, "{status} {text}");
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
}
