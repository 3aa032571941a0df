//! What is handed back is handled as if it had just come, in its order.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};

use crate::mailbox::{LIMIT, Mailbox};

fn payloads_of(seen: &[(String, String)], key: &str) -> Vec<String> {
    seen.iter().filter(|it| it.0 == key).map(|it| it.1.clone()).collect()
}

#[tokio::test]
async fn a_dead_letter_is_listed_replayed_handled_and_not_listed_again() {
    let mailbox = Mailbox::new(3, 1).await;
    mailbox.reject(&["wrong"]);
    let consumer = mailbox.consume();
    mailbox.publish("k", "wrong").await;
    let letter = mailbox.holds(1).await.remove(0);

    let (code, listed) = mailbox.dlq_json("list", &[]).await;
    assert_eq!((code, listed.len()), (0, 1));
    let expected = json!({
        "partition": 0, "offset": 0, "state": "open", "marked_at": null, "key": "k",
        "failed_at": letter.headers["dlq_failed_at"], "event_type": "Said", "cause": "rejected",
        "attempts": 1, "error": "wrong is wrong", "value_bytes": 5,
        "origin": {"topic": mailbox.topic, "offset": 0,
            "partition": letter.headers["dlq_partition"].parse::<i32>().unwrap()},
    });
    assert_eq!(listed[0], expected);
    let (_, people) = mailbox.dlq("list", &[]).await;
    for shown in ["0/0", " k ", "Said", "rejected", "wrong is wrong", "1 in "] {
        assert!(people.contains(shown), "{shown} is not in\n{people}");
    }

    mailbox.reject(&[]);
    let (code, replayed) = mailbox.dlq_json("replay", &[]).await;
    assert_eq!(code, 0);
    assert_eq!(replayed.last().unwrap(), &json!({"replayed": 1, "refused": 0, "dry_run": false}));
    assert_eq!(mailbox.handles(1).await, [("k".to_owned(), "wrong".to_owned())]);
    let records = testkit::records::read(&mailbox.kafka, &mailbox.topic).await.unwrap();
    let [first, again] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(again.partition, first.partition, "the key's order is that of its partition");
    let mut headers = again.headers.clone();
    assert!(headers.remove("dlq_replayed_at").unwrap().parse::<Timestamp>().is_ok());
    let from = format!("{}/0/0", mailbox.dead_letter_topic());
    assert_eq!(headers.remove("dlq_replayed_from"), Some(from));
    assert_eq!(headers.remove("dlq_failed_at"), letter.headers.get("dlq_failed_at").cloned());
    assert_eq!(headers, first.headers);

    assert_eq!(mailbox.dlq_json("list", &[]).await, (0, vec![]));
    let empty = format!("no dead letters in {}\n", mailbox.dead_letter_topic());
    assert_eq!(mailbox.dlq("list", &[]).await, (0, empty));
    let (_, all) = mailbox.dlq_json("list", &["--all"]).await;
    assert_eq!((all.len(), &all[0]["state"]), (1, &json!("replayed")));
    assert!(all[0]["marked_at"].is_string());
    // A second replay has nothing to do, and whoever names the letter is told why.
    let (code, replayed) = mailbox.dlq_json("replay", &[]).await;
    assert_eq!((code, replayed.len(), &replayed[0]["replayed"]), (0, 1, &json!(0)));
    let (code, text) = mailbox.dlq("replay", &["--offset", "0"]).await;
    assert_eq!(code, 1);
    assert!(text.contains("it was replayed already at 2"), "{text}");
    assert!(mailbox.dlq("replay", &["--offset", "1"]).await.1.contains("no such dead letter"));
    consumer.close().await;
    mailbox.holds(2).await;
}

#[tokio::test]
async fn a_replay_that_fails_again_keeps_the_time_of_the_first_failure() {
    let mailbox = Mailbox::new(1, 1).await;
    mailbox.reject(&["wrong"]);
    let consumer = mailbox.consume();
    mailbox.publish("k", "wrong").await;
    let first = mailbox.holds(1).await.remove(0);
    let (code, text) = mailbox.dlq("replay", &[]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("replayed 0/0 (key k) to ") && text.contains("replayed 1, refused 0"));
    // The letter, its mark and the letter of the second failure, in this order or the other.
    let letters = mailbox.holds(3).await;
    let again = letters.iter().rfind(|it| it.headers.contains_key("dlq_topic")).unwrap();
    assert_ne!(again.offset, first.offset);
    assert_eq!(again.headers["dlq_failed_at"], first.headers["dlq_failed_at"]);
    let (_, listed) = mailbox.dlq_json("list", &[]).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["offset"], again.offset);
    consumer.close().await;
}

