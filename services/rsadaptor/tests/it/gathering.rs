use eventbus::{EventBusMessage, Lane, Outcome};
use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use serde_json::json;
use testkit::{eventually, unique};

use crate::{
    backend::{NEVER, error, status},
    service::{LIMIT, Service, first, message, shown, state},
};

/// A record of a sync.
pub(crate) fn of_sync(mut message: EventBusMessage) -> EventBusMessage {
    message.attributes.lane = Lane::Sync;
    message.attributes.force = true;
    message
}

pub(crate) async fn all(service: &Service, messages: Vec<EventBusMessage>) -> Vec<Outcome> {
    let deliveries: Vec<_> = messages.into_iter().map(first).collect();
    join_all(deliveries.iter().map(|it| service.attempt(it))).await
}

pub(crate) fn devices(count: usize) -> Vec<String> {
    (0..count).map(|_| unique("d")).collect()
}

pub(crate) fn states(devices: &[String], revision: u64) -> Vec<EventBusMessage> {
    let state = |id: &String| message("RSDeviceUpdated", state(id, revision, json!({})));
    devices.iter().map(|it| of_sync(state(it))).collect()
}

async fn rows(service: &Service) -> Vec<Document> {
    use futures_util::TryStreamExt as _;
    service.rows().find(doc! {}).await.unwrap().try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_sync_of_what_was_applied_reads_together_and_writes_nothing() {
    let service = Service::start().await;
    let devices = devices(300);
    let outcomes = all(&service, states(&devices, 10)).await;
    assert!(outcomes.iter().all(|it| *it == Outcome::Done), "{outcomes:?}");
    let before = rows(&service).await;
    assert_eq!((before.len(), service.backend.calls().len()), (300, 300));

    service.database().run_command(doc! { "profile": 2 }).await.unwrap();
    let outcomes = all(&service, states(&devices, 10)).await;
    assert!(outcomes.iter().all(|it| *it == Outcome::Done), "{outcomes:?}");
    service.database().run_command(doc! { "profile": 0 }).await.unwrap();
    assert_eq!((rows(&service).await, service.backend.calls().len()), (before, 300));
    let profile = service.database().collection::<Document>("system.profile");
    let ns = format!("{}.applied", service.database().name());
    let of = |op: &'static str| profile.count_documents(doc! { "ns": ns.as_str(), "op": op });
    assert_eq!((of("update").await.unwrap(), of("getmore").await.unwrap()), (0, 0));
    let queries = of("query").await.unwrap();
    assert!((1..=30).contains(&queries), "{queries} queries for 300 records");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_read_and_write_together_end_each_in_its_own_way() {
    let service = Service::start().await;
    let devices = devices(40);
    all(&service, states(&devices, 10)).await;
    service.backend.calls();
    let row = |at: usize| doc! { "_id": devices[at].as_str() };
    // One cannot be read, one holds something newer, one is refused, of one something newer comes in between.
    let spoiled = doc! { "$set": { "kind": "toaster" } };
    service.rows().update_one(row(1), spoiled).await.unwrap();
    let newer = doc! { "$set": { "revision": 20_i64 } };
    service.rows().update_one(row(2), newer.clone()).await.unwrap();
    service.backend.next(&format!("/devices/{}", devices[3]), error(422, "malformed"));
    let (collection, fourth) = (service.rows(), row(4));
    service.backend.meanwhile(&format!("/devices/{}", devices[4]), async move {
        collection.update_one(fourth, newer).await.unwrap();
    });
    let outcomes = all(&service, states(&devices, 11)).await;
    let shown: Vec<String> = outcomes.iter().map(shown).collect();
    assert!(shown[1].starts_with("again, counted: the document of"), "{}", shown[1]);
    assert_eq!(shown[2], "skipped: superseded");
    assert_eq!(shown[3], "rejected: malformed: as told");
    assert_eq!(shown[4], "skipped: superseded");
    for (at, it) in shown.iter().enumerate().filter(|(at, _)| !(1..=4).contains(at)) {
        assert_eq!(it, "done", "{at}");
    }
    for row in rows(&service).await {
        let at = devices.iter().position(|it| row.get_str("_id").unwrap() == it).unwrap();
        let revision = row.get_i64("revision").unwrap();
        assert_eq!(revision, [11, 10, 20, 10, 20][if at < 5 { at } else { 0 }], "{at}");
        assert_eq!(row.contains_key("hash"), ![3, 4].contains(&at), "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn something_newer_that_comes_in_between_is_seen_where_nothing_is_written() {
    let service = Service::start().await;
    service.created(10, json!({})).await;
    let (collection, id) = (service.rows(), service.device.to_string());
    service.backend.meanwhile(&service.path("device"), async move {
        let newer = doc! { "$set": { "revision": 20_i64, "hash": "of somebody else" } };
        collection.update_one(doc! { "_id": id }, newer).await.unwrap();
    });
    let again = of_sync(message("RSDeviceUpdated", service.state(10, json!({}))));
    let outcome = service.attempt(&first(again)).await;
    assert_eq!(shown(&outcome), "skipped: superseded");
    assert_eq!(service.applied().await, "device 20 unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_sync_of_what_was_applied_calls_nobody_and_writes_nothing() {
    let service = Service::start().await;
    let devices = devices(50);
    all(&service, states(&devices, 10)).await;
    service.backend.calls();
    let before = rows(&service).await;
    let mut messages = states(&devices, 10);
    messages.iter_mut().for_each(|it| it.attributes.force = false);
    let outcomes = all(&service, messages).await;
    assert!(outcomes.iter().all(|it| *it == Outcome::Done), "{outcomes:?}");
    assert_eq!((rows(&service).await, service.backend.calls()), (before, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_not_forgotten_where_nothing_else_can_have_been_sent() {
    let service = Service::start().await;
    service.created(10, json!({})).await;
    service.backend.calls();
    for (revision, name, applied) in [(10, "a", "device 10"), (11, "b", "device 10 unknown")] {
        let state = service.state(revision, json!({ "name": name }));
        let mut late = of_sync(message("RSDeviceUpdated", state));
        late.attributes.expires_at = Some("2020-01-01T00:00:00Z".parse().unwrap());
        let outcome = service.attempt(&first(late)).await;
        assert_eq!(shown(&outcome), "skipped: expired");
        assert_eq!(service.applied().await, applied);
    }
    assert_eq!(service.backend.calls(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_sync_leave_connections_to_live_ones() {
    let few =
        [("RSADAPTOR__HS_ADMIN__CONNECTIONS", "4"), ("RSADAPTOR__HS_ADMIN__TIMEOUT_SECONDS", "30")];
    let service = Service::start_with(&few).await;
    let devices = devices(10);
    for id in &devices {
        service.backend.always(&format!("/devices/{id}"), status(NEVER));
    }
    let live = async {
        let mut calls = 0;
        eventually("three calls", LIMIT, async || {
            calls += service.backend.calls().len();
            (calls == 3).then_some(())
        })
        .await;
        assert_eq!(service.created(10, json!({})).await, Outcome::Done);
        let path = service.path("device");
        assert_eq!(service.backend.calls(), [format!("PUT {path} @10")]);
    };
    tokio::select! {
        () = live => {}
        outcomes = all(&service, states(&devices, 10)) => panic!("{outcomes:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_while_it_waits_for_a_connection_is_not_sent() {
    let service = Service::start_with(&[("RSADAPTOR__HS_ADMIN__CONNECTIONS", "1")]).await;
    let devices = devices(2);
    service.backend.always(&format!("/devices/{}", devices[0]), status(NEVER));
    let mut messages = states(&devices, 10).into_iter();
    let holds = first(messages.next().unwrap());
    let waits = async {
        service.backend.hung().await;
        let mut message = messages.next().unwrap();
        let soon = std::time::Duration::from_millis(300);
        message.attributes.expires_at = Some(jiff::Timestamp::now() + soon);
        service.ended(&mut first(message)).await
    };
    let (_, outcome) = tokio::join!(service.attempt(&holds), waits);
    assert_eq!(shown(&outcome), "skipped: expired");
    assert_eq!(service.backend.calls(), [format!("PUT /devices/{} @10", devices[0])]);
}
