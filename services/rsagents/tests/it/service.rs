//! One service for all tests, on a real store and a real broker; a job and an ISP for each of them.

use std::{collections::BTreeMap, time::Duration};

use chassis::Chassis;
use mongodb::{
    Database,
    bson::{Document, doc, serialize_to_document},
};
use rsagents::settings::{DEFAULTS, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{
    certificates::Certificates,
    eventually,
    records::{Event, Record, Sender, read},
    tokens::Issuer,
    unique,
};
use tokio::sync::OnceCell;

use crate::{adaptor::GROUP, rsclient::RsClient};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// Most packages of an ISP.
pub(crate) const PACKAGES_MAX: usize = 8;
pub(crate) const REQUESTS: &str = "as-rs-agents-request-topic";
const REPLIES: &str = "as-rs-agents-reply-topic";
pub(crate) const PACKAGES: &str = "as-rs-agent-topic";

/// What all tests share.
pub(crate) struct Shared {
    settings: Settings,
    chassis: Chassis,
    pub(crate) issuers: Issuers,
    pub(crate) rsclient: RsClient,
    certificates: Certificates,
    _folder: TempDir,
}

/// Whoever signs something: tokens of services, operators and ISPs, and packages.
pub(crate) struct Issuers {
    pub(crate) rssync: Issuer,
    pub(crate) operators: Issuer,
    pub(crate) gateway: Issuer,
    pub(crate) own: Issuer,
    pub(crate) maker: Issuer,
}

impl Issuers {
    pub(crate) fn new() -> Self {
        let new = |it| Issuer::new(it).unwrap();
        Self {
            rssync: new("rssync"),
            operators: new("operators"),
            gateway: new("gateway"),
            own: new("rsagents"),
            maker: new("maker"),
        }
    }

    /// The settings that make a service trust them.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let trusted = [
            (&self.rssync, "internal sync:read", "true"),
            (&self.operators, "rs:read rs:write", "true"),
            (&self.gateway, "rs:read rs:write", "false"),
        ];
        let mut all = vec![
            ("SIGNING__PRIVATE_KEY".to_owned(), self.own.private_key_pem()),
            ("PACKAGES__KEYS__MAKER__PUBLIC_KEY".to_owned(), self.maker.public_key_pem()),
        ];
        for (issuer, scopes, isp_optional) in trusted {
            let table = format!("AUTH__KEYS__{}", issuer.name().to_uppercase());
            let members = [
                ("ISSUER", issuer.name().to_owned()),
                ("PUBLIC_KEY", issuer.public_key_pem()),
                ("SCOPES", scopes.to_owned()),
                ("ISP_OPTIONAL", isp_optional.to_owned()),
            ];
            all.extend(members.map(|(name, it)| (format!("{table}__{name}"), it)));
        }
        all
    }
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();

/// A job of its own, and an ISP with packages of its own.
pub(crate) struct Service {
    pub(crate) shared: &'static Shared,
    pub(crate) kafka: String,
    pub(crate) isp: String,
    pub(crate) job: String,
    database: Database,
    sender: Sender,
}