#[tokio::test]
async fn every_key_keeps_its_order_over_several_partitions() {
    const KEYS: usize = 7;
    const EACH: usize = 6;
    let mailbox = Mailbox::new(3, 4).await;
    let all: Vec<(String, String)> = (0..EACH)
        .flat_map(|n| (0..KEYS).map(move |key| (format!("k{key}"), format!("{n} of k{key}"))))
        .collect();
    mailbox.reject(&all.iter().map(|it| it.1.as_str()).collect::<Vec<_>>());
    let consumer = mailbox.consume();
    for (key, payload) in &all {
        mailbox.publish(key, payload).await;
    }
    let letters = mailbox.holds(KEYS * EACH).await;
    let partitions: BTreeMap<_, usize> = letters.iter().fold(BTreeMap::new(), |mut all, it| {
        *all.entry(it.partition).or_default() += 1;
        all
    });
    assert!(partitions.len() > 1, "one partition proves nothing: {partitions:?}");
    mailbox.reject(&[]);

    // One key alone, then all that is left.
    let (code, text) = mailbox.dlq("replay", &["--key", "k3"]).await;
    assert_eq!(code, 0, "{text}");
    let seen = mailbox.handles(EACH).await;
    assert!(seen.iter().all(|it| it.0 == "k3"), "{seen:?}");
    let (code, replayed) = mailbox.dlq_json("replay", &["--since", "1h"]).await;
    assert_eq!((code, &replayed.last().unwrap()["replayed"]), (0, &json!((KEYS - 1) * EACH)));
    let seen = mailbox.handles(KEYS * EACH).await;
    for key in 0..KEYS {
        let key = format!("k{key}");
        let wanted: Vec<String> = (0..EACH).map(|it| format!("{it} of {key}")).collect();
        assert_eq!(payloads_of(&seen, &key), wanted);
    }
    // Marks lie where their letters lie.
    for record in mailbox.holds(KEYS * EACH * 2).await {
        if let Some(partition) = record.headers.get("dlq_mark_partition") {
            assert_eq!(*partition, record.partition.to_string());
        }
    }
    let (code, text) = mailbox.dlq("replay", &["--offset", "0"]).await;
    assert_eq!(code, 2);
    assert!(text.contains("has 4 partitions: say which with --partition"), "{text}");
    consumer.close().await;
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let mailbox = Mailbox::new(1, 1).await;
    mailbox.reject(&["wrong"]);
    let consumer = mailbox.consume();
    mailbox.publish("k", "wrong").await;
    mailbox.holds(1).await;
    mailbox.reject(&[]);
    let (code, text) = mailbox.dlq("replay", &["--dry-run"]).await;
    assert_eq!(code, 0);
    assert!(text.contains(&format!("would replay 0/0 (key k) to {}\n", mailbox.topic)), "{text}");
    let (code, dropped) = mailbox.dlq_json("drop", &["--everything", "--dry-run"]).await;
    assert_eq!((code, dropped.len()), (0, 2));
    assert_eq!(dropped[1], json!({"dropped": 1, "refused": 0, "dry_run": true}));
    mailbox.publish("k", "good").await;
    assert_eq!(mailbox.handles(1).await, [("k".to_owned(), "good".to_owned())]);
    mailbox.holds(1).await;
    consumer.close().await;
}

/// A dead letter without any consumer.
struct SetAside<'a> {
    partition: i32,
    key: &'a str,
    failed_at: &'a str,
    value: Option<&'a [u8]>,
}

