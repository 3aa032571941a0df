//! The REST face of the service under test, called over a socket as anybody would.

use std::{fmt::Write as _, sync::OnceLock, time::Duration};

use chassis::{CancellationToken, http::Limits};
use reqwest::{Client, Method, RequestBuilder};
use rsclient::infrastructure::rest::router;
use serde_json::Value;
use testkit::tokens::Issuer;
use tokio::net::TcpListener;

use crate::{face::witnesses, service::Service};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// What the tests' tokens grant where a test does not say otherwise.
pub(crate) const BOTH: &str = "rs:read rs:write";
const BODY_BYTES_MAX: usize = 65_536;

/// Every path that belongs to one ISP, with a body that can be put there.
pub(crate) const OF_ISP: [(&str, &str); 5] = [
    ("/router-protection", r#"{"enabled":true,"block_page_ip":"192.0.2.1"}"#),
    ("/router-protection/dns-allowed-list", r#"{"dns_allowed_list":["192.0.2.53"]}"#),
    ("/router-protection/allowed-list", r#"{"allowed_list":["198.51.100.0/24"]}"#),
    ("/lan-protection", r#"{"enabled":true,"isolate_iot":false,"arp_guard":true}"#),
    (
        "/advanced-configuration",
        r#"{"log_level":"debug","telemetry":true,"features":{"fast-path":true}}"#,
    ),
];

/// A service that listens.
pub(crate) struct Rest {
    pub(crate) service: Service,
    base: String,
    client: Client,
    stop: CancellationToken,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) body: Value,
}

/// Who signs tokens: for operators, who need not name an ISP, and for ISPs.
pub(crate) fn issuers() -> &'static (Issuer, Issuer) {
    static ISSUERS: OnceLock<(Issuer, Issuer)> = OnceLock::new();
    ISSUERS.get_or_init(|| (Issuer::new("rsctl").unwrap(), Issuer::new("gateway-isp").unwrap()))
}

/// The settings that make a service trust them.
pub(crate) fn trust() -> Vec<(String, String)> {
    let (operators, gateway) = issuers();
    let mut all = Vec::new();
    for (issuer, isp_optional) in [(operators, "true"), (gateway, "false")] {
        let table = format!("RSCLIENT__AUTH__KEYS__{}", issuer.name().to_uppercase());
        let own = [
            ("ISSUER", issuer.name().to_owned()),
            ("PUBLIC_KEY", issuer.public_key_pem()),
            ("SCOPES", format!("{BOTH} internal")),
            ("ISP_OPTIONAL", isp_optional.to_owned()),
        ];
        all.extend(own.map(|(name, it)| (format!("{table}__{name}"), it)));
    }
    all
}

impl Rest {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        let trust = trust();
        let mut settings: Vec<(&str, &str)> =
            trust.iter().map(|(name, it)| (name.as_str(), it.as_str())).collect();
        settings.extend(more);
        let service = Service::start_with(&settings).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let witnesses = witnesses(&service.kafka, &[], &Issuer::new("rsclient").unwrap());
        let (served, stop) = (router(service.app.clone(), witnesses), CancellationToken::new());
        let limits = Limits { body_bytes: BODY_BYTES_MAX, ..Limits::default() };
        let stopped = stop.clone();
        tokio::spawn(async move {
            chassis::http::serve_with(listener, served, None, &limits, stopped).await.unwrap();
        });
        let client = Client::builder().timeout(LIMIT).build().unwrap();
        Self { service, base, client, stop }
    }

    /// A token of the service's ISP.
    pub(crate) fn token(&self, scope: &str) -> String {
        issuers().1.of_isp(&self.service.isp, "rsclient", scope).unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Asks as the service's ISP.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path).bearer_auth(self.token(BOTH));
        Answer::of(request).await
    }

    /// Sets as the service's ISP.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.put_if(path, body, None).await
    }

    /// Sets as the service's ISP where this is the state.
    pub(crate) async fn put_if(&self, path: &str, body: &Value, tag: Option<&str>) -> Answer {
        let mut request = self.request(Method::PUT, path).bearer_auth(self.token(BOTH)).json(body);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        Answer::of(request).await
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let etag = header("etag");
        if status >= 400 {
            assert_eq!(header("content-type").as_deref(), Some("application/problem+json"));
        }
        let text = response.text().await.unwrap();
        Self { status, etag, body: serde_json::from_str(&text).unwrap_or(Value::Null) }
    }

    /// The revision that the tag names.
    pub(crate) fn revision(&self) -> u64 {
        self.etag.as_ref().unwrap().trim_matches('"').parse().unwrap()
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
