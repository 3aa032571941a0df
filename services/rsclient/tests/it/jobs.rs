//! The other parties of a sync, played by the test: rssync, who asks, and rsadaptor, who answers for the backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use eventbus::{Delivery, EventBusMessage, Outcome};
use rsclient::{
    domain::{Walk, Which},
    infrastructure::kafka::{on_record, on_replies, on_results},
};
use serde_json::{Value, json};
use testkit::records::Record;

use crate::service::{Service, first, message};

const REQUESTS: &str = "as-rs-client-request-topic";
const REPLIES: &str = "as-rs-client-reply-topic";
const SAID: [&str; 2] = ["as-rs-provision-topic", "as-rs-system-configuration-topic"];
const ANSWERS: &str = "as-rs-adaptor-reply-topic";

/// One job as this service sees it.
pub(crate) struct Job<'a> {
    pub(crate) service: &'a Service,
    pub(crate) id: String,
    seen: BTreeSet<(String, i32, i64)>,
    /// Every record that was sent for the job, in order per key.
    pub(crate) sent: Vec<Record>,
    /// What the backend was last told of each request, and what it answered.
    pub(crate) told: BTreeMap<String, Value>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(service: &'a Service, id: &str) -> Self {
        let (seen, sent, told) = (BTreeSet::new(), Vec::new(), BTreeMap::new());
        Self { service, id: id.to_owned(), seen, sent, told }
    }

    /// The walk over the service's ISP.
    pub(crate) fn walk(service: &'a Service) -> Self {
        Self::walk_over(service, Which::All)
    }

    /// The walk over these devices of the service's ISP.
    pub(crate) fn walk_over(service: &'a Service, which: Which) -> Self {
        let walk = Walk::over(service.isp.parse().unwrap(), which);
        Self::new(service, walk.job_id().as_str())
    }

    /// Asks for `event_type`.
    pub(crate) async fn ask(&self, event_type: &str, members: Value) -> Outcome {
        let request = crate::service::with(json!({"job_id": self.id}), members);
        self.hand_over(event_type, REQUESTS, &request).await
    }

    /// Asks for all devices of the service's ISP.
    pub(crate) async fn ask_for_accounts(&self, members: Value) -> Outcome {
        let request = json!({
            "request_id": format!("{}/accounts", self.id), "scope": {"isp_id": self.service.isp},
            "mode": "force", "window": 2000, "rate_per_s": null,
        });
        self.ask("RSSyncAccounts", crate::service::with(request, members)).await
    }

    async fn hand_over(&self, event_type: &str, topic: &str, data: &Value) -> Outcome {
        on_record(&self.service.app, &first(in_topic(event_type, topic, data))).await
    }

    async fn new_records(&mut self, topic: &str) -> Vec<Record> {
        let mut records = testkit::records::read(&self.service.kafka, topic).await.unwrap();
        records.retain(|it| it.headers.get("ce_jobid").is_some_and(|job| *job == self.id));
        records.retain(|it| self.seen.insert((topic.to_owned(), it.partition, it.offset)));
        records
    }

    /// Hands over everything that the job causes, until it causes nothing more; `answer` says how the backend ends a
    /// record: its status, or nothing where it is silent.
    pub(crate) async fn run(&mut self, answer: impl Fn(&str, &Value) -> Option<Value>) {
        loop {
            let requests = self.new_records(REQUESTS).await;
            let replies = self.new_records(REPLIES).await;
            let mut said = Vec::new();
            for topic in SAID {
                said.extend(self.new_records(topic).await);
            }
            if requests.is_empty() && replies.is_empty() && said.is_empty() {
                return;
            }
            for it in &requests {
                let event_type = &it.headers["ce_type"];
                self.hand_over(event_type, REQUESTS, &it.json().unwrap()).await;
            }
            for it in replies.iter().filter(|it| it.headers["ce_type"].ends_with("BulkReply")) {
                self.reply(it).await;
            }
            for it in said {
                self.answer(&it, &answer).await;
                self.sent.push(it);
            }
        }
    }

    /// Hands over everything and looks at tasks whose time has come, until the job's accounts have ended; the backend
    /// takes everything.
    pub(crate) async fn run_until_ended(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            self.wake().await;
            self.run(applies).await;
            let reply = self.last_reply("accounts").await;
            if reply.is_some_and(|it| it["status"] != json!("running")) {
                return;
            }
            assert!(Instant::now() < deadline, "it does not end");
        }
    }

    /// Looks once at every task whose time has come.
    pub(crate) async fn wake(&self) {
        self.service.app.tasks().recover().await.unwrap();
    }

    async fn reply(&self, record: &Record) {
        let message = in_topic(&record.headers["ce_type"], REPLIES, &record.json().unwrap());
        self.on_replies(message).await;
    }

    async fn answer(&mut self, record: &Record, answer: impl Fn(&str, &Value) -> Option<Value>) {
        let payload = record.json().unwrap();
        let request_id = record.headers["ce_requestid"].clone();
        let resource = request_id.rsplit_once('/').unwrap().1.to_owned();
        let Some(members) = answer(&resource, &payload) else { return };
        let reply = json!({
            "request_id": request_id, "job_id": self.id, "resource": resource,
            "revision": payload["revision"], "held_revision": payload["revision"],
            "status": "applied", "http_status": 204, "error": null,
        });
        let reply = crate::service::with(reply, members);
        self.told.insert(resource, payload);
        let is_system = record.headers["ce_type"].starts_with("RSSystem")
            || record.headers["ce_type"].starts_with("RSRouterProtection");
        let event_type = if is_system { "RSSystemReply" } else { "RSDeviceCreatedReply" };
        self.on_replies(in_topic(event_type, ANSWERS, &reply)).await;
    }

    /// Hands over an answer of rsadaptor about a device.
    pub(crate) async fn answered(&self, reply: &Value) {
        self.on_replies(in_topic("RSDeviceCreatedReply", ANSWERS, reply)).await;
    }

    async fn on_replies(&self, message: EventBusMessage) {
        let is_of_bulks = message.topic == REPLIES;
        let (app, delivery): (_, [Delivery; 1]) = (&self.service.app, [first(message)]);
        let outcome = match is_of_bulks {
            true => on_replies(app, &delivery).await.remove(0),
            false => on_results(app, &delivery).await.remove(0),
        };
        assert!(matches!(outcome, Outcome::Done | Outcome::Skipped(_)), "{outcome:?}");
    }

    /// What was last replied to whoever asked for `<job>/<key>`.
    pub(crate) async fn last_reply(&self, key: &str) -> Option<Value> {
        let replies = testkit::records::read(&self.service.kafka, REPLIES).await.unwrap();
        let asked = format!("{}/{key}", self.id);
        let replies = replies.iter().map(|it| it.json().unwrap());
        replies.rev().find(|it| it["request_id"] == json!(asked))
    }
}

fn in_topic(event_type: &str, topic: &str, data: &Value) -> EventBusMessage {
    let mut message = message(event_type, data);
    message.topic = topic.into();
    message.attributes.tenant = None;
    message
}

/// The backend takes everything.
pub(crate) fn applies(_: &str, _: &Value) -> Option<Value> {
    Some(json!({}))
}
