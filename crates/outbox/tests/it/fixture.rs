//! A collection with a relay, as a service would have it.

use std::collections::BTreeMap;

use eventbus::{EventBusMessage, EventBusProducer, Origin, ProducerConfig, Serializer};
use events::{IspId, LanProtection, Revision, RsSystemEvent, SystemConfiguration, TopicEvent as _};
use mongodb::{
    Database,
    bson::{Document, doc},
};
use outbox::{Outbox, raised};
use serde::Deserialize;
use serde_json::json;
use testkit::{records::Record, unique};

/// What the tests store.
#[derive(Deserialize)]
pub(crate) struct Switch {
    #[serde(rename = "_id")]
    id: IspId,
    revision: Revision,
    on: bool,
}

const COLLECTION: &str = "switches";

pub(crate) struct Switches {
    database: Database,
    pub(crate) id: String,
}

/// A broker that does not answer.
pub(crate) const NOBODY: &str = "127.0.0.1:1";

impl Switches {
    pub(crate) async fn new() -> Self {
        let settings = json!({
            "uri": testkit::mongo_uri(), "database": unique("outbox"),
            "server_selection_seconds": 10, "max_connections": 20,
        });
        chassis::tls::install_provider();
        let settings = serde_json::from_value(settings).unwrap();
        let database = chassis::mongo::connect(&settings).await.unwrap();
        testkit::topics::create(&testkit::kafka()).await.unwrap();
        Self { database, id: unique("isp") }
    }

    /// A process that tells, by this broker.
    pub(crate) async fn relay(&self, bootstrap: &str) -> Outbox<Switch> {
        let bus = producer(bootstrap);
        Outbox::open(&self.database, COLLECTION, bus, |it: &Switch| vec![said(it)]).await.unwrap()
    }

    /// Changes a document, as a request does.
    pub(crate) async fn turn(&self, id: &str, on: bool) {
        let mut set = raised(0);
        set.insert("on", on);
        let documents = self.database.collection::<Document>(COLLECTION);
        let change = documents.update_one(doc! { "_id": id }, vec![doc! { "$set": set }]);
        change.upsert(true).await.unwrap();
    }

    pub(crate) async fn set(&self, id: &str, members: Document) {
        let documents = self.database.collection::<Document>(COLLECTION);
        documents.update_one(doc! { "_id": id }, doc! { "$set": members }).await.unwrap();
    }

    pub(crate) async fn stored(&self, id: &str) -> Document {
        let documents = self.database.collection::<Document>(COLLECTION);
        documents.find_one(doc! { "_id": id }).await.unwrap().unwrap()
    }

    pub(crate) async fn is_told(&self, id: &str) -> bool {
        let stored = self.stored(id).await;
        let marked = stored.contains_key("untold") || stored.contains_key("untold_since");
        let told = stored.get_i64("told").unwrap() == stored.get_i64("revision").unwrap();
        assert_eq!(told, !marked, "{stored}");
        told
    }

    /// What the others were told of a document, in order.
    pub(crate) async fn told(&self, id: &str) -> Vec<Record> {
        let topic = RsSystemEvent::topic().name;
        let mut records = testkit::records::read(&testkit::kafka(), topic).await.unwrap();
        records.retain(|it| it.key.as_deref() == Some(id));
        records
    }
}

/// Whether the switch is on, as a record says it.
pub(crate) fn is_on(record: &Record) -> bool {
    record.json().unwrap()["lan_protection"]["enabled"].as_bool().unwrap()
}

fn said(switch: &Switch) -> EventBusMessage {
    let event = RsSystemEvent::RSSystemUpdated(SystemConfiguration {
        isp_id: switch.id.clone(),
        revision: switch.revision,
        lan_protection: LanProtection { enabled: switch.on, isolate_iot: false, arp_guard: false },
        advanced: events::AdvancedConfiguration {
            log_level: "info".to_owned().try_into().unwrap(),
            telemetry: false,
            features: events::Flags::new(),
        },
    });
    let origin = Origin::State { entity: switch.id.as_str(), revision: switch.revision };
    EventBusMessage::new(&event, "/tests", origin)
}

fn producer(bootstrap: &str) -> EventBusProducer {
    let cluster = json!({ "bootstrap_servers": bootstrap });
    let soon = ("message.timeout.ms".to_owned(), "1000".to_owned());
    let config = ProducerConfig {
        tag: "outbox-tests".to_owned(),
        cluster: serde_json::from_value(cluster).unwrap(),
        properties: BTreeMap::from_iter((bootstrap == NOBODY).then_some(soon)),
        flush_every_message: false,
    };
    EventBusProducer::new(config, Serializer::Default).unwrap()
}