async fn set_aside(mailbox: &Mailbox, letter: SetAside<'_>) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &mailbox.kafka).create().unwrap();
    let mut headers = OwnedHeaders::new();
    for (key, value) in [
        ("dlq_topic", mailbox.topic.as_str()),
        ("dlq_failed_at", letter.failed_at),
        ("dlq_value_bytes", "5000000"),
    ] {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    let topic = mailbox.dead_letter_topic();
    let record = FutureRecord { payload: letter.value, ..FutureRecord::to(&topic) };
    let record = record.key(letter.key).partition(letter.partition).headers(headers);
    producer.send(record, LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_key_keeps_its_order_where_partitions_were_added_meanwhile() {
    let mailbox = Mailbox::new(1, 2).await;
    let failed_at = Timestamp::now().to_string();
    let set_aside = async |partition, value: &str| {
        let value = Some(value.as_bytes());
        set_aside(&mailbox, SetAside { partition, key: "k", failed_at: &failed_at, value }).await;
        // The order between partitions is that of their records' times, in milliseconds.
        let written = Timestamp::now().as_millisecond();
        let later = async || (Timestamp::now().as_millisecond() > written).then_some(());
        testkit::eventually("a later millisecond", LIMIT, later).await;
    };
    for (partition, value) in [(1, "1"), (0, "2"), (0, "3"), (1, "4")] {
        set_aside(partition, value).await;
    }
    assert_eq!(mailbox.dlq("replay", &[]).await.0, 0);
    let records = testkit::records::read(&mailbox.kafka, &mailbox.topic).await.unwrap();
    let values: Vec<_> = records.iter().map(|it| it.payload.as_slice()).collect();
    assert_eq!(values, [b"1", b"2", b"3", b"4"]);
}

#[tokio::test]
async fn what_the_topic_does_not_take_any_more_is_refused_and_holds_up_nobody() {
    let mailbox = Mailbox::with(1, |wanted| wanted[0].max_message_bytes = 1_000).await;
    let failed_at = &Timestamp::now().to_string();
    for value in [&[b'x'; 2_000][..], b"small"] {
        let value = Some(value);
        set_aside(&mailbox, SetAside { partition: 0, key: "k", failed_at, value }).await;
    }
    let (code, told) = mailbox.dlq_json("replay", &[]).await;
    assert_eq!((code, told.len()), (1, 3));
    assert_eq!(told[2], json!({"replayed": 1, "refused": 1, "dry_run": false}));
    assert!(told[0]["refused"].as_str().unwrap().contains("too large"), "{told:?}");
    assert_eq!(mailbox.dlq_json("list", &[]).await.1.len(), 1);
}

#[tokio::test]
async fn what_is_too_old_or_not_whole_is_refused_and_the_rest_is_replayed() {
    let mailbox = Mailbox::new(1, 1).await;
    let ago = |hours: i64| (Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string();
    let set_aside = async |key, failed_at: String, value| {
        let letter = SetAside { partition: 0, key, failed_at: &failed_at, value };
        set_aside(&mailbox, letter).await;
    };
    set_aside("old", ago(59 * 24 + 1), Some(b"1".as_slice())).await;
    set_aside("young", ago(58 * 24), Some(b"2")).await;
    set_aside("timeless", "long ago".to_owned(), Some(b"3")).await;
    set_aside("hollow", ago(1), None).await;
    let (code, dry) = mailbox.dlq_json("replay", &["--dry-run"]).await;
    assert_eq!((code, &dry[4]["refused"]), (1, &json!(3)));
    let (code, told) = mailbox.dlq_json("replay", &[]).await;
    assert_eq!(code, 1);
    assert_eq!(told[4], json!({"replayed": 1, "refused": 3, "dry_run": false}));
    let why = |at: usize| told[at]["refused"].as_str().unwrap_or_default();
    assert!(why(0).contains("deletions since then may be forgotten"), "{told:?}");
    assert_eq!(why(1), "");
    assert!(why(2).contains("its age is unknown"), "{told:?}");
    assert!(why(3).contains("5000000 bytes was not kept"), "{told:?}");
    let records = testkit::records::read(&mailbox.kafka, &mailbox.topic).await.unwrap();
    let keys: Vec<_> = records.iter().map(|it| it.key.as_deref()).collect();
    assert_eq!(keys, [Some("young")]);
    // Services that remember for longer take older ones back.
    let (code, told) =
        mailbox.dlq_json("replay", &["--key", "old", "--tombstone-days", "90"]).await;
    assert_eq!((code, &told.last().unwrap()["replayed"]), (0, &json!(1)));
    let (_, left) = mailbox.dlq_json("list", &[]).await;
    let keys: Vec<&Value> = left.iter().map(|it| &it["key"]).collect();
    assert_eq!(keys, ["timeless", "hollow"]);
    let (_, recent) = mailbox.dlq_json("list", &["--since", "2h", "--key", "hollow"]).await;
    assert_eq!(recent.len(), 1);
    let (_, all) = mailbox.dlq_json("list", &["--since", "58d", "--all"]).await;
    assert_eq!(all.len(), 2, "since is about the first failure: {all:?}");
}
