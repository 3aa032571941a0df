//! The service under test: its callbacks on a real store and a real broker.

use chassis::Chassis;
use eventbus::{
    Attributes, ClientType, Delivery, EventBusFactory, EventBusMessage, Outcome, TraceContext,
};
use mongodb::{
    Database,
    bson::{Document, doc},
};
use rsevents::{
    app::App,
    infrastructure::kafka::{on_events, on_provisioning},
    settings::{DEFAULTS, Settings},
};
use serde_json::{Value, json};
use testkit::{records::Record, unique};

pub(crate) const COMMANDS: &str = "as-provision-command-topic";
pub(crate) const RS_EVENTS: &str = "as-rs-event-topic";
pub(crate) const NOTIFICATIONS: &str = "as-notification-topic";
pub(crate) const REPORTS: &str = "as-wsp-request-topic";
pub(crate) const ALL: [&str; 4] = [COMMANDS, RS_EVENTS, NOTIFICATIONS, REPORTS];

/// A service with a database of its own, and an ISP of its own with one household.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) isp: String,
    pub(crate) account: String,
    pub(crate) database: Database,
    pub(crate) kafka: String,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these settings, named without the service's prefix.
    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        testkit::topics::create(&testkit::kafka()).await.unwrap();
        let isp = unique("isp");
        Self::open(&unique("rsevents"), &isp, more).await
    }

    /// Another process of the same service.
    pub(crate) async fn beside(&self) -> Self {
        Self::open(self.database.name(), &self.isp, &[]).await
    }

    async fn open(database: &str, isp: &str, more: &[(&str, &str)]) -> Self {
        let kafka = testkit::kafka();
        let mut environment = vec![
            ("RSEVENTS__KAFKA__BOOTSTRAP_SERVERS".to_owned(), kafka.clone()),
            ("RSEVENTS__MONGO__URI".to_owned(), testkit::mongo_uri()),
            ("RSEVENTS__MONGO__DATABASE".to_owned(), database.to_owned()),
        ];
        let more = more.iter().map(|(name, it)| (format!("RSEVENTS__{name}"), (*it).to_owned()));
        environment.extend(more);
        let settings: Settings =
            chassis::settings::load("rsevents", DEFAULTS, None, environment).unwrap();
        let _chassis = Chassis::for_tests();
        let database = chassis::mongo::connect(&settings.mongo).await.unwrap();
        let bus = EventBusFactory::new("rsevents", settings.kafka.clone());
        let bus = bus.producer(ClientType::Default).unwrap();
        let app = App::open(&settings, &database, bus).await.unwrap();
        let (isp, account) = (isp.to_owned(), format!("{isp}-a"));
        Self { app, isp, account, database, kafka }
    }

    /// An id that no other test has.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.isp)
    }

    pub(crate) fn account(&self, revision: u64) -> Value {
        json!({"isp_id": self.isp, "account_id": self.account, "revision": revision,
            "status": "active"})
    }

    pub(crate) fn device(&self, name: &str, revision: u64) -> Value {
        json!({"isp_id": self.isp, "account_id": self.account, "device_id": self.id(name),
            "revision": revision, "kind": "device", "name": name, "device_type": "tablet",
            "mac": "3c:22:fb:01:02:03"})
    }

    /// The household with these devices.
    pub(crate) fn home(&self, names: &[&str]) -> Value {
        let devices: Vec<Value> = names.iter().map(|it| self.device(it, 10)).collect();
        json!({"isp_id": self.isp, "account": self.account(10), "users": [], "devices": devices})
    }

    /// Hands over what provisioning says.
    pub(crate) async fn provision(&self, event_type: &str, data: &Value) -> Outcome {
        let mut message = self.message(event_type, "as-provision-topic", data);
        message.attributes.tenant = data["isp_id"].as_str().map(|it| it.parse().unwrap());
        on_provisioning(&self.app, &Delivery::first(message, 5)).await
    }

    /// Provisions the household with these devices.
    pub(crate) async fn provide(&self, names: &[&str]) {
        let done = self.provision("ProvisionCreated", &self.home(names)).await;
        assert_eq!(done, Outcome::Done);
    }

    /// An event of a device, now, with an id of its own; these members are added or replaced.
    pub(crate) fn event(&self, event_type: &str, device: &str, members: &Value) -> Delivery {
        let mut event = json!({
            "event_type": event_type, "timestamp": jiff_now(), "event_id": unique("e"),
            "isp_id": self.isp, "device_id": self.id(device),
        });
        for (name, member) in members.as_object().unwrap() {
            event[name] = member.clone();
        }
        let mut message = self.message(event_type, "hs-event-topic", &event);
        message.key = Some(self.id(device).into());
        message.attributes.id = event["event_id"].as_str().unwrap().into();
        Delivery::first(message, 5)
    }

    /// What a device says of its activity, now but for the fraction of the second, which tells several apart.
    pub(crate) fn activity(&self, device: &str, active: bool, millisecond: u32) -> Delivery {
        let mut at = jiff_now();
        at.truncate("0000-00-00T00:00:00".len());
        let at = format!("{at}.{millisecond:03}Z");
        self.event("device_event_active", device, &json!({"active": active, "timestamp": at}))
    }

    /// Hands over a batch of events.
    pub(crate) async fn take(&self, batch: &[Delivery]) -> Vec<Outcome> {
        on_events(&self.app, batch).await
    }

    /// Hands over one event that must be told.
    pub(crate) async fn told(&self, delivery: Delivery) {
        assert_eq!(self.take(&[delivery]).await, [Outcome::Done]);
    }

    /// What was published for the ISP, topic by topic.
    pub(crate) async fn published(&self) -> Vec<(&'static str, Record)> {
        published(&self.kafka, &self.isp).await
    }

    /// The same, one line a record: topic, event type, key, and the payload without what differs between runs.
    pub(crate) async fn said(&self) -> String {
        let line = |(topic, it): (&str, Record)| {
            let mut payload = it.json().unwrap();
            let named = payload.as_object_mut().unwrap();
            named.remove("at");
            named.remove("isp_id");
            let line = format!(
                "{topic} {} [{}] {payload}",
                it.headers["ce_type"],
                it.key.unwrap_or_default()
            );
            line.replace(&format!("{}-", self.isp), "")
        };
        let lines: Vec<String> = self.published().await.into_iter().map(line).collect();
        lines.join("\n")
    }

    /// The account of each `RSDeviceEventConnected`, in order of the broker.
    pub(crate) async fn accounts_told(&self) -> Vec<String> {
        let all = self.published().await.into_iter().filter(|it| it.0 == RS_EVENTS);
        all.map(|it| it.1.json().unwrap()["account_id"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn connected(&self, device: &str) -> Delivery {
        let members = json!({"router_id": "r-1", "mac": "3c:22:fb:01:02:03"});
        self.event("device_event_connected", device, &members)
    }

    /// A stored document.
    pub(crate) async fn stored(&self, collection: &str, id: &str) -> Option<Document> {
        let documents = self.database.collection::<Document>(collection);
        documents.find_one(doc! { "_id": id }).await.unwrap()
    }

    fn message(&self, event_type: &str, topic: &str, data: &Value) -> EventBusMessage {
        EventBusMessage {
            event_type: event_type.into(),
            topic: topic.into(),
            payload: serde_json::to_vec(data).unwrap(),
            trace_id: TraceContext::default(),
            key: Some(self.account.as_str().into()),
            timestamp: jiff::Timestamp::now(),
            attributes: Attributes {
                id: unique("cause").into(),
                source: "/test".into(),
                ..Attributes::default()
            },
        }
    }
}

/// What was published for an ISP, topic by topic.
pub(crate) async fn published(kafka: &str, isp: &str) -> Vec<(&'static str, Record)> {
    let mut published = Vec::new();
    for topic in ALL {
        let all = testkit::records::read(kafka, topic).await.unwrap();
        let is_ours = |it: &Record| it.headers.get("ce_tenant").is_some_and(|it| it == isp);
        published.extend(all.into_iter().filter(is_ours).map(|it| (topic, it)));
    }
    published
}

pub(crate) fn jiff_now() -> String {
    jiff::Timestamp::now().to_string()
}

/// What became of records, in words.
pub(crate) fn shown(outcomes: &[Outcome]) -> Vec<String> {
    let shown = outcomes.iter().map(|it| match it {
        Outcome::Done => "done".to_owned(),
        Outcome::Skipped(reason) => format!("skipped: {reason}"),
        Outcome::Reject { reason } => format!("rejected: {reason}"),
        Outcome::RetryAfter { reason, .. } if reason.is_empty() => "held".to_owned(),
        Outcome::RetryAfter { reason, counted, .. } => format!("again ({counted}): {reason}"),
    });
    shown.collect()
}
