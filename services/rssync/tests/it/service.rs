//! The service under test on a real store and a real broker, called over a socket as anybody would.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_task::{TaskStore as _, recover_until};
use chassis::{CancellationToken, Chassis, http::Limits};
use eventbus::{ClientType, Delivery, EventBusFactory, EventBusMessage, Origin, Outcome};
use events::{AgentsReply, ClientReply, SyncCounts, SyncReply, SyncStatus};
use reqwest::{Client, Method, Response};
use rssync::{
    app::App,
    app_of,
    application::tend_scopes_until,
    infrastructure::{kafka::on_records, rest::router},
    settings::{DEFAULTS, Settings},
};
use serde_json::{Value, json};
use testkit::{eventually, tokens::Issuer, unique};
use tokio::net::TcpListener;

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const JOBS: &str = "/subsystems/rs/jobs";
pub(crate) const FULL_SYNC: &str = "/subsystems/rs/full-sync";
const BOTH: &str = "sync:read sync:write";

/// A service with a database of its own.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) issuers: Arc<Issuers>,
    pub(crate) environment: Vec<(String, String)>,
    base: String,
    client: Client,
    stop: CancellationToken,
}

/// Who signs tokens: operators, ISPs, and the service for its own calls.
pub(crate) struct Issuers {
    pub(crate) operators: Issuer,
    pub(crate) gateway: Issuer,
    pub(crate) own: Issuer,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: Value,
}

impl Issuers {
    pub(crate) fn new() -> Self {
        let issuer = |name| Issuer::new(name).unwrap();
        Self { operators: issuer("rsctl"), gateway: issuer("gateway-isp"), own: issuer("rssync") }
    }

