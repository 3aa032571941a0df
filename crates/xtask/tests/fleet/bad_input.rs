//! Whatever arrives has a defined end, and the records behind it do not notice.

use events::RECORD_BYTES_MAX;
use serde_json::{Value, json};
use testkit::{fleet::Service::RsClient, records::Event, unique};
use xtask::demo::homes;

use crate::world::{LIMIT, World, options};

const TOPIC: &str = "as-provision-topic";

/// A record that cannot be handled, under the key of a home that goes on.
struct Bad {
    headers: Vec<(&'static str, String)>,
    payload: Vec<u8>,
}

fn cloud_event(event_type: &str) -> Vec<(&'static str, String)> {
    vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", unique("bad")),
        ("ce_type", event_type.to_owned()),
        ("ce_source", "/accounts".to_owned()),
    ]
}

fn bad(event_type: &str, payload: impl Into<Vec<u8>>) -> Bad {
    Bad { headers: cloud_event(event_type), payload: payload.into() }
}

/// Each with the cause and a part of the error of its dead letter.
fn all(home: &Value) -> Vec<(Bad, &'static str, &'static str)> {
    let device = |members: &[(&str, Value)]| {
        let mut device = home["devices"][0].clone();
        members.iter().for_each(|(name, it)| device[*name] = it.clone());
        device.to_string()
    };
    let no_headers = Bad { headers: Vec::new(), payload: b"garbage".to_vec() };
    let too_large = vec![b' '; RECORD_BYTES_MAX + 1];
    let stranger = [("isp_id", json!("another-isp")), ("revision", json!(1_u64 << 52))];
    vec![
        (no_headers, "undecodable", "`ce_specversion` is missing"),
        (bad("DeviceCreated", too_large), "undecodable", "more than 1048576"),
        (bad("DeviceExploded", "{}"), "unknown_event_type", "no event `DeviceExploded`"),
        (bad("DeviceCreated", "{"), "rejected", "EOF while parsing"),
        (bad("DeviceCreated", device(&[("mac", json!(7))])), "rejected", "invalid type"),
        (
            bad("DeviceCreated", device(&[("device_id", json!("d".repeat(65)))])),
            "rejected",
            "device_id must be",
        ),
        (bad("DeviceUpdated", device(&stranger)), "rejected", "tenant_mismatch"),
    ]
}

#[tokio::test]
async fn every_bad_record_ends_with_a_reason_and_stops_nobody() {
    let homes = homes(40);
    let mut world = World::start(options()).await;
    world.provision(&homes).await;
    world.fleet.settled(LIMIT).await.unwrap();

    let home = &homes[0];
    let key = home["account"]["account_id"].as_str().unwrap();
    for (bad, _, _) in all(home) {
        world.sender.send_raw(TOPIC, Some(key), &bad.headers, &bad.payload).await.unwrap();
    }
    // An update that is older than what is known, and a device whose account nobody knows: no dead letters.
    let mut older = home["devices"][0].clone();
    (older["revision"], older["name"]) = (json!(1), json!("older"));
    let mut orphan = older.clone();
    (orphan["device_id"], orphan["account_id"]) = (json!("orphan"), json!("nobody"));
    for data in [older, orphan] {
        let event_type = "DeviceUpdated".to_owned();
        let event = Event { topic: TOPIC.to_owned(), event_type, key: Some(key.to_owned()), data };
        world.sender.send(&event).await.unwrap();
    }
    // Behind all of them, under the same key, one that is good.
    let mut news = homes.clone();
    news[0]["devices"][0]["revision"] = json!(home["devices"][0]["revision"].as_u64().unwrap() + 1);
    news[0]["devices"][0]["name"] = json!("the last word");
    world.provision(&news[..1]).await;
    world.fleet.settled(LIMIT).await.unwrap();

    let letters = world.dead_letters().await;
    let mut wanted = all(home);
    assert_eq!(letters.len(), wanted.len());
    for ((topic, letter), (bad, cause, error)) in letters.iter().zip(wanted.drain(..)) {
        assert_eq!(*topic, "as-provision-topic.rsclient.dlq");
        assert_eq!(letter.headers["dlq_cause"], cause);
        assert!(letter.headers["dlq_error"].contains(error), "{:?}", letter.headers["dlq_error"]);
        assert_eq!((&letter.payload, letter.key.as_deref()), (&bad.payload, Some(key)));
    }
    let mut metrics = String::new();
    for instance in 0..2 {
        metrics += &world.fleet.admin(RsClient, instance, "/metrics").await.unwrap().1;
    }
    for counted in ["cause=\"undecodable\"", "cause=\"rejected\"", "outcome=\"superseded\""] {
        assert!(metrics.contains(counted), "not counted: {counted}");
    }
    let differences =
        xtask::demo::compare(&xtask::demo::expected(news.iter()), &world.held().await);
    assert!(differences.is_empty(), "{:?}", differences.examples().collect::<Vec<_>>());
    world.fleet.stop().await.unwrap();
}

#[tokio::test]
async fn a_trace_goes_with_a_device_all_the_way() {
    let homes = homes(1);
    let mut world = World::start(options()).await;
    let trace = format!("{:032x}", fastrand::u128(1..));
    let mut headers = cloud_event("ProvisionCreated");
    headers.push(("traceparent", format!("00-{trace}-00f067aa0ba902b7-01")));
    let key = homes[0]["account"]["account_id"].as_str().unwrap();
    let payload = homes[0].to_string();
    world.sender.send_raw(TOPIC, Some(key), &headers, payload.as_bytes()).await.unwrap();
    world.fleet.settled(LIMIT).await.unwrap();
    let device = homes[0]["devices"][0]["device_id"].as_str();
    let said = testkit::records::read(world.fleet.kafka(), "as-rs-provision-topic").await.unwrap();
    let ours = said.iter().rfind(|it| it.key.as_deref() == device).unwrap();
    assert!(ours.headers["traceparent"].contains(&trace), "{:?}", ours.headers);
    world.fleet.stop().await.unwrap();
}
