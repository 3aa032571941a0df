//! The service under test: its callback on a real store and a real broker.

use std::collections::BTreeMap;

use chassis::Chassis;
use eventbus::{ClientType, Delivery, EventBusFactory, EventBusMessage, Origin, Outcome};
use events::{ConfigurationEvent, ProvisioningEvent, RsAgentEvent, RsEvent, TopicEvent};
use mongodb::{
    Database,
    bson::{Document, doc},
};
use rsclient::{
    app::App,
    infrastructure::kafka::on_record,
    settings::{DEFAULTS, Settings},
};
use serde_json::{Value, json};
use testkit::{records::Record, unique};

const SAID: &str = "as-rs-provision-topic";

/// A service with a database of its own, and ids of its own.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) isp: String,
    pub(crate) account: String,
    pub(crate) database: Database,
    prefix: String,
    pub(crate) kafka: String,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        let mut environment = vec![
            ("RSCLIENT__KAFKA__BOOTSTRAP_SERVERS".to_owned(), testkit::kafka()),
            ("RSCLIENT__MONGO__URI".to_owned(), testkit::mongo_uri()),
            ("RSCLIENT__MONGO__DATABASE".to_owned(), unique("rsclient")),
        ];
        environment.extend(more.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned())));
        let settings: Settings =
            chassis::settings::load("rsclient", DEFAULTS, None, environment).unwrap();
        let _chassis = Chassis::for_tests();
        let kafka = testkit::kafka();
        testkit::topics::create(&kafka).await.unwrap();
        let database = chassis::mongo::connect(&settings.mongo).await.unwrap();
        let bus = EventBusFactory::new("rsclient", settings.kafka.clone());
        let bus = bus.producer(ClientType::Default).unwrap();
        let app = App::open(&settings, &database, bus).await.unwrap();
        let prefix = unique("t");
        let (isp, account) = (format!("{prefix}-isp"), format!("{prefix}-a"));
        Self { app, isp, account, database, prefix, kafka }
    }

    /// An id that no other test has.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    pub(crate) fn account(&self, revision: u64, members: Value) -> Value {
        let account = json!({
            "isp_id": self.isp, "account_id": self.account, "revision": revision,
            "status": "active",
        });
        with(account, members)
    }

    pub(crate) fn user(&self, name: &str, revision: u64, members: Value) -> Value {
        let user = json!({
            "isp_id": self.isp, "account_id": self.account, "user_id": self.id(name),
            "revision": revision, "name": name, "kind": "child", "age_group": "child",
        });
        with(user, members)
    }

    pub(crate) fn device(&self, name: &str, revision: u64, members: Value) -> Value {
        let device = json!({
            "isp_id": self.isp, "account_id": self.account, "device_id": self.id(name),
            "revision": revision, "kind": "device", "name": name, "device_type": "tablet",
            "mac": "3c:22:fb:01:02:03",
        });
        with(device, members)
    }

    /// The payload of a deletion of what `entity` is the id of, such as `device_id`.
    pub(crate) fn deletion(&self, entity: &str, id: &str, revision: u64) -> Value {
        let deletion = json!({
            "isp_id": self.isp, "account_id": self.account, "revision": revision,
        });
        with(deletion, json!({ entity: id }))
    }

    /// Hands a record over for its first attempt.
    pub(crate) async fn handle(&self, event_type: &str, data: Value) -> Outcome {
        on_record(&self.app, &first(message(event_type, &data))).await
    }

    /// Hands a record over that must be done.
    pub(crate) async fn done(&self, event_type: &str, data: Value) {
        assert_eq!(self.handle(event_type, data).await, Outcome::Done);
    }

    /// Every record that was published about our entities, in order per key.
    pub(crate) async fn published(&self) -> Vec<Record> {
        let mut all = testkit::records::read(&self.kafka, SAID).await.unwrap();
        all.retain(|it| it.key.as_ref().is_some_and(|it| it.starts_with(&self.prefix)));
        all
    }

    /// What was published, one line a record: event type, entity, and `member` where it has one.
    pub(crate) async fn said(&self, member: &str) -> String {
        let line = |it: &Record| {
            let payload = it.json().unwrap();
            let value = payload.pointer(member).map_or(String::new(), |it| format!(" {it}"));
            let key = it.key.as_ref().unwrap().replace(&format!("{}-", self.prefix), "");
            format!("{} {key}{value}", it.headers["ce_type"])
        };
        let mut lines: Vec<String> = self.published().await.iter().map(line).collect();
        // The order between keys is nobody's business; that within a key stays.
        lines.sort_by_key(|it| it.split(' ').nth(1).map(str::to_owned));
        lines.join("\n")
    }

    /// The last that was published about each device, without its revision.
    pub(crate) async fn last_said(&self) -> BTreeMap<String, (String, Value)> {
        let mut last: BTreeMap<String, (u64, String, Value)> = BTreeMap::new();
        for record in self.published().await {
            let mut payload = record.json().unwrap();
            let revision = payload["revision"].take().as_u64().unwrap();
            let event_type = record.headers["ce_type"].clone();
            let entry = last.entry(record.key.unwrap()).or_default();
            if revision >= entry.0 {
                *entry = (revision, event_type, payload);
            }
        }
        last.into_iter().map(|(id, (_, event_type, it))| (id, (event_type, it))).collect()
    }

    /// Sets members of a stored document behind the service's back.
    pub(crate) async fn change(&self, collection: &str, id: &str, members: Document) {
        let documents = self.database.collection::<Document>(collection);
        let changed = documents.update_one(doc! { "_id": id }, doc! { "$set": members }).await;
        assert_eq!(changed.unwrap().matched_count, 1);
    }

    /// A stored document.
    pub(crate) async fn stored(&self, collection: &str, id: &str) -> Document {
        let documents = self.database.collection::<Document>(collection);
        documents.find_one(doc! { "_id": id }).await.unwrap().unwrap()
    }
}

pub(crate) fn with(mut value: Value, members: Value) -> Value {
    for (name, member) in members.as_object().unwrap() {
        value[name] = member.clone();
    }
    value
}

/// A message as accounts or customconfig would send it, well formed or not.
pub(crate) fn message(event_type: &str, data: &Value) -> EventBusMessage {
    let topic = if event_type.starts_with("ISP") {
        ConfigurationEvent::topic().name
    } else if event_type == "RSRouterAgentReported" {
        RsEvent::topic().name
    } else if event_type.starts_with("RS") {
        RsAgentEvent::topic().name
    } else {
        ProvisioningEvent::topic().name
    };
    let id = unique("cause");
    let origin = Origin::Message { id: &id, n: 0 };
    // Any event gives the envelope; type, topic and payload are replaced.
    let any = ProvisioningEvent::AccountDeleted(events::DeletedAccount {
        isp_id: "x".parse().unwrap(),
        account_id: "x".parse().unwrap(),
        revision: 0.try_into().unwrap(),
    });
    let mut message = EventBusMessage::new(&any, "/accounts", origin);
    message.event_type = event_type.into();
    message.topic = topic.into();
    message.payload = serde_json::to_vec(data).unwrap();
    message.attributes.tenant = data["isp_id"].as_str().and_then(|it| it.parse().ok());
    message
}

pub(crate) fn first(message: EventBusMessage) -> Delivery {
    Delivery::first(message, 5)
}

/// What became of a record, in a line.
pub(crate) fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Skipped(reason) => format!("skipped: {reason}"),
        Outcome::Reject { reason } => format!("rejected: {reason}"),
        Outcome::RetryAfter { reason, .. } => format!("again: {reason}"),
    }
}
