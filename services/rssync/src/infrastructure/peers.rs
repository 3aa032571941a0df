//! What rsclient and rsagents tell about the failures that they keep.

use std::time::Duration;

use anyhow::Context as _;
use auth::{Grant, INTERNAL, Signer};
use events::{HttpUrl, JobId};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::{SERVICE, settings::PeerSettings};

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A cheap handle to the services that keep failures.
#[derive(Clone, Debug)]
pub struct Peers {
    client: reqwest::Client,
    signer: Signer,
    rsclient: Url,
    rsagents: Url,
}

/// A service that keeps failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The devices' and the system documents'.
    RsClient,
    /// The agent packages'.
    RsAgents,
}

/// One page of failures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct FailurePage {
    /// How many there are of each class, over all pages.
    pub classes: Vec<FailureClass>,
    /// The page.
    pub items: Vec<FailedItem>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// How many failures there are of one class.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct FailureClass {
    /// The class: a status of HTTP, or a word.
    pub class: String,
    /// How many.
    pub count: u64,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct FailedItem {
    /// The task that it was part of.
    pub task: String,
    /// What it is.
    pub key: String,
    /// The class.
    pub class: String,
    /// In words.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed last.
    pub at: String,
}

/// Which failures are asked for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Of one class alone.
    pub class: Option<&'a str>,
    /// Most items of the page.
    pub limit: u32,
    /// Where the page begins.
    pub cursor: Option<&'a str>,
}

impl Peers {
    /// A client of both services.
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(settings: &PeerSettings, signer: Signer) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(settings.timeout_seconds))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("peers: no client of HTTP")?;
        let url = |it: &HttpUrl| it.as_str().parse().context("peers: no address");
        let (rsclient, rsagents) = (url(&settings.rsclient_url)?, url(&settings.rsagents_url)?);
        Ok(Self { client, signer, rsclient, rsagents })
    }

    /// One page of what failed in a job. A job that the service does not know has no failures there.
    ///
    /// # Errors
    /// It does not answer, or not as agreed.
    pub async fn failures(
        &self,
        peer: Peer,
        job_id: &JobId,
        wanted: &Wanted<'_>,
    ) -> anyhow::Result<FailurePage> {
        let (base, audience) = match peer {
            Peer::RsClient => (&self.rsclient, "rsclient"),
            Peer::RsAgents => (&self.rsagents, "rsagents"),
        };
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("the address of {audience} has no path"))?
            .pop_if_empty()
            .extend(["tasks", job_id.as_str(), "failures"]);
        url.query_pairs_mut().append_pair("limit", &wanted.limit.to_string());
        for (name, value) in [("class", wanted.class), ("cursor", wanted.cursor)] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let scopes = &[INTERNAL];
        let token =
            self.signer.token(&Grant { audience, subject: SERVICE, isp_id: None, scopes })?;
        let asked = self.client.get(url).bearer_auth(token).send().await;
        let mut answer = asked.with_context(|| format!("{audience} does not answer"))?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(FailurePage::default());
        }
        anyhow::ensure!(
            answer.status().is_success(),
            "{audience} answers {} when it is asked for failures",
            answer.status(),
        );
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.context("an answer that breaks off")? {
            anyhow::ensure!(
                body.len() + chunk.len() <= ANSWER_BYTES_MAX,
                "{audience} answers more than a page of failures",
            );
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body)
            .with_context(|| format!("{audience} answers something else than a page of failures"))
    }
}
