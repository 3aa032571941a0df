//! rsclient, which knows who uses a package.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use auth::{Grant, INTERNAL, Signer};
use events::AgentPackageId;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::{SERVICE, settings::PeerSettings};

/// The service that is asked, which is the audience of the tokens.
const CLIENT: &str = "rsclient";
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A cheap handle to rsclient.
#[derive(Clone, Debug)]
pub struct RsClient {
    client: reqwest::Client,
    signer: Signer,
    base: Url,
}

/// What rsclient says to a package's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum References {
    /// Nobody uses it, and nobody will.
    None,
    /// Somebody uses it; the sentence says who.
    Held(String),
}

/// A problem (RFC 9457), as far as it is passed on.
#[derive(Deserialize)]
struct Refusal {
    detail: Option<String>,
}

impl RsClient {
    /// A client of rsclient.
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(settings: &PeerSettings, signer: Signer) -> anyhow::Result<Self> {
        chassis::tls::install_provider();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(settings.timeout_seconds))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("peers: no client of HTTP")?;
        let base = settings.rsclient_url.as_str().parse().context("peers: no address")?;
        Ok(Self { client, signer, base })
    }

    /// `DELETE /router_agent_packages/references/{agent_package_id}`: has nobody start to use a package any more, for
    /// good, unless somebody uses it.
    ///
    /// # Errors
    /// rsclient does not answer, or not as agreed: it may have done it or not.
    pub async fn release(&self, id: &AgentPackageId) -> anyhow::Result<References> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("the address of {CLIENT} has no path"))?
            .pop_if_empty()
            .extend(["router_agent_packages", "references", id.as_str()]);
        let grant = Grant { audience: CLIENT, subject: SERVICE, isp_id: None, scopes: &[INTERNAL] };
        let asked = self.client.delete(url).bearer_auth(self.signer.token(&grant)?).send().await;
        let answer = asked.with_context(|| format!("{CLIENT} does not answer"))?;
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(References::None),
            StatusCode::CONFLICT => Ok(References::Held(who(answer).await?)),
            status => bail!("{CLIENT} answers {status} when it is asked to release a package"),
        }
    }
}

async fn who(mut answer: Response) -> anyhow::Result<String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("an answer that breaks off")? {
        ensure!(
            body.len() + chunk.len() <= ANSWER_BYTES_MAX,
            "{CLIENT} answers more than a problem"
        );
        body.extend_from_slice(&chunk);
    }
    let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
    Ok(refusal.and_then(|it| it.detail).unwrap_or_else(|| "the package is used".to_owned()))
}
