//! Whatever was set aside comes back byte for byte.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, Headers as _, OwnedHeaders, OwnedMessage},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::json;

use crate::mailbox::{LIMIT, Mailbox};

/// Key, value and headers as they lie on the broker.
type Raw = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

/// Records that are no messages, each in a way of its own.
fn garbage() -> Vec<Raw> {
    let header = |name: &str, value: &[u8]| (name.to_owned(), Some(value.to_vec()));
    let bytes = |it: &[u8]| Some(it.to_vec());
    vec![
        (bytes(b"k"), bytes(b"\x00\xff\xfe not text \x1b[2J"), vec![]),
        (bytes(b"\xc3\x28"), bytes(b"{\"a\": [1, 2]}"), vec![header("ce_type", b"\xff")]),
        (None, bytes(b""), vec![header("x", b"1"), header("x", b"2"), ("y".to_owned(), None)]),
        (bytes(b""), None, vec![header("ce_specversion", b"1.0"), header("dlq_mark", b"dropped")]),
    ]
}

async fn write(mailbox: &Mailbox, records: &[Raw]) {
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &mailbox.kafka).create().unwrap();
    for (key, value, headers) in records {
        let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value: value.as_ref() })
        });
        let record: FutureRecord<'_, [u8], [u8]> = FutureRecord {
            topic: &mailbox.topic,
            partition: Some(1),
            payload: value.as_deref(),
            key: key.as_deref(),
            timestamp: None,
            headers: Some(headers),
        };
        producer.send(record, LIMIT).await.unwrap();
    }
}

/// The records of a topic from `begin` on, each partition in its order.
fn read(kafka: &str, topic: &str) -> Vec<OwnedMessage> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka).set("group.id", "reader");
    let consumer: BaseConsumer =
        config.set("enable.auto.commit", "false").set("fetch.wait.max.ms", "50").create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), LIMIT).unwrap();
    let (mut assignment, mut left) = (TopicPartitionList::new(), 0);
    for partition in metadata.topics()[0].partitions() {
        let (begin, end) = consumer.fetch_watermarks(topic, partition.id(), LIMIT).unwrap();
        assignment
            .add_partition_offset(topic, partition.id(), Offset::Offset(begin))
            .expect("a partition");
        left += end - begin;
    }
    consumer.assign(&assignment).unwrap();
    let (mut records, deadline) = (Vec::new(), Instant::now() + LIMIT);
    while left > 0 {
        assert!(Instant::now() < deadline, "{left} records are not handed out");
        if let Some(record) = consumer.poll(Duration::from_millis(100)) {
            records.push(record.unwrap().detach());
            left -= 1;
        }
    }
    records.sort_by_key(|it| (it.partition(), it.offset()));
    records
}

fn raw(record: &OwnedMessage) -> Raw {
    let headers = record.headers().map(|it| it.iter().collect::<Vec<_>>()).unwrap_or_default();
    let header = |it: Header<'_, &[u8]>| (it.key.to_owned(), it.value.map(<[u8]>::to_vec));
    let headers = headers.into_iter().map(header).collect();
    (record.key().map(<[u8]>::to_vec), record.payload().map(<[u8]>::to_vec), headers)
}

#[tokio::test]
async fn garbage_is_listed_shown_and_replayed_byte_for_byte() {
    let mailbox = Mailbox::new(3, 1).await;
    let garbage = garbage();
    write(&mailbox, &garbage).await;
    let consumer = mailbox.consume();
    mailbox.holds(4).await;
    // The consumer would set them aside again.
    consumer.close().await;

    let (code, listed) = mailbox.dlq_json("list", &[]).await;
    let keys: Vec<_> = listed.iter().map(|it| &it["key"]).collect();
    assert_eq!(
        (code, keys),
        (0, vec![&json!("k"), &json!({"hex": "c328"}), &json!(null), &json!("")])
    );
    assert!(listed.iter().all(|it| it["cause"] == "undecodable" && it["state"] == "open"));
    let (_, shown) = mailbox.dlq_json("show", &[]).await;
    let values: Vec<_> = shown.iter().map(|it| &it["value"]).collect();
    let hex = "00fffe206e6f742074657874201b5b324a";
    let wanted =
        [json!({"hex": hex}), json!({"json": {"a": [1, 2]}}), json!({"text": ""}), json!(null)];
    assert_eq!(values, wanted.iter().collect::<Vec<_>>());
    assert_eq!(shown[2]["headers"][1], json!({"name": "x", "value": "2"}));
    let (_, people) = mailbox.dlq("show", &[]).await;
    assert!(people.contains(hex) && people.contains("\"a\": ["), "{people}");
    assert!(!people.contains('\x1b'), "a terminal would obey it");
    let (_, one) = mailbox.dlq_json("show", &["--offset", "1"]).await;
    assert_eq!((one.len(), &one[0]["offset"]), (1, &json!(1)));

    let (code, told) = mailbox.dlq_json("replay", &[]).await;
    assert_eq!((code, &told.last().unwrap()["replayed"]), (0, &json!(4)), "{told:?}");
    let (kafka, topic) = (mailbox.kafka.clone(), mailbox.topic.clone());
    let records = tokio::task::spawn_blocking(move || read(&kafka, &topic)).await.unwrap();
    let replayed = |it: &&OwnedMessage| raw(it).2.iter().any(|it| it.0 == "dlq_replayed_at");
    let mut again: Vec<Raw> = records.iter().filter(replayed).map(raw).collect();
    for (_, _, headers) in &mut again {
        let dlq: Vec<_> = headers.extract_if(.., |it| it.0.starts_with("dlq_")).collect();
        let names: Vec<_> = dlq.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(names, ["dlq_failed_at", "dlq_replayed_at", "dlq_replayed_from"]);
    }
    let mut wanted = garbage;
    // Only the bus writes headers of these names.
    wanted[3].2.pop();
    // Those with a key lie where their keys say, the others where they were.
    let sorted = |mut all: Vec<Raw>| {
        all.sort();
        all
    };
    let keyless =
        records.iter().filter(replayed).filter(|it| it.key().is_none_or(<[u8]>::is_empty));
    assert!(keyless.clone().count() == 2 && keyless.clone().all(|it| it.partition() == 1));
    assert_eq!(sorted(again), sorted(wanted));
    assert_eq!(mailbox.dlq_json("list", &[]).await.1, [json!(null); 0]);
}
