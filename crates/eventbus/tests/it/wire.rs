//! How a message looks to a foreign client.

use eventbus::{
    Attributes, ClientType, Cluster, EventBusFactory, EventBusMessage, EventBusRegistry, Lane,
    Origin, Outcome, PublishError, TraceContext,
};
use events::{ChangedUser, RECORD_BYTES_MAX, RsProvisioningEvent};
use expect_test::expect;
use serde_json::Value;
use testkit::records::{Sender, read};

use crate::bus::{Bus, Seen, sees};

#[tokio::test]
async fn a_message_is_a_cloud_event_with_all_that_its_envelope_says() {
    let bus = Bus::new(1).await;
    let trace = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    let message = EventBusMessage {
        timestamp: "2026-11-21T10:00:00Z".parse().unwrap(),
        trace_id: TraceContext(trace.map(|(name, it)| (name.to_owned(), it.to_owned())).into()),
        attributes: Attributes {
            id: "id-1".into(),
            source: "/rsclient".into(),
            subject: Some("d-1".into()),
            tenant: Some("isp-1".parse().unwrap()),
            request_id: Some("j-1/accounts/000001/d-1".parse().unwrap()),
            job_id: Some("j-1".parse().unwrap()),
            lane: Lane::Sync,
            expires_at: Some("2026-11-21T10:01:00Z".parse().unwrap()),
            force: true,
        },
        ..bus.message(Some("d-1"), r#"{"a":1}"#)
    };
    bus.producer.publish(&message).await.unwrap();
    let records = read(&bus.settings.bootstrap_servers, &bus.topic).await.unwrap();
    let headers: Vec<String> =
        records[0].headers.iter().map(|(name, it)| format!("{name}: {it}")).collect();
    expect![[r#"
        ce_expiresat: 2026-11-21T10:01:00Z
        ce_force: true
        ce_id: id-1
        ce_jobid: j-1
        ce_lane: sync
        ce_requestid: j-1/accounts/000001/d-1
        ce_source: /rsclient
        ce_specversion: 1.0
        ce_subject: d-1
        ce_tenant: isp-1
        ce_time: 2026-11-21T10:00:00Z
        ce_type: Said
        content-type: application/json
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"#]]
    .assert_eq(&headers.join("\n"));
    assert_eq!(
        (records[0].key.as_deref(), records[0].payload.as_slice()),
        (Some("d-1"), &b"{\"a\":1}"[..])
    );

    let (arrive, mut arrived) = tokio::sync::mpsc::channel(1);
    let consumer = bus.consumer();
    let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
        let arrive = arrive.clone();
        async move {
            arrive.send(delivery.message).await.unwrap();
            Outcome::Done
        }
    });
    consumer.register(vec![registry]).unwrap();
    assert_eq!(arrived.recv().await.unwrap(), message);
    consumer.close().await;
}

#[tokio::test]
async fn a_bare_json_object_is_a_message_of_the_external_broker_and_back() {
    let mut bus = Bus::new(1).await;
    bus.settings.external = Some(Cluster {
        bootstrap_servers: bus.settings.bootstrap_servers.clone(),
        security: Default::default(),
        properties: Default::default(),
    });
    let factory = EventBusFactory::new("test", bus.settings.clone());
    let sender = Sender::new(&bus.settings.bootstrap_servers).unwrap();
    let foreign = br#"{"event_type":"device_event_active","timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","active":true}"#;
    sender.send_raw(&bus.topic, Some("d-1"), &[], foreign).await.unwrap();
    let message = EventBusMessage {
        timestamp: "2026-11-21T10:00:00Z".parse().unwrap(),
        ..bus.message(Some("d-1"), r#"{"device":{"id":"d-1"}}"#)
    };
    let producer = factory.producer(ClientType::External).unwrap();
    producer.publish(&message).await.unwrap();

    let records = read(&bus.settings.bootstrap_servers, &bus.topic).await.unwrap();
    let written: Value = records[1].json().unwrap();
    assert_eq!(
        written,
        serde_json::json!({"event_type":"Said","timestamp":"2026-11-21T10:00:00Z","device":{"id":"d-1"}})
    );
    assert!(records[1].headers.is_empty(), "{:?}", records[1].headers);

    let seen = Seen::default();
    let consumer = factory.consumer(&bus.group, ClientType::External).unwrap();
    let registry = bus.registry(&seen, |it| match it.message.attributes.source.as_str() {
        "/hs-be" => Outcome::Done,
        other => Outcome::Reject { reason: other.to_owned() },
    });
    consumer.register(vec![registry]).unwrap();
    sees(&seen, 2).await;
    consumer.close().await;
    assert_eq!(seen.lock().unwrap()[0].1.as_bytes(), foreign);
}

#[test]
fn a_repetition_has_the_same_id_and_another_cause_another() {
    let event = RsProvisioningEvent::RSUserUpdated(ChangedUser {
        isp_id: "isp-1".parse().unwrap(),
        account_id: "a-1".parse().unwrap(),
        user_id: "u-1".parse().unwrap(),
        revision: 3.try_into().unwrap(),
    });
    let id = |origin| EventBusMessage::new(&event, "/rsclient", origin).attributes.id;
    let (one, two) = (Origin::Message { id: "c", n: 0 }, Origin::Message { id: "c", n: 1 });
    let state = Origin::State { entity: "u-1", revision: 3.try_into().unwrap() };
    assert_eq!(id(one), id(one));
    assert_ne!(id(one), id(two));
    assert_ne!(id(one), id(state));
    let message = EventBusMessage::new(&event, "/rsclient", one);
    assert_eq!(message.topic, "as-rs-provision-topic");
    assert_eq!(message.key.as_deref(), Some("u-1"));
    assert_eq!(message.attributes.tenant.unwrap().as_str(), "isp-1");
}

#[tokio::test]
async fn a_message_that_no_consumer_would_take_is_not_published() {
    let bus = Bus::new(1).await;
    let mut message = bus.message(Some("k"), "");
    message.payload = vec![b' '; RECORD_BYTES_MAX + 1];
    let refused = bus.producer.publish(&message).await;
    assert!(matches!(refused, Err(PublishError::TooLarge(topic)) if topic == bus.topic));
    message.payload.pop();
    bus.producer.publish(&message).await.unwrap();
}

#[tokio::test]
async fn of_messages_that_are_published_together_each_has_its_own_answer() {
    let bus = Bus::new(1).await;
    let mut messages: Vec<_> = (0..50).map(|n| bus.message(Some("k"), &n.to_string())).collect();
    messages[20].payload = vec![b'1'; RECORD_BYTES_MAX + 1];
    let published = bus.producer.publish_all(messages.clone()).await;
    assert_eq!(published.len(), messages.len());
    assert!(matches!(&published[20], Err(PublishError::TooLarge(topic)) if *topic == bus.topic));
    messages.remove(20);
    let offsets: Vec<i64> = published.iter().flatten().map(|it| it.offset).collect();
    assert_eq!(offsets, (0..49).collect::<Vec<_>>());
    let records = read(&bus.settings.bootstrap_servers, &bus.topic).await.unwrap();
    let said: Vec<&[u8]> = records.iter().map(|it| it.payload.as_slice()).collect();
    assert_eq!(said, messages.iter().map(|it| it.payload.as_slice()).collect::<Vec<_>>());
}

#[tokio::test]
async fn more_messages_than_the_client_has_room_for_are_published_in_their_order() {
    let mut bus = Bus::new(1).await;
    bus.settings.producer.properties.insert("queue.buffering.max.messages".into(), "10".into());
    let producer =
        EventBusFactory::new("test", bus.settings.clone()).producer(ClientType::Default).unwrap();
    let messages = (0..100).map(|n| bus.message(Some("k"), &n.to_string())).collect();
    let published = producer.publish_all(messages).await;
    let offsets: Vec<i64> = published.into_iter().map(|it| it.unwrap().offset).collect();
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_no_broker_takes_is_given_up_before_the_call_that_says_it() {
    let bus = Bus::new(1).await;
    let mut settings = bus.settings.clone();
    // Nobody listens there.
    settings.bootstrap_servers = "127.0.0.1:1".to_owned();
    // Calls take 30 s.
    let limit = std::time::Duration::from_secs(25);
    let producer = EventBusFactory::new("test", settings).producer(ClientType::Default).unwrap();
    let message = bus.message(Some("k"), "1");
    let published = tokio::time::timeout(limit, producer.publish(&message)).await;
    assert!(matches!(published, Ok(Err(PublishError::Deliver { .. }))), "{published:?}");
}
