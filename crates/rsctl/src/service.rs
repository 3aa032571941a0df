//! The client of a service of the fleet: one request, one answer, in time.

mod credentials;
mod refusal;
mod server;

use std::{error::Error, fs, time::Duration};

use anyhow::{Context as _, Result};
use reqwest::{
    Certificate, Client, Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION},
    redirect::Policy,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use self::credentials::{Credentials, Rights};
pub(crate) use self::server::Address;
pub use self::{
    refusal::{Cause, Refusal},
    server::Caller,
};
use crate::Usage;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// It has the jobs.
    Rssync,
    /// It has the homes and the rollouts.
    Rsclient,
}

impl Whom {
    /// Its name, which its tokens are for.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rssync => "rssync",
            Self::Rsclient => "rsclient",
        }
    }

    /// Where everything lies that is asked for.
    fn root(self) -> &'static [&'static str] {
        match self {
            Self::Rssync => &["subsystems", "rs"],
            Self::Rsclient => &[],
        }
    }
}

/// A service, as these credentials see it.
pub(crate) struct Service {
    whom: Whom,
    client: Client,
    base: Url,
    credentials: Credentials,
    timeout: Duration,
}

/// An answer that is a success.
pub(crate) struct Answer {
    whom: Whom,
    pub(crate) status: StatusCode,
    /// Where what was made can be found.
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Service {
    pub(crate) fn connect(whom: Whom, address: &Address, caller: &Caller) -> Result<Self> {
        chassis::tls::install_provider();
        let mut builder = Client::builder()
            .connect_timeout(caller.timeout())
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only();
        if let Some(path) = &caller.ca {
            let wrong = |why: String| Usage(format!("{}: {why}", path.display()));
            let pem = fs::read(path).map_err(|err| wrong(err.to_string()))?;
            let found = Certificate::from_pem_bundle(&pem).map_err(|err| wrong(err.to_string()))?;
            if found.is_empty() {
                return Err(wrong("no certificate in it".to_owned()).into());
            }
            builder = builder.tls_certs_only(found);
        }
        Ok(Self {
            whom,
            client: builder.build().context("make a client")?,
            base: address.0.clone(),
            credentials: Credentials::read(whom, caller)?,
            timeout: caller.timeout(),
        })
    }

    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks for what lies at `path`.
    pub(crate) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer> {
        let request = self.request(Method::GET, path, query, Rights::Read)?;
        Ok(self.answer(request).await?)
    }

    /// Sends `body` to `path`.
    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> Result<Answer> {
        self.post_about(path, &[], body).await
    }

    /// Sends `body` to `path`, with a query that says about whom.
    pub(crate) async fn post_about(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body: &Value,
    ) -> Result<Answer> {
        let request = self.request(Method::POST, path, query, Rights::Write)?;
        let request = request.header(CONTENT_TYPE, "application/json");
        // The answer is to say what was started.
        let request = request.header("prefer", "return=representation").body(body.to_string());
        Ok(self.answer(request).await?)
    }

    /// Opens a stream of events; what comes of it has no limit of time.
    pub(crate) async fn open(&self, path: &[&str]) -> Result<Response> {
        let request = self.request(Method::GET, path, &[], Rights::Read)?;
        let response = self.send(request.header(ACCEPT, "text/event-stream")).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await.into());
        }
        if media_type(&response) != "text/event-stream" {
            return Err(
                Refusal::senseless(self.whom, "stream of events", media_type(&response)).into()
            );
        }
        Ok(response)
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        rights: Rights,
    ) -> Result<RequestBuilder> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("addresses of HTTP have paths")
            .pop_if_empty()
            .extend(self.whom.root().iter().chain(path));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let token = format!("Bearer {}", self.credentials.token(rights)?);
        let mut token = HeaderValue::try_from(token).context("a token is plain text")?;
        token.set_sensitive(true);
        Ok(self.client.request(method, url).header("authorization", token))
    }

    /// The head of an answer.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Refusal> {
        match timeout(self.timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_timeout() => Err(self.late()),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.late()),
        }
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Answer, Refusal> {
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let status = response.status();
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|it| it.to_str().ok()).map(str::to_owned);
        Ok(Answer { whom: self.whom, status, location, body: self.body(response).await? })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Refusal> {
        let mut body = Vec::new();
        let read = async {
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > ANSWER_BYTES_MAX {
                    break;
                }
            }
            Ok::<(), reqwest::Error>(())
        };
        match timeout(self.timeout, read).await {
            Ok(Ok(())) if body.len() > ANSWER_BYTES_MAX => {
                Err(Refusal::senseless(self.whom, "answer of an expected size", "it is too long"))
            }
            Ok(Ok(())) => Ok(body),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Err(_) => Err(self.late()),
        }
    }

    async fn refusal(&self, response: Response) -> Refusal {
        let (status, is_problem) =
            (response.status(), media_type(&response) == "application/problem+json");
        // The status has been said; a body that breaks off takes nothing back.
        let body = self.body(response).await.unwrap_or_default();
        Refusal::of(self.whom, status, is_problem, &body)
    }

    fn late(&self) -> Refusal {
        let seconds = self.timeout.as_secs();
        let sentence =
            format!("{} at {} did not answer within {seconds} s", self.whom.name(), self.base);
        Refusal::new(Cause::Unreachable, sentence)
    }

    /// A connection that could not be made or broke.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Refusal {
        let sentence = format!(
            "{} at {} cannot be reached: {}",
            self.whom.name(),
            self.base,
            root_cause(error)
        );
        Refusal::new(Cause::Unreachable, sentence)
    }
}

impl Answer {
    /// The body, which is `what`.
    pub(crate) fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|err| Refusal::senseless(self.whom, what, err))
    }
}

/// The kind of a body, without its parameters.
fn media_type(response: &Response) -> &str {
    let named = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    named.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |it| inner(*it));
    causes.last().map(ToString::to_string).unwrap_or_default()
}

/// The next cause. An I/O error names the cause of what it wraps as its own, so what it wraps is asked for.
fn inner<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