    /// The settings that make a service trust them.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (issuer, isp_optional) in [(&self.operators, "true"), (&self.gateway, "false")] {
            let table = format!("RSSYNC__AUTH__KEYS__{}", issuer.name().to_uppercase());
            let own = [
                ("ISSUER", issuer.name().to_owned()),
                ("PUBLIC_KEY", issuer.public_key_pem()),
                ("SCOPES", BOTH.to_owned()),
                ("ISP_OPTIONAL", isp_optional.to_owned()),
            ];
            all.extend(own.map(|(name, it)| (format!("{table}__{name}"), it)));
        }
        all.push(("RSSYNC__SIGNING__PRIVATE_KEY".to_owned(), self.own.private_key_pem()));
        all
    }
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        let issuers = Arc::new(Issuers::new());
        let mut environment = issuers.environment();
        let own = [
            ("RSSYNC__KAFKA__BOOTSTRAP_SERVERS", testkit::kafka()),
            ("RSSYNC__MONGO__URI", testkit::mongo_uri()),
            ("RSSYNC__MONGO__DATABASE", unique("rssync")),
            ("RSSYNC__JOBS__REPEAT_SECONDS", "1".to_owned()),
            ("RSSYNC__JOBS__WAKE_EVERY_MS", "100".to_owned()),
            ("RSSYNC__STREAMS__LOOK_EVERY_MS", "50".to_owned()),
        ];
        environment.extend(own.map(|(name, it)| (name.to_owned(), it)));
        environment.extend(more.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned())));
        testkit::topics::create(&testkit::kafka()).await.unwrap();
        Self::run(issuers, environment).await
    }

    /// The service begins anew on the same store, as after a crash.
    pub(crate) async fn restart(self) -> Self {
        self.stop.cancel();
        Self::run(Arc::clone(&self.issuers), self.environment.clone()).await
    }

    async fn run(issuers: Arc<Issuers>, environment: Vec<(String, String)>) -> Self {
        let settings: Settings =
            chassis::settings::load("rssync", DEFAULTS, None, environment.clone()).unwrap();
        let chassis = Chassis::for_tests();
        let stop = chassis.stop.clone();
        let database = chassis::mongo::connect(&settings.mongo).await.unwrap();
        let bus = EventBusFactory::new("rssync", settings.kafka.clone());
        let bus = bus.producer(ClientType::Default).unwrap();
        let app = app_of(&settings, &database, bus, stop.clone()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let limits = Limits {
            request_seconds: settings.http.request_seconds,
            body_bytes: settings.http.body_bytes,
            ..Limits::default()
        };
        let (served, stopped) = (router(app.clone()), stop.clone());
        tokio::spawn(async move {
            chassis::http::serve_with(listener, served, None, &limits, stopped).await.unwrap();
        });
        tokio::spawn(recover_until(app.tasks.clone(), stop.clone()));
        let (tended, stopped) = (app.clone(), stop.clone());
        tokio::spawn(async move { tend_scopes_until(&tended, &stopped).await });
        let client = Client::builder().timeout(LIMIT).build().unwrap();
        Self { app, issuers, environment, base, client, stop }
    }

    /// A token of an operator, or of somebody of an ISP.
    pub(crate) fn token(&self, isp: Option<&str>) -> String {
        match isp {
            None => self.issuers.operators.operator("rssync", BOTH).unwrap(),
            Some(isp) => self.issuers.gateway.of_isp(isp, "rssync", BOTH).unwrap(),
        }
    }

    /// Sends a request with this body, as an operator or as an ISP.
    pub(crate) async fn call(
        &self,
        isp: Option<&str>,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self.request(method, path).bearer_auth(self.token(isp));
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, isp: Option<&str>, path: &str) -> Answer {
        self.call(isp, Method::GET, path, None).await
    }

    /// Starts a full sync that must be taken; answers the job's id.
    pub(crate) async fn start_job(&self, isp: Option<&str>, body: Value) -> String {
        let answer = self.call(isp, Method::POST, FULL_SYNC, Some(&body)).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        let location = answer.location.unwrap();
        let job_id = location.strip_prefix("/subsystems/rs/jobs/").unwrap().to_owned();
        self.begun(&job_id).await;
        job_id
    }

    /// Waits until a job has asked for its first step, or waits for another one: nobody answers before.
    pub(crate) async fn begun(&self, job_id: &str) {
        let id = job_id.parse().unwrap();
        eventually("the job begins", LIMIT, async || {
            let job = self.app.tasks.store().find(&id).await.unwrap()?;
            let opened = job.children().map_or(0, |it| it.opened);
            (opened > 0 || job.payload.sync_all().waits_for.is_some()).then_some(())
        })
        .await;
    }

    pub(crate) async fn job(&self, job_id: &str) -> Value {
        let answer = self.get(None, &format!("{JOBS}/{job_id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// The job, once `is` holds of it.
    pub(crate) async fn job_when(&self, job_id: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually("the job gets there", LIMIT, async || {
            Some(self.job(job_id).await).filter(|it| is(it))
        })
        .await
    }

    pub(crate) async fn steer(&self, job_id: &str, action: &str) -> u16 {
        let body = json!({ "action": action });
        let path = format!("{JOBS}/{job_id}");
        self.call(None, Method::POST, &path, Some(&body)).await.status
    }

    /// What was asked and told about a job on both topics, a line each, in order.
    pub(crate) async fn said(&self, job_id: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for topic in ["as-rs-client-request-topic", "as-rs-agents-request-topic"] {
            for record in testkit::records::read(&testkit::kafka(), topic).await.unwrap() {
                let Ok(payload) = record.json() else { continue };
                if payload["job_id"] != job_id {
                    continue;
                }
                assert_eq!(record.key.as_deref(), Some(job_id));
                let word = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
                let mut line = record.headers["ce_type"].clone();
                for it in [word("action"), word("request_id").replace(job_id, "")] {
                    if !it.is_empty() {
                        line += &format!(" {it}");
                    }
                }
                let to = if topic.contains("agents") { "rsagents" } else { "rsclient" };
                lines.push(format!("{to}: {line}"));
            }
        }
        lines
    }

    /// Waits until `line` was said so many times.
    pub(crate) async fn says(&self, job_id: &str, line: &str, times: usize) {
        eventually(line, LIMIT, async || {
            let said = self.said(job_id).await;
            (said.iter().filter(|it| *it == line).count() >= times).then_some(())
        })
        .await;
    }

    /// Hands over a reply for its first attempt.
    pub(crate) async fn reply(&self, reply: &SyncReply) -> Outcome {
        self.replies(std::slice::from_ref(reply)).await.pop().unwrap()
    }

    pub(crate) async fn replies(&self, replies: &[SyncReply]) -> Vec<Outcome> {
        let deliveries: Vec<Delivery> =
            replies.iter().map(|it| Delivery::first(message(it), 5)).collect();
        on_records(&self.app, &deliveries).await
    }

    /// Answers the three steps of a job, each of which ends with these counts.
    pub(crate) async fn answer_all(&self, job_id: &str, counts: SyncCounts) {
        let status = match counts.failed() {
            0 => SyncStatus::Completed,
            _ => SyncStatus::CompletedWithFailures,
        };
        for key in ["system", "agents", "accounts"] {
            let reply = reply_of(job_id, key, status, counts, None);
            assert_eq!(self.reply(&reply).await, Outcome::Done, "{key}");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let location = header("location");
        if status >= 400 {
            assert_eq!(header("content-type").as_deref(), Some("application/problem+json"));
        }
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, location, body }
    }

    /// The status, and what a problem says.
    pub(crate) fn line(&self) -> String {
        let detail = self.body["detail"].as_str().unwrap_or_default();
        format!("{} {detail}", self.status).trim().to_owned()
    }
}

pub(crate) fn reply_of(
    job_id: &str,
    key: &str,
    status: SyncStatus,
    counts: SyncCounts,
    reason: Option<&str>,
) -> SyncReply {
    SyncReply {
        job_id: job_id.parse().unwrap(),
        request_id: format!("{job_id}/{key}").parse().unwrap(),
        status,
        counts,
        reason: reason.map(str::to_owned),
    }
}

pub(crate) fn running(job_id: &str, key: &str, applied: u64, reason: Option<&str>) -> SyncReply {
    reply_of(job_id, key, SyncStatus::Running, applied_of(applied, 10), reason)
}

pub(crate) fn completed(job_id: &str, key: &str, applied: u64) -> SyncReply {
    reply_of(job_id, key, SyncStatus::Completed, applied_of(applied, applied), None)
}

pub(crate) fn applied_of(applied: u64, total: u64) -> SyncCounts {
    SyncCounts { total, applied, ..SyncCounts::default() }
}

/// The reply as the service that is asked for this request sends it.
pub(crate) fn message(reply: &SyncReply) -> EventBusMessage {
    let id = unique("cause");
    let origin = Origin::Message { id: &id, n: 0 };
    let key = reply.request_id.key();
    if key.starts_with("agents") {
        let event = AgentsReply::RSSyncAgentPackagesReply(reply.clone());
        return EventBusMessage::new(&event, "/rsagents", origin);
    }
    let event = match key == "system" {
        true => ClientReply::RSSyncSystemReply(reply.clone()),
        false => ClientReply::RSSyncAccountsReply(reply.clone()),
    };
    EventBusMessage::new(&event, "/rsclient", origin)
}

/// An address at which nobody listens.
pub(crate) fn nowhere() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
