//! The service under test: its callback on a real store, a real broker for replies and a backend that can be told.

use std::time::Duration;

use chassis::Chassis;
use eventbus::{
    ClientType, Delivery, Destination, EventBusFactory, EventBusMessage, EventBusProducer, Origin,
    Outcome,
};
use events::{DeviceId, RsAgentEvent, RsProvisioningEvent, RsSystemEvent, TopicEvent};
use hs_admin::HsAdmin;
use mongodb::{Collection, Database, bson::Document, bson::doc};
use rsadaptor::{
    DEFAULTS, Settings,
    app::App,
    infrastructure::{
        hs::Backend, kafka::on_record, rejections::Rejections, store::AppliedResources,
    },
};
use serde_json::{Value, json};
use testkit::{eventually, unique};
use tokio::time::Instant;

use crate::backend::FakeBackend;

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The settings for the servers under test, with a database of its own.
pub(crate) fn settings(backend: &str, more: &[(&str, &str)]) -> Settings {
    let mut environment = vec![
        ("RSADAPTOR__KAFKA__BOOTSTRAP_SERVERS".to_owned(), testkit::kafka()),
        ("RSADAPTOR__MONGO__URI".to_owned(), testkit::mongo_uri()),
        ("RSADAPTOR__MONGO__DATABASE".to_owned(), unique("rsadaptor")),
        ("RSADAPTOR__HS_ADMIN__BASE_URL".to_owned(), backend.to_owned()),
        ("RSADAPTOR__HTTP__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("RSADAPTOR__HS_ADMIN__TIMEOUT_SECONDS".to_owned(), "1".to_owned()),
        ("RSADAPTOR__DESTINATION__PROBE_INTERVAL_SECONDS".to_owned(), "0.3".to_owned()),
        ("RSADAPTOR__GATE__STATUS_INTERVAL_SECONDS".to_owned(), "0.1".to_owned()),
    ];
    environment.extend(more.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned())));
    chassis::settings::load("rsadaptor", DEFAULTS, None, environment).unwrap()
}

pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) backend: FakeBackend,
    pub(crate) chassis: Chassis,
    pub(crate) device: DeviceId,
    database: Database,
    replies: EventBusProducer,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        let backend = FakeBackend::default();
        let url = backend.serve().await;
        let settings = settings(&url, more);
        let chassis = Chassis::for_tests();
        let admin = HsAdmin::connect(&settings.hs_admin).unwrap();
        let (limits, probe) = (settings.gate.limits(), chassis.health.detail("hs-be"));
        let destination = Destination::new("hs-be", settings.destination);
        let batch = settings.batch.limits();
        let hs_be = Backend::new(admin, &settings.hs_admin, limits, batch, destination, probe);
        let database = chassis::mongo::connect(&settings.mongo).await.unwrap();
        let applied = AppliedResources::open(&database, settings.applied.limits()).await;
        let rejections = Rejections::default();
        let app = App { applied: applied.unwrap(), backend: hs_be, rejections };
        let replies = EventBusFactory::new("rsadaptor", settings.kafka);
        let replies = replies.producer(ClientType::Default).unwrap();
        let device = unique("d").parse().unwrap();
        Self { app, backend, chassis, device, database, replies }
    }

    /// The path of the test's device of this kind.
    pub(crate) fn path(&self, kind: &str) -> String {
        format!("/{kind}s/{}", self.device)
    }

    /// A full state of the test's device.
    pub(crate) fn state(&self, revision: u64, members: Value) -> Value {
        state(self.device.as_str(), revision, members)
    }

    pub(crate) async fn created(&self, revision: u64, members: Value) -> Outcome {
        self.handle("RSDeviceCreated", self.state(revision, members)).await
    }

    pub(crate) async fn deleted(&self, revision: u64, kind: &str) -> Outcome {
        self.handle("RSDeviceDeleted", self.deletion(revision, kind)).await
    }

    pub(crate) fn deletion(&self, revision: u64, kind: &str) -> Value {
        json!({
            "isp_id": "isp-1", "account_id": "a-1", "device_id": self.device.as_str(),
            "kind": kind, "revision": revision
        })
    }

    /// Hands a record over for its first attempt.
    pub(crate) async fn handle(&self, event_type: &str, data: Value) -> Outcome {
        self.attempt(&first(message(event_type, data))).await
    }

    pub(crate) async fn attempt(&self, delivery: &Delivery) -> Outcome {
        on_record(&self.app, &self.replies, delivery).await
    }

    /// One attempt as the bus makes it: where the record waits, `delivery` is its next one.
    pub(crate) async fn try_on(&self, delivery: &mut Delivery) -> Outcome {
        let outcome = self.attempt(delivery).await;
        if let Outcome::RetryAfter { counted, .. } = outcome {
            delivery.attempt += 1;
            delivery.counted += u32::from(counted);
            delivery.previous_failure_at = Some(Instant::now());
        }
        outcome
    }

    /// One attempt that fails by no fault of the record.
    pub(crate) async fn waits(&self, delivery: &mut Delivery) {
        let outcome = self.try_on(delivery).await;
        assert!(matches!(outcome, Outcome::RetryAfter { counted: false, .. }), "{outcome:?}");
    }

    /// Tries until the record is over.
    pub(crate) async fn ended(&self, delivery: &mut Delivery) -> Outcome {
        eventually("the record is over", LIMIT, async || {
            let outcome = self.try_on(delivery).await;
            (!matches!(outcome, Outcome::RetryAfter { .. })).then_some(outcome)
        })
        .await
    }

    /// The document of the test's device, without its id.
    pub(crate) async fn row(&self) -> Option<Document> {
        let row = self.rows().find_one(doc! { "_id": self.device.as_str() }).await.unwrap();
        row.map(|mut it| {
            it.remove("_id");
            it
        })
    }

    /// The document in one line: `kind revision`, and what is remarkable about it.
    pub(crate) async fn applied(&self) -> String {
        let Some(row) = self.row().await else { return "nothing".to_owned() };
        let (kind, revision) = (row.get_str("kind").unwrap(), row.get_i64("revision").unwrap());
        let tombstone = if row.get_bool("tombstone").unwrap() { " tombstone" } else { "" };
        let unknown = if row.contains_key("hash") { "" } else { " unknown" };
        format!("{kind} {revision}{tombstone}{unknown}")
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn rows(&self) -> Collection<Document> {
        self.database.collection("applied")
    }
}

