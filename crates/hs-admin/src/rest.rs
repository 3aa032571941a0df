//! The REST client: one call, one answer.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use bytes::Bytes;
use events::Revision;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
    request::Builder,
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry::propagation::Injector;
use tokio::{sync::Semaphore, time::timeout_at};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    Answer, BatchAnswer, BatchEntry, Call, ErrorReply, REVISION_HEADER, Resource, ResourceKind,
    Settings, Status, TlsFiles, batch,
    client::count,
    meaning,
    meters::Meters,
    retry_after,
    tls::{self, Stamps},
};

/// Most bytes of an answer that are read: a batch has hundreds of results.
const ANSWER_BYTES_MAX: usize = 1_024 * 1_024;
/// Most characters of what the backend says that are passed on.
const DETAIL_CHARS_MAX: usize = 500;
/// How often the certificate files are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(1);

/// Speaks HTTP with the backend.
#[derive(Clone, Debug)]
pub(crate) struct Rest(Arc<Inner>);

/// Keeps connections; each carries one call at a time.
type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

#[derive(Debug)]
struct Inner {
    settings: Settings,
    base_url: String,
    slots: Semaphore,
    meters: Meters,
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
            meters: Meters::default(),
            connected: Mutex::new(connected),
        })))
    }

    pub(crate) async fn write(
        &self,
        call: Call,
        resource: &Resource,
        body: Option<Bytes>,
        revision: Revision,
    ) -> Answer {
        let mut request = self
            .request(call, &resource.path())
            .header(REVISION_HEADER, HeaderValue::from(revision.get()));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = request.body(Full::new(body.unwrap_or_default()));
        self.send(call, resource.kind(), request).await.0
    }

    pub(crate) async fn post_devices(&self, entries: &[BatchEntry]) -> BatchAnswer {
        let request = self
            .request(Call::Post, "/devices")
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(batch::body(entries)));
        let (answer, body) = self.send(Call::Post, ResourceKind::Device, request).await;
        let Answer::Done { http_status } = answer else { return BatchAnswer::Whole(answer) };
        batch::read(http_status, &body, entries.len())
    }

    pub(crate) async fn status(&self) -> Result<Status, Answer> {
        let request = self.request(Call::Get, "/status").body(Full::default());
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

    fn request(&self, call: Call, path: &str) -> Builder {
        let method = match call {
            Call::Get => Method::GET,
            Call::Put => Method::PUT,
            Call::Post => Method::POST,
            Call::Delete => Method::DELETE,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.0.base_url))
            .header(ACCEPT, HeaderValue::from_static("*/*"));
        if let Some(headers) = request.headers_mut() {
            headers.extend(trace_headers());
        }
        request
    }

    async fn send(
        &self,
        call: Call,
        resource: ResourceKind,
        request: http::Result<Request<Full<Bytes>>>,
    ) -> (Answer, Vec<u8>) {
        let _slot = self.0.slots.acquire().await.expect("the semaphore is never closed");
        let began = Instant::now();
        let limit = Duration::from_secs(self.0.settings.timeout_seconds);
        let (answer, body) = match read(&self.client(), request, began + limit).await {
            Ok(heard) => {
                self.0.meters.answered(call, resource, heard.status);
                (heard.meaning(call, resource), heard.body)
            }
            Err(error) => {
                let (word, answer) = failure(&error);
                count(call, resource, word);
                (answer, Vec::new())
            }
        };
        self.0.meters.took(call, resource, began.elapsed());
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
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(Duration::from_secs(settings.connect_timeout_seconds)));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls::client_config(settings.tls.as_ref())?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(settings.connections)
        // Shorter than what servers allow, so that few requests meet a connection that is just closing.
        .pool_idle_timeout(Duration::from_secs(15))
        .build(https);
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

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer in time")]
    Late,
    #[error("no request can be made")]
    Request(#[from] http::Error),
    #[error("no answer")]
    Client(#[from] legacy::Error),
}

async fn read(
    client: &Client,
    request: http::Result<Request<Full<Bytes>>>,
    deadline: Instant,
) -> Result<Heard, Failure> {
    let deadline = deadline.into();
    let answered = timeout_at(deadline, client.request(request?)).await;
    let mut response: Response<Incoming> = answered.map_err(|_| Failure::Late)??;
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|it| it.to_str().ok())
        .and_then(|it| retry_after(it, jiff::Timestamp::now()));
    let status = response.status().as_u16();
    let mut body = Vec::new();
    // What is longer is cut off: only errors, the status and batches have bodies, and all are short.
    while body.len() < ANSWER_BYTES_MAX {
        match timeout_at(deadline, response.frame()).await {
            Ok(Some(Ok(frame))) => body.extend(frame.data_ref().into_iter().flatten()),
            Ok(None) => break,
            // The status has been said; a body that breaks off takes nothing back.
            Ok(Some(Err(_))) | Err(_) => break,
        }
    }
    Ok(Heard { status, retry_after, body })
}

/// What a call without an answer means, with a word for the metric.
fn failure(error: &Failure) -> (&'static str, Answer) {
    let detail = root_cause(error);
    if is_tls(error) {
        return ("tls", Answer::Misconfigured { http_status: None, detail });
    }
    let word = match error {
        Failure::Late => "timeout",
        Failure::Client(error) if is_late(error) => "timeout",
        Failure::Client(error) if error.is_connect() => "connect",
        Failure::Client(_) | Failure::Request(_) => "broken",
    };
    (word, Answer::Trouble { http_status: None, retry_after: None, detail })
}

fn is_late(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |it| inner(*it));
    causes
        .filter_map(|it| it.downcast_ref::<std::io::Error>())
        .any(|it| it.kind() == std::io::ErrorKind::TimedOut)
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
pub(crate) fn plain(text: &str) -> String {
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
