//! What cannot be handled is set aside, once, with its history; its key goes on.

use std::{sync::Arc, time::Duration};

use eventbus::{EventBusRegistry, Outcome};
use events::RECORD_BYTES_MAX;
use expect_test::expect;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use testkit::records::{Record, Sender};

use crate::bus::{Bus, Seen, retry, sees, settings};

/// The history of a dead letter, without what differs from run to run.
fn history(bus: &Bus, letter: &Record) -> String {
    let header = |name: &str| letter.headers.get(name).cloned().unwrap_or_default();
    assert_eq!((header("dlq_topic"), header("dlq_group")), (bus.topic.clone(), bus.group.clone()));
    assert!(header("dlq_failed_at").parse::<jiff::Timestamp>().is_ok());
    format!(
        "{} at {}/{} after {}: {}: {}",
        letter.key.as_deref().unwrap_or("no key"),
        header("dlq_partition"),
        header("dlq_offset"),
        header("dlq_attempts"),
        header("dlq_cause"),
        header("dlq_error"),
    )
}

#[tokio::test]
async fn what_cannot_be_handled_is_set_aside_and_its_key_goes_on() {
    let bus = Bus::new(1).await;
    for payload in ["wrong", "flaky", "panics", "good"] {
        bus.publish("k", payload).await;
    }
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |it| match it.message.payload.as_slice() {
        b"wrong" => Outcome::Reject { reason: "it is wrong".to_owned() },
        b"flaky" => retry(true),
        b"panics" => panic!("on purpose"),
        _ => Outcome::Done,
    });
    sees(&seen, 1).await;
    bus.commits(4).await;
    consumer.close().await;
    let letters = bus.dead_letters().await;
    let histories: Vec<String> = letters.iter().map(|it| history(&bus, it)).collect();
    expect![[r#"
        k at 0/0 after 1: rejected: it is wrong
        k at 0/1 after 3: exhausted: not now
        k at 0/2 after 3: exhausted: the callback panicked"#]]
    .assert_eq(&histories.join("\n"));
    assert_eq!(letters[0].payload, b"wrong");
    assert_eq!(letters[0].headers["ce_type"], "Said");
}

#[tokio::test]
async fn a_record_that_is_no_message_is_set_aside_as_it_is() {
    let bus = Bus::new(1).await;
    let sender = Sender::new(&bus.settings.bootstrap_servers).unwrap();
    let ce = |name: &'static str, value: &str| (name, value.to_owned());
    let good = [
        ce("ce_specversion", "1.0"),
        ce("ce_id", "1"),
        ce("ce_type", "Said"),
        ce("ce_source", "/x"),
    ];
    let without = |name: &str| good.iter().filter(|it| it.0 != name).cloned().collect::<Vec<_>>();
    let with = |more: (&'static str, String)| {
        let mut all = without(more.0);
        all.push(more);
        all
    };
    let cases = [
        without("ce_id"),
        without("ce_type"),
        with(ce("ce_specversion", "0.3")),
        with(ce("content-type", "application/xml")),
        with(ce("ce_tenant", "not an id")),
        with(ce("ce_lane", "express")),
    ];
    for headers in &cases {
        sender.send_raw(&bus.topic, Some("k"), headers, b"{}").await.unwrap();
    }
    let large = vec![b' '; RECORD_BYTES_MAX + 1];
    sender.send_raw(&bus.topic, Some("k"), &good, &large).await.unwrap();
    sender.send_raw(&bus.topic, Some("k"), &good, b"{}").await.unwrap();

    let seen = Seen::default();
    let consumer = bus.consume(&seen, |_| Outcome::Done);
    sees(&seen, 1).await;
    bus.commits(8).await;
    consumer.close().await;
    let letters = bus.dead_letters().await;
    let histories: Vec<String> = letters.iter().map(|it| history(&bus, it)).collect();
    expect![[r#"
        k at 0/0 after 1: undecodable: header `ce_id` is missing
        k at 0/1 after 1: undecodable: header `ce_type` is missing
        k at 0/2 after 1: undecodable: header `ce_specversion` is `0.3`, not `1.0`
        k at 0/3 after 1: undecodable: header `content-type` is `application/xml`, not application/json
        k at 0/4 after 1: undecodable: header `ce_tenant` isp_id must be 1 to 64 characters of A-Z a-z 0-9 ._:-
        k at 0/5 after 1: undecodable: header `ce_lane` is `express`, neither live nor sync
        k at 0/6 after 1: undecodable: the record has 1048577 bytes, more than 1048576"#]]
    .assert_eq(&histories.join("\n"));
    assert_eq!(letters[6].payload, large);
    for (name, value) in &good {
        assert_eq!(&letters[6].headers[*name], value);
    }
}

#[tokio::test]
async fn a_callback_that_never_answers_is_given_up_and_counts() {
    let mut settings = settings();
    settings.consumer.handler_limit_seconds = 1;
    settings.consumer.attempts_max = 1;
    let bus = Bus::with(1, settings).await;
    bus.publish("hangs", "1").await;
    bus.publish("goes on", "1").await;
    let (seen, consumer) = (Seen::default(), bus.consumer());
    let noted = Arc::clone(&seen);
    let registry = EventBusRegistry::new(&bus.topic, move |it| {
        let noted = Arc::clone(&noted);
        async move {
            if it.message.key.as_deref() == Some("hangs") {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            noted.lock().unwrap().push(crate::bus::shown(&it.message));
            Outcome::Done
        }
    });
    consumer.register(vec![registry]).unwrap();
    bus.commits(2).await;
    consumer.close().await;
    let letters = bus.dead_letters().await;
    assert_eq!(
        history(&bus, &letters[0]),
        "hangs at 0/0 after 1: exhausted: the callback took longer than 1 s"
    );
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_event_is_set_aside_and_one_for_others_is_skipped() {
    // A topic of the registry that no service consumes yet, in a group of the registry.
    let mut bus = Bus::new(1).await;
    testkit::topics::create(&bus.settings.bootstrap_servers).await.unwrap();
    bus.topic = "as-rs-event-topic".to_owned();
    bus.group = "rsclient".to_owned();
    let key = testkit::unique("k");
    let mut message = bus.message(Some(&key), "{}");
    for event_type in ["RSDeviceEventConnected", "RSInvented", "RSRouterAgentReported"] {
        message.event_type = event_type.into();
        bus.producer.publish(&message).await.unwrap();
    }
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |_| Outcome::Done);
    sees(&seen, 1).await;
    consumer.close().await;
    let letters = bus.dead_letters().await;
    let ours: Vec<_> = letters.iter().filter(|it| it.key.as_deref() == Some(&key)).collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].headers["dlq_cause"], "unknown_event_type");
    assert_eq!(ours[0].headers["ce_type"], "RSInvented");
}

#[tokio::test]
async fn a_record_that_was_replayed_and_fails_again_keeps_the_time_of_its_first_failure() {
    let bus = Bus::new(1).await;
    let sender = Sender::new(&bus.settings.bootstrap_servers).unwrap();
    let first = "2026-11-01T00:00:00Z";
    let headers = [("dlq_failed_at", first.to_owned()), ("dlq_error", "of then".to_owned())];
    sender.send_raw(&bus.topic, Some("k"), &headers, b"{}").await.unwrap();
    let consumer = bus.consume(&Seen::default(), |_| Outcome::Done);
    bus.commits(1).await;
    consumer.close().await;
    let letters = bus.dead_letters().await;
    assert_eq!(letters[0].headers["dlq_failed_at"], first);
    assert_eq!(letters[0].headers["dlq_error"], "header `ce_specversion` is missing");
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_written_waits_and_holds_up_nobody_else() {
    let mut settings = settings();
    settings.consumer.max_in_flight = 2;
    let bus = Bus::without_dead_letters(1, settings).await;
    for key in ["a", "b", "c"] {
        bus.publish(key, "wrong").await;
    }
    bus.publish("d", "good").await;
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |it| match it.message.payload.as_slice() {
        b"wrong" => Outcome::Reject { reason: "it is wrong".to_owned() },
        _ => Outcome::Done,
    });
    sees(&seen, 1).await;
    assert_eq!(bus.committed().await, [], "what is not set aside is not done");
    bus.make_dead_letters().await;
    bus.commits(4).await;
    consumer.close().await;
    let mut keys: Vec<_> = bus.dead_letters().await.into_iter().filter_map(|it| it.key).collect();
    keys.dedup();
    keys.sort();
    keys.dedup();
    assert_eq!(keys, ["a", "b", "c"]);
}

/// Compressed, it is small enough for any broker.
#[tokio::test]
async fn a_record_of_which_nothing_fits_is_set_aside_with_its_history_alone() {
    let bus = Bus::new(1).await;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &bus.settings.bootstrap_servers)
        .set("message.max.bytes", "20000000")
        .set("compression.type", "zstd")
        .create()
        .unwrap();
    let large = vec![b'0'; 5 << 20];
    let headers = OwnedHeaders::new().insert(Header { key: "more", value: Some(&large) });
    let record = FutureRecord::to(&bus.topic).key("k").payload("wrong").headers(headers);
    producer.send(record, Duration::from_secs(9)).await.unwrap();
    bus.publish("k", "good").await;
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |_| Outcome::Done);
    sees(&seen, 1).await;
    consumer.close().await;
    let letters = bus.dead_letters().await;
    let histories: Vec<String> = letters.iter().map(|it| history(&bus, it)).collect();
    assert_eq!(
        histories,
        ["no key at 0/0 after 1: undecodable: header `ce_specversion` is missing"]
    );
    assert_eq!(
        (letters[0].headers["dlq_value_bytes"].as_str(), letters[0].headers.len()),
        ("5", 9)
    );
}