pub(crate) fn state(device_id: &str, revision: u64, members: Value) -> Value {
    let mut state = json!({
        "isp_id": "isp-1", "account_id": "a-1", "device_id": device_id, "user_id": null,
        "revision": revision, "kind": "device", "name": "a", "device_type": "tablet",
        "is_iot": false, "mac": "3c:22:fb:01:02:03", "model": null, "serial": null,
        "enabled": true, "target_agent_package": null, "act_rules": [],
        "services": {
            "content_filtering": {
                "enabled": true, "categories": ["adult"], "safe_search": true, "schedules": [],
                "blocking_page_url": null
            },
            "threat_protection": { "enabled": true, "blocking_page_url": null }
        }
    });
    for (name, value) in members.as_object().unwrap() {
        state[name] = value.clone();
    }
    state
}

pub(crate) fn message(event_type: &str, data: Value) -> EventBusMessage {
    said::<RsProvisioningEvent>("/rsclient", event_type, &data)
}

/// What rsagents says.
pub(crate) fn of_agents(event_type: &str, data: &Value) -> EventBusMessage {
    said::<RsAgentEvent>("/rsagents", event_type, data)
}

/// What rsclient says of whole ISPs.
pub(crate) fn of_system(event_type: &str, data: &Value) -> EventBusMessage {
    said::<RsSystemEvent>("/rsclient", event_type, data)
}

fn said<E: TopicEvent>(source: &str, event_type: &str, data: &Value) -> EventBusMessage {
    let payload = serde_json::to_vec(data).unwrap();
    let event = E::decode(event_type, &payload).unwrap();
    let id = unique("cause");
    EventBusMessage::new(&event, source, Origin::Message { id: &id, n: 0 })
}

pub(crate) fn first(message: EventBusMessage) -> Delivery {
    Delivery::first(message, 5)
}

/// What `/healthz` says of the backend.
pub(crate) fn health(chassis: &Chassis) -> String {
    let report = serde_json::to_value(chassis.health.report()).unwrap();
    let probe = &report["probes"]["hs-be"];
    let reason = probe["reason"].as_str().map_or_else(String::new, |it| format!(": {it}"));
    format!("{}{reason}", probe["status"].as_str().unwrap())
}

/// The outcome without the times that are drawn.
pub(crate) fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Skipped(reason) => format!("skipped: {reason}"),
        Outcome::Reject { reason } => format!("rejected: {reason}"),
        Outcome::RetryAfter { counted, reason, .. } => {
            format!("again{}: {reason}", if *counted { ", counted" } else { "" })
        }
    }
}
