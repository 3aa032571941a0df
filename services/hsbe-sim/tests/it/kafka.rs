//! The Kafka admin interface, from the client of the fleet to the simulator.

use eventbus::{
    Attributes, Cluster, EventBusMessage, EventBusProducer, ProducerConfig, Serializer,
    TraceContext,
};
use events::{DeviceId, Revision};
use hs_admin::{
    ACCOUNT_TOPIC, Answer, FeatureFlags, HsAdmin, Mode, Resource, RouterConfiguration, Settings,
    SystemDocument, SystemRouterDNS,
};
use serde_json::{Value, json};
use testkit::{eventually, unique};

use crate::{
    bodies,
    client::{put_device, settings},
    service::{self, LIMIT, Service},
};

const PUBLISHED: Answer = Answer::Done { http_status: 202 };

fn producer() -> EventBusProducer {
    let cluster = Cluster {
        bootstrap_servers: testkit::kafka(),
        security: Default::default(),
        properties: Default::default(),
    };
    let config = ProducerConfig {
        tag: "test".to_owned(),
        cluster,
        properties: Default::default(),
        flush_every_message: true,
    };
    EventBusProducer::new(config, Serializer::External).expect("a producer")
}

/// A simulator that consumes, and a client that publishes to it.
async fn start() -> (Service, HsAdmin) {
    testkit::topics::create(&testkit::kafka()).await.expect("topics");
    let (servers, group) = (testkit::kafka(), unique("hs-be"));
    let text = format!("[kafka]\nbootstrap_servers = \"{servers}\"\ngroup = \"{group}\"\n");
    let service = service::start(&text).await;
    let settings =
        Settings { mode: Mode::Kafka, timeout_seconds: 10, ..settings(&service.base, None) };
    let client = HsAdmin::over_kafka(&settings, producer()).expect("a client");
    (service, client)
}

fn revision(number: u64) -> Revision {
    number.try_into().expect("a revision")
}

/// Waits until this is held of a resource.
async fn holds(service: &Service, kind: &str, id: &str, expected: &Value) {
    eventually(&format!("{kind}/{id}"), LIMIT, async || {
        (service.get("/sim/dump").await[kind][id] == *expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_documents_and_deletions_arrive() {
    let (service, client) = start().await;
    let (device, router, isp) = (unique("d"), unique("r"), unique("isp"));
    assert_eq!(put_device(&client, &device, 5).await, PUBLISHED);
    holds(&service, "devices", &device, &bodies::device(&device)).await;
    assert_eq!(service.history(&format!("/devices/{device}")).await, "KAFKA 5 204");

    let id: DeviceId = router.parse().expect("an id");
    let body = bodies::router(&router);
    let model: RouterConfiguration = serde_json::from_value(body.clone()).expect("a router");
    let resource = Resource::Router(id.clone());
    assert_eq!(client.put(&resource, &model, revision(1)).await, PUBLISHED);
    holds(&service, "routers", &router, &body).await;

    let dns = json!({"enabled": true, "allowed": ["192.0.2.53"]});
    let model: SystemRouterDNS = serde_json::from_value(dns.clone()).expect("a document");
    let document = Resource::System(isp.parse().expect("an id"), SystemDocument::RouterDns);
    assert_eq!(client.put(&document, &model, revision(7)).await, PUBLISHED);
    holds(&service, "system", &format!("{isp}/router-dns"), &dns).await;

    // What the interface does not know goes by REST.
    let flags: FeatureFlags = serde_json::from_value(bodies::flags()).expect("flags");
    let answer = client.put(&Resource::FeatureFlags(id), &flags, revision(1)).await;
    assert_eq!(answer, Answer::Done { http_status: 204 });

    assert_eq!(client.delete(&resource, revision(2)).await, PUBLISHED);
    holds(&service, "routers", &router, &Value::Null).await;
    assert_eq!(service.history(&format!("/routers/{router}")).await, "KAFKA 1 204, KAFKA 2 204");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_wrong_are_counted_and_those_behind_them_taken() {
    let (service, client) = start().await;
    let producer = producer();
    let (wrong, right) = (unique("d"), unique("d"));
    let other_key = unique("d");
    for (event_type, key, payload) in [
        ("device_configuration", &wrong, json!({"id": wrong, "revision": 3, "configuration": {}})),
        (
            "device_configuration",
            &other_key,
            json!({"id": wrong, "revision": 3, "configuration": {}}),
        ),
        ("router_reboot", &wrong, json!({"id": wrong, "revision": 3, "configuration": {}})),
        ("device_configuration", &wrong, json!({"id": wrong})),
    ] {
        let message = EventBusMessage {
            event_type: event_type.into(),
            topic: ACCOUNT_TOPIC.into(),
            payload: serde_json::to_vec(&payload).expect("JSON"),
            trace_id: TraceContext::default(),
            key: Some(key.as_str().into()),
            timestamp: jiff::Timestamp::now(),
            attributes: Attributes::default(),
        };
        producer.publish(&message).await.expect("published");
    }
    assert_eq!(put_device(&client, &right, 1).await, PUBLISHED);
    holds(&service, "devices", &right, &bodies::device(&right)).await;
    eventually("all are counted", LIMIT, async || {
        let summary = service.get("/sim/summary").await;
        summary["rejected"].as_u64().is_some_and(|it| it >= 4).then_some(())
    })
    .await;
    assert_eq!(service.history(&format!("/devices/{wrong}")).await, "KAFKA 3 422");
    service.stop().await;
}
