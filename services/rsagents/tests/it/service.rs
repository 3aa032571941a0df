//! One service for all tests, on a real store and a real broker; a job and an ISP for each of them.

use std::{collections::BTreeMap, time::Duration};

use chassis::Chassis;
use events::AgentPackage;
use mongodb::{
    Database,
    bson::{Document, doc},
};
use rsagents::{
    infrastructure::store::Packages,
    settings::{DEFAULTS, Settings},
};
use serde_json::{Value, json};
use testkit::{
    eventually,
    records::{Event, Record, Sender, read},
    tokens::Issuer,
    unique,
};
use tokio::sync::OnceCell;

use crate::adaptor::GROUP;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const REQUESTS: &str = "as-rs-agents-request-topic";
const REPLIES: &str = "as-rs-agents-reply-topic";
const PACKAGES: &str = "as-rs-agent-topic";
const TOMBSTONES: Duration = Duration::from_secs(3_600);

/// What all tests share.
struct Shared {
    settings: Settings,
    chassis: Chassis,
    issuer: Issuer,
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();

/// A job of its own, and an ISP with packages of its own.
pub(crate) struct Service {
    shared: &'static Shared,
    pub(crate) kafka: String,
    pub(crate) isp: String,
    pub(crate) job: String,
    pub(crate) packages: Packages,
    database: Database,
    sender: Sender,
}

/// Starts the service and what plays rsadaptor, on a runtime that outlives every test.
async fn shared() -> Shared {
    let (kafka, issuer) = (testkit::kafka(), Issuer::new("rssync").unwrap());
    testkit::topics::create(&kafka).await.unwrap();
    testkit::settled::skip_to_end(&kafka, &[rsagents::SERVICE, GROUP]).await.unwrap();
    let settings = [
        ("KAFKA__BOOTSTRAP_SERVERS", kafka),
        ("MONGO__URI", testkit::mongo_uri()),
        ("MONGO__DATABASE", unique("rsagents")),
        ("HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("AUTH__KEYS__RSSYNC__ISSUER", issuer.name().to_owned()),
        ("AUTH__KEYS__RSSYNC__PUBLIC_KEY", issuer.public_key_pem()),
        ("AUTH__KEYS__RSSYNC__SCOPES", "internal sync:read".to_owned()),
        ("AUTH__KEYS__RSSYNC__ISP_OPTIONAL", "true".to_owned()),
        ("SYNC__BULK_REQUESTS", "3".to_owned()),
        ("SYNC__RECORD_SECONDS", "2".to_owned()),
        ("SYNC__TELL_EVERY_MS", "100".to_owned()),
    ];
    let environment = settings.map(|(name, value)| (format!("RSAGENTS__{name}"), value));
    let settings: Settings =
        chassis::settings::load("rsagents", DEFAULTS, None, environment.to_vec()).unwrap();
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
    let look = async || chassis.address("http");
    eventually("the service listens", LIMIT, look).await;
    Shared { settings, chassis, issuer }
}

impl Service {
    pub(crate) async fn start() -> Self {
        let shared = SHARED.get_or_init(shared).await;
        let kafka = testkit::kafka();
        let database = chassis::mongo::connect(&shared.settings.mongo).await.unwrap();
        let packages = Packages::open(&database, TOMBSTONES).await.unwrap();
        let sender = Sender::new(&kafka).unwrap();
        let (isp, job) = (unique("isp"), unique("j"));
        Self { shared, kafka, isp, job, packages, database, sender }
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
        let package: AgentPackage = serde_json::from_value(json!({
            "agent_package_id": self.id(name), "isp_id": self.isp, "revision": 5, "version": "4.2.0",
            "models": [model], "url": "https://example.org/p", "sha256": "ab", "size_bytes": 7,
            "signature": "s", "state": "released",
        }))
        .unwrap();
        assert!(self.packages.save(&package).await.unwrap());
    }

    /// Removes a package, with a revision of its own.
    pub(crate) async fn remove(&self, name: &str) {
        let id = self.id(name).parse().unwrap();
        assert!(self.packages.remove(&id, 6.try_into().unwrap()).await.unwrap());
    }

    /// Takes a package away with all that is remembered of it.
    pub(crate) async fn forget(&self, name: &str) {
        let packages = self.database.collection::<Document>("agent_packages");
        packages.delete_one(doc! { "_id": self.id(name) }).await.unwrap();
    }

    /// What is stored of a package.
    pub(crate) async fn stored(&self, name: &str) -> Document {
        let packages = self.database.collection::<Document>("agent_packages");
        packages.find_one(doc! { "_id": self.id(name) }).await.unwrap().unwrap()
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
        let name = |it: &Record| it.key.as_ref().unwrap().replace(&prefix, "");
        let mut names: Vec<String> = self.sent().await.iter().map(name).collect();
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
        let address = self.shared.chassis.address("http").unwrap();
        let url = format!("http://{address}/tasks/{}/failures{query}", self.job);
        let mut request = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
        if let Some(scope) = scope {
            let token = self.shared.issuer.operator("rsagents", scope).unwrap();
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