/// Starts the service and what plays rsadaptor, on a runtime that outlives every test.
async fn shared() -> Shared {
    let (kafka, issuers) = (testkit::kafka(), Issuers::new());
    testkit::topics::create(&kafka).await.unwrap();
    testkit::settled::skip_to_end(&kafka, &[rsagents::SERVICE, GROUP]).await.unwrap();
    let rsclient = RsClient::start().await;
    let folder = tempfile::tempdir().unwrap();
    let certificates = testkit::certificates::issue(folder.path()).unwrap();
    let settings = [
        ("BACKEND__LISTEN", "127.0.0.1:0".to_owned()),
        ("BACKEND__CERT_FILE", certificates.server_cert.display().to_string()),
        ("BACKEND__KEY_FILE", certificates.server_key.display().to_string()),
        ("BACKEND__CLIENT_CA_FILE", certificates.ca.display().to_string()),
        ("KAFKA__BOOTSTRAP_SERVERS", kafka),
        ("MONGO__URI", testkit::mongo_uri()),
        ("MONGO__DATABASE", unique("rsagents")),
        ("HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("PEERS__RSCLIENT_URL", rsclient.url.clone()),
        ("PACKAGES__PER_ISP_MAX", PACKAGES_MAX.to_string()),
        ("OUTBOX__LOOK_EVERY_MS", "100".to_owned()),
        ("DELETION__FINISH_AFTER_SECONDS", "1".to_owned()),
        ("SYNC__BULK_REQUESTS", "3".to_owned()),
        ("SYNC__RECORD_SECONDS", "2".to_owned()),
        ("SYNC__TELL_EVERY_MS", "100".to_owned()),
    ];
    let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
    let settings = settings.chain(issuers.settings());
    let environment: Vec<_> =
        settings.map(|(name, value)| (format!("RSAGENTS__{name}"), value)).collect();
    let settings: Settings =
        chassis::settings::load("rsagents", DEFAULTS, None, environment).unwrap();
    let chassis = Chassis::for_tests();
    let (running, within) = (settings.clone(), chassis.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let adaptor = crate::adaptor::play(running.kafka.clone());
            rsagents::run(running, within).await.unwrap();
            adaptor.close().await;
        });
    });
    let look = async || chassis.address("http").and(chassis.address("backend"));
    eventually("the service listens", LIMIT, look).await;
    Shared { settings, chassis, issuers, rsclient, certificates, _folder: folder }
}

impl Shared {
    /// What the backend may show and trust, and the port where it asks.
    pub(crate) fn backend(&self) -> (&Certificates, u16) {
        (&self.certificates, self.chassis.address("backend").unwrap().port())
    }
}

impl Service {
    pub(crate) async fn start() -> Self {
        let shared = SHARED.get_or_init(shared).await;
        let kafka = testkit::kafka();
        let database = chassis::mongo::connect(&shared.settings.mongo).await.unwrap();
        let sender = Sender::new(&kafka).unwrap();
        let (isp, job) = (unique("isp"), unique("j"));
        Self { shared, kafka, isp, job, database, sender }
    }

