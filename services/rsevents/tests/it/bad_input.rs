//! What cannot be told has an end, and nothing behind it waits for ever.

use eventbus::Outcome;
use serde_json::json;
use testkit::{
    eventually,
    records::{Record, Sender, read},
};

use crate::{
    process::{EVENTS, LIMIT, Running},
    service::{Service, published, shown},
};

async fn rejected(service: &Service, event: eventbus::Delivery) -> String {
    let outcomes = service.take(&[event]).await;
    let [Outcome::Reject { reason }] = &outcomes[..] else { panic!("{outcomes:?}") };
    reason.clone()
}

#[tokio::test]
async fn an_event_that_names_another_isp_than_its_device_s_is_refused() {
    let service = Service::start().await;
    service.provide(&["d-1"]).await;
    let mut event = service.connected("d-1");
    let other = service.id("other");
    let payload = String::from_utf8(event.message.payload).unwrap();
    let named = format!(r#""isp_id":"{}""#, service.isp);
    event.message.payload = payload.replace(&named, &format!(r#""isp_id":"{other}""#)).into_bytes();
    let reason = rejected(&service, event).await;
    assert!(reason.starts_with("tenant_mismatch: device "), "{reason}");
    assert!(reason.contains(&format!("is not of `{other}` but of `{}`", service.isp)), "{reason}");
    // So is a new device in a household of another ISP.
    let foreign = json!({"isp_id": other, "account_id": service.account,
        "mac": "3c:22:fb:01:02:03"});
    let new = service.event("device_event_new_device", "d-2", &foreign);
    assert!(rejected(&service, new).await.starts_with("tenant_mismatch: account "));
    assert_eq!(service.published().await, []);
}

#[tokio::test]
async fn an_event_from_the_future_or_from_too_long_ago_is_refused() {
    let service = Service::start().await;
    service.provide(&["d-1"]).await;
    let at = |seconds: i64| {
        let now = jiff::Timestamp::now().as_second();
        jiff::Timestamp::from_second(now + seconds).unwrap().to_string()
    };
    let event = |seconds: i64| {
        let members = json!({"active": true, "timestamp": at(seconds)});
        service.event("device_event_active", "d-1", &members)
    };
    let ahead = rejected(&service, event(400)).await;
    assert!(ahead.contains("comes from the future"), "{ahead}");
    let old = rejected(&service, event(-169 * 3_600)).await;
    assert!(old.contains("is too old") && old.contains("more than 168 h ago"), "{old}");
    assert_eq!(service.published().await, []);
    // A clock that is a little ahead does no harm, nor does a week's delay.
    service.told(event(-167 * 3_600)).await;
    let ahead = service.take(&[event(200)]).await;
    assert_eq!(shown(&ahead), ["held"]);
}

#[tokio::test]
async fn an_event_of_an_unknown_device_waits_for_it_and_nothing_passes_it() {
    let service = Service::start().await;
    service.provide(&["d-2"]).await;
    let batch = [service.connected("d-1"), service.connected("d-1"), service.connected("d-2")];
    let waits = format!("again (false): device `{}` is not known", service.id("d-1"));
    assert_eq!(shown(&service.take(&batch).await), [waits.as_str(), "held", "done"]);
    let mut late = service.home(&["d-1"]);
    late["account"]["revision"] = 11.into();
    assert_eq!(service.provision("ProvisionUpdated", &late).await, Outcome::Done);
    assert_eq!(shown(&service.take(&batch[..2]).await), ["done", "done"]);
}

#[tokio::test]
async fn an_unknown_device_that_does_not_become_known_ends_its_event() {
    let service = Service::start_with(&[("EVENTS__UNKNOWN_WAIT_SECONDS", "0")]).await;
    service.provide(&[]).await;
    let reason = rejected(&service, service.connected("d-1")).await;
    let wanted = format!("Not found: device `{}` is not known, also 0 s later", service.id("d-1"));
    assert_eq!(reason, wanted);
    let mac = json!({"mac": "3c:22:fb:01:02:03"});
    let homeless = service.event("device_event_new_device", "d-1", &mac);
    assert!(rejected(&service, homeless).await.contains("nobody says whose"));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_refused_and_names_what_is_wrong() {
    let service = Service::start().await;
    service.provide(&["d-1"]).await;
    let malformed = [
        ("device_event_active", json!({"active": "yes"}), "invalid type: string"),
        ("device_event_blocked", json!({"domain": "Bad", "category": "adult"}), "domain name"),
        ("device_event_threat", json!({"domain": "bad.example"}), "missing field `threat`"),
        ("device_event_connected", json!({"router_id": "r", "mac": "no"}), "MAC address"),
        ("router_event_agent", json!({"agent_package_id": "p", "status": "done"}), "done"),
        ("device_event_active", json!({"active": true, "timestamp": "now"}), "RFC 3339"),
    ];
    for (event_type, members, wanted) in malformed {
        let reason = rejected(&service, service.event(event_type, "d-1", &members)).await;
        assert!(reason.contains(wanted), "{event_type}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_events_become_dead_letters_with_their_reasons_and_the_next_ones_are_told() {
    let service = Service::start().await;
    let running = Running::start(&[("EVENTS__UNKNOWN_WAIT_SECONDS", "1")]).await;
    running.provision(&service.home(&["d-1"])).await;
    let sender = Sender::new(&service.kafka).unwrap();
    let key = service.id("d-1");
    sender.send_raw(EVENTS, Some(&key), &[], b"no event").await.unwrap();
    let future = json!({"active": true, "timestamp": "2999-01-01T00:00:00Z"});
    let bad = [
        service.event("device_event_later", "d-1", &json!({})),
        service.event("device_event_active", "d-1", &future),
        service.event("device_event_active", "d-1", &json!({"active": 1})),
        service.connected("d-unknown"),
    ];
    for event in &bad {
        running.send(&sender, event).await;
    }
    running.send(&sender, &service.connected("d-1")).await;
    running.settled().await;
    let topic = events::topics::dead_letter_topic(EVENTS, rsevents::SERVICE);
    let prefix = format!("{}-", service.isp);
    let letters = eventually("the dead letters", LIMIT, async || {
        let mut letters = read(&service.kafka, &topic).await.unwrap();
        letters.retain(|it: &Record| it.key.as_ref().is_some_and(|it| it.starts_with(&prefix)));
        (letters.len() >= 5).then_some(letters)
    })
    .await;
    let shown = |it: &Record| {
        let (cause, error) = (&it.headers["dlq_cause"], &it.headers["dlq_error"]);
        format!("{cause}: {}", error.replace(&prefix, ""))
    };
    let mut letters: Vec<String> = letters.iter().map(shown).collect();
    letters.sort();
    let wanted = [
        "rejected: Not found: device `d-unknown` is not known, also ",
        "rejected: The input is not valid: comes from the future: `2999",
        "rejected: The input is not valid: malformed `device_event_active`",
        "undecodable: the value is no event",
        "unknown_event_type: `hs-event-topic` has no event `device_event_later`",
    ];
    assert_eq!(letters.len(), wanted.len(), "{letters:?}");
    for (letter, wanted) in letters.iter().zip(wanted) {
        assert!(letter.starts_with(wanted), "{letter}");
    }
    assert_eq!(published(&service.kafka, &service.isp).await.len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_before_its_device_is_told_once_the_device_is_known() {
    let service = Service::start().await;
    let running = Running::start(&[]).await;
    let sender = Sender::new(&service.kafka).unwrap();
    running.send(&sender, &service.connected("d-1")).await;
    running.provision(&service.home(&["d-1"])).await;
    assert_eq!(service.accounts_told().await, [service.account.as_str()]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_an_unknown_device_wait_side_by_side() {
    let service = Service::start().await;
    let running = Running::start(&[("EVENTS__UNKNOWN_WAIT_SECONDS", "3")]).await;
    let sender = Sender::new(&service.kafka).unwrap();
    for _ in 0..10 {
        running.send(&sender, &service.connected("d-unknown")).await;
    }
    running.settled().await;
    let topic = events::topics::dead_letter_topic(EVENTS, rsevents::SERVICE);
    let mut letters = read(&service.kafka, &topic).await.unwrap();
    letters.retain(|it: &Record| it.key.as_ref() == Some(&service.id("d-unknown")));
    let failed_at: Vec<jiff::Timestamp> =
        letters.iter().map(|it| it.headers["dlq_failed_at"].parse().unwrap()).collect();
    assert_eq!(failed_at.len(), 10);
    // One after the other they would take half a minute.
    let apart = failed_at[9].duration_since(failed_at[0]);
    assert!(apart.as_secs() < 15, "{apart}");
    running.stop().await;
}
