//! The REST client: one call, one answer.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use events::Revision;
use opentelemetry::propagation::Injector;
use reqwest::{
    Client, Method, RequestBuilder, Response,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use tokio::sync::Semaphore;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    Answer, Call, ErrorReply, REVISION_HEADER, Resource, ResourceKind, Settings, Status, TlsFiles,
    client::count,
    meaning, retry_after,
    tls::{self, Stamps},
};

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;
/// Most characters of what the backend says that are passed on.
const DETAIL_CHARS_MAX: usize = 500;
/// How often the certificate files are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(1);

/// Speaks HTTP with the backend.
#[derive(Clone, Debug)]
pub(crate) struct Rest(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    base_url: String,
    slots: Semaphore,
    connected: Mutex<Connected>,
}

/// A client and the certificates that it was made from.
#[derive(Debug)]
struct Connected {
    client: Client,
    stamps: Stamps,
    looked_at: Instant,
}

impl Rest {
    pub(crate) fn connect(settings: &Settings) -> anyhow::Result<Self> {
        let base_url = settings.base_url.as_str().trim_end_matches('/').to_owned();
        match (base_url.starts_with("https:"), &settings.tls) {
            (true, None) => bail!("base_url is https, so tls.cert, tls.key and tls.ca must be set"),
            (false, Some(_)) => bail!("tls is set, so base_url must be https"),
            (true, Some(_)) | (false, None) => {}
        }
        if settings.connections == 0 || settings.timeout_seconds == 0 {
            bail!("connections and timeout_seconds must be at least 1");
        }
        let stamps = settings.tls.as_ref().map(tls::stamps).unwrap_or_default();
        let connected = Connected { client: client(settings)?, stamps, looked_at: Instant::now() };
        Ok(Self(Arc::new(Inner {
            settings: settings.clone(),
            base_url,
            slots: Semaphore::new(settings.connections),
            connected: Mutex::new(connected),
        })))
    }

    pub(crate) async fn write(
        &self,
        call: Call,
        resource: &Resource,
        body: Option<Vec<u8>>,
        revision: Revision,
    ) -> Answer {
        let mut request = self
            .request(call, &resource.path())
            .header(REVISION_HEADER, HeaderValue::from(revision.get()));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        self.send(call, resource.kind(), request).await.0
    }

    pub(crate) async fn status(&self) -> Result<Status, Answer> {
        let request = self.request(Call::Get, "/status");
        let (answer, body) = self.send(Call::Get, ResourceKind::Status, request).await;
        let Answer::Done { http_status } = answer else { return Err(answer) };
        match serde_json::from_slice::<Status>(&body) {
            Ok(status) if status.status == "ok" => Ok(status),
            Ok(status) => Err(Answer::Trouble {
                http_status: Some(http_status),
                retry_after: None,
                detail: format!("status is {}", status.status),
            }),
            Err(_) => Err(Answer::Misconfigured {
                http_status: Some(http_status),
                detail: "the answer is no status".to_owned(),
            }),
        }
    }

    fn request(&self, call: Call, path: &str) -> RequestBuilder {
        let method = match call {
            Call::Get => Method::GET,
            Call::Put => Method::PUT,
            Call::Post => Method::POST,
            Call::Delete => Method::DELETE,
        };
        let url = format!("{}{path}", self.0.base_url);
        self.client().request(method, url).headers(trace_headers())
    }

    async fn send(
        &self,
        call: Call,
        resource: ResourceKind,
        request: RequestBuilder,
    ) -> (Answer, Vec<u8>) {
        let _slot = self.0.slots.acquire().await.expect("the semaphore is never closed");
        let began = Instant::now();
        let (answer, body) = match read(request).await {
            Ok(heard) => {
                count(call, resource, heard.status.to_string());
                (heard.meaning(call, resource), heard.body)
            }
            Err(error) => {
                let (word, answer) = failure(&error);
                count(call, resource, word);
                (answer, Vec::new())
            }
        };
        metrics::histogram!(
            "http_client_seconds",
            "method" => call.as_str(),
            "resource" => resource.as_str()
        )
        .record(began.elapsed().as_secs_f64());
        (answer, body)
    }