    /// The id of a package that no other test has.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.isp)
    }

    /// Stores packages of the ISP.
    pub(crate) async fn hold(&self, names: &[&str]) {
        for name in names {
            self.hold_for(name, "hg-8000").await;
        }
    }

    /// Stores a package for routers of a model.
    pub(crate) async fn hold_for(&self, name: &str, model: &str) {
        let id = self.id(name);
        let package = json!({
            "_id": id, "agent_package_id": id, "isp_id": self.isp, "revision": 5,
            "version": "4.2.0", "models": [model], "url": "https://example.org/p",
            "sha256": "ab", "size_bytes": 7, "signature": "s", "state": "released",
            "deleted": false,
        });
        let package = serialize_to_document(&package).unwrap();
        self.documents("agent_packages").insert_one(package).await.unwrap();
    }

    /// Makes a tombstone of a package, with a revision of its own.
    pub(crate) async fn remove(&self, name: &str) {
        let gone = doc! { "$set": { "revision": 6_i64, "deleted": true } };
        let packages = self.documents("agent_packages");
        packages.update_one(doc! { "_id": self.id(name) }, gone).await.unwrap();
    }

    /// Takes a package away with all that is remembered of it.
    pub(crate) async fn forget(&self, name: &str) {
        let packages = self.documents("agent_packages");
        packages.delete_one(doc! { "_id": self.id(name) }).await.unwrap();
    }

    /// What is stored of a package.
    pub(crate) async fn stored(&self, name: &str) -> Document {
        let packages = self.documents("agent_packages");
        packages.find_one(doc! { "_id": self.id(name) }).await.unwrap().unwrap()
    }

    pub(crate) fn documents(&self, collection: &str) -> mongodb::Collection<Document> {
        self.database.collection(collection)
    }

    /// Where the service listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.shared.chassis.address("http").unwrap()
    }

    /// Asks for a full sync of the ISP.
    pub(crate) async fn ask(&self, members: Value) {
        let mut request = json!({
            "job_id": self.job, "request_id": format!("{}/agents", self.job),
            "scope": {"isp_id": self.isp}, "mode": "force", "window": 2_000, "rate_per_s": null,
        });
        for (name, member) in members.as_object().unwrap() {
            request[name] = member.clone();
        }
        self.say("RSSyncAgentPackages", request).await;
    }

    /// Says something about the job.
    pub(crate) async fn say(&self, event_type: &str, data: Value) {
        let event = Event {
            topic: REQUESTS.to_owned(),
            event_type: event_type.to_owned(),
            key: Some(self.job.clone()),
            data,
        };
        self.sender.send(&event).await.unwrap();
    }

    pub(crate) async fn control(&self, action: &str) {
        self.say("RSSyncControl", json!({"job_id": self.job, "action": action})).await;
    }

    pub(crate) async fn cancel(&self) {
        self.say("RSCancelSync", json!({"job_id": self.job})).await;
    }

    /// What rssync was told so far, in order.
    pub(crate) async fn told(&self) -> Vec<Value> {
        let all = read(&self.kafka, REPLIES).await.unwrap();
        let ours = all.iter().filter(|it| it.key.as_deref() == Some(self.job.as_str()));
        let ours = ours.filter(|it| it.headers["ce_type"] == "RSSyncAgentPackagesReply");
        ours.map(|it| it.json().unwrap()).collect()
    }

    /// Waits until rssync is told something of which `is` holds.
    pub(crate) async fn tells(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let look = async || self.told().await.into_iter().find(|it| is(it));
        eventually(what, LIMIT, look).await
    }

    /// Waits for the end of what the job asked for first: its status and the counts that are not 0.
    pub(crate) async fn ends(&self) -> (String, BTreeMap<String, u64>) {
        self.request_ends(&format!("{}/agents", self.job)).await
    }

    pub(crate) async fn request_ends(&self, request_id: &str) -> (String, BTreeMap<String, u64>) {
        let ended = |it: &Value| it["request_id"] == request_id && it["status"] != "running";
        let reply = self.tells("the end", ended).await;
        assert_eq!(reply["job_id"], self.job.as_str());
        let counts: BTreeMap<String, u64> =
            serde_json::from_value(reply["counts"].clone()).unwrap();
        let counts = counts.into_iter().filter(|it| it.1 > 0).collect();
        (reply["status"].as_str().unwrap().to_owned(), counts)
    }

    /// What was sent to rsadaptor for the job, in no order.
    pub(crate) async fn sent(&self) -> Vec<Record> {
        let mut all = read(&self.kafka, PACKAGES).await.unwrap();
        all.retain(|it| it.headers.get("ce_jobid") == Some(&self.job));
        all
    }

    /// The names of the packages that were sent for the job, in order.
    pub(crate) async fn sent_names(&self) -> Vec<String> {
        let prefix = self.id("");
        let name = |it: &Record| Some(it.key.as_ref()?.strip_prefix(&prefix)?.to_owned());
        let mut names: Vec<String> = self.sent().await.iter().filter_map(name).collect();
        names.sort();
        names
    }

    /// Waits until so many records were sent for the job.
    pub(crate) async fn sends(&self, count: usize) -> Vec<Record> {
        let look = async || Some(self.sent().await).filter(|it| it.len() >= count);
        eventually(&format!("{count} packages sent"), LIMIT, look).await
    }

    /// What was asked of the service itself for the job, in order.
    pub(crate) async fn bulks(&self) -> Vec<Value> {
        let mut all = read(&self.kafka, REQUESTS).await.unwrap();
        all.retain(|it| it.headers["ce_type"] == "RSSyncAgentPackagesBulk");
        let all = all.iter().map(|it| it.json().unwrap());
        all.filter(|it| it["job_id"] == self.job.as_str()).collect()
    }

    /// Asks for failures of the job with a token of these scopes: status and body.
    pub(crate) async fn failures(&self, query: &str, scope: Option<&str>) -> (u16, Value) {
        let address = self.address();
        let url = format!("http://{address}/tasks/{}/failures{query}", self.job);
        let mut request = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
        if let Some(scope) = scope {
            let token = self.shared.issuers.rssync.operator("rsagents", scope).unwrap();
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }
}

/// Counts as a test writes them down.
pub(crate) fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}