    /// The client, made anew when the certificate files have changed. A broken pair keeps the old one in use.
    fn client(&self) -> Client {
        let mut connected = self.0.connected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = &self.0.settings.tls
            && connected.looked_at.elapsed() >= CERTIFICATES_EVERY
        {
            connected.looked_at = Instant::now();
            refresh(&mut connected, files, &self.0.settings);
        }
        connected.client.clone()
    }
}

fn refresh(connected: &mut Connected, files: &TlsFiles, settings: &Settings) {
    let stamps = tls::stamps(files);
    if stamps == connected.stamps {
        return;
    }
    // Kept in either case: the same broken files are not read again.
    connected.stamps = stamps;
    match client(settings) {
        Ok(client) => {
            connected.client = client;
            tracing::info!("client certificate reloaded");
        }
        Err(error) => tracing::error!(error = format!("{error:#}"), "client certificate unusable"),
    }
}

fn client(settings: &Settings) -> anyhow::Result<Client> {
    let client = Client::builder()
        .timeout(Duration::from_secs(settings.timeout_seconds))
        .connect_timeout(Duration::from_secs(settings.connect_timeout_seconds))
        .pool_max_idle_per_host(settings.connections)
        // Shorter than what servers allow, so that few requests meet a connection that is just closing.
        .pool_idle_timeout(Duration::from_secs(15))
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .tls_backend_preconfigured(tls::client_config(settings.tls.as_ref())?)
        .build()?;
    Ok(client)
}

/// An answer as it was heard.
struct Heard {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Heard {
    fn meaning(&self, call: Call, resource: ResourceKind) -> Answer {
        let mut reply: ErrorReply = serde_json::from_slice(&self.body).unwrap_or_default();
        reply.detail = plain(&reply.detail);
        reply.error = plain(&reply.error);
        meaning(call, resource, self.status, &reply, self.retry_after)
    }
}

async fn read(request: RequestBuilder) -> reqwest::Result<Heard> {
    let mut response: Response = request.send().await?;
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|it| it.to_str().ok())
        .and_then(|it| retry_after(it, jiff::Timestamp::now()));
    let status = response.status().as_u16();
    let mut body = Vec::new();
    // What is longer is cut off: only errors and the status have bodies, and both are short.
    while body.len() < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            // The status has been said; a body that breaks off takes nothing back.
            Err(_) => break,
        }
    }
    Ok(Heard { status, retry_after, body })
}

/// What a call without an answer means, with a word for the metric.
fn failure(error: &reqwest::Error) -> (&'static str, Answer) {
    let detail = root_cause(error);
    if is_tls(error) {
        return ("tls", Answer::Misconfigured { http_status: None, detail });
    }
    let word = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "timeout",
        (false, true) => "connect",
        (false, false) => "broken",
    };
    (word, Answer::Trouble { http_status: None, retry_after: None, detail })
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |it| inner(*it)).any(|it| it.is::<rustls::Error>())
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |it| inner(*it));
    causes.last().map_or_else(String::new, |it| plain(&it.to_string()))
}

/// The next cause. An I/O error names the cause of what it wraps as its own, so what it wraps is asked for.
fn inner<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// One short line.
fn plain(text: &str) -> String {
    text.chars().filter(|it| !it.is_control()).take(DETAIL_CHARS_MAX).collect()
}

struct Headers(HeaderMap);

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(key.as_bytes()), HeaderValue::from_str(&value))
        {
            self.0.insert(name, value);
        }
    }
}

fn trace_headers() -> HeaderMap {
    let context = tracing::Span::current().context();
    let mut headers = Headers(HeaderMap::new());
    opentelemetry::global::get_text_map_propagator(|it| {
        it.inject_context(&context, &mut headers);
    });
    headers.0
}
