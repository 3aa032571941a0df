use expect_test::expect;
use mongodb::bson::doc;
use serde_json::json;
use testkit::eventually;

use crate::{
    backend::{error, status},
    service::{LIMIT, Service, first, message, shown},
};

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_device_end_as_their_revisions_say() {
    let service = Service::start().await;
    let mut log = String::new();
    let steps = [
        ("first", "RSDeviceCreated", service.state(10, json!({}))),
        ("again", "RSDeviceCreated", service.state(10, json!({}))),
        ("older", "RSDeviceUpdated", service.state(9, json!({"name": "b"}))),
        ("same, newer", "RSDeviceUpdated", service.state(11, json!({}))),
        ("other", "RSDeviceUpdated", service.state(12, json!({"name": "b"}))),
        ("equal, other", "RSDeviceUpdated", service.state(12, json!({"name": "c"}))),
        ("router", "RSDeviceUpdated", service.state(13, json!({"kind": "router"}))),
        ("older deletion", "RSDeviceDeleted", service.deletion(12, "router")),
        ("deletion", "RSDeviceDeleted", service.deletion(14, "router")),
        ("deletion again", "RSDeviceDeleted", service.deletion(14, "router")),
        ("newer deletion", "RSDeviceDeleted", service.deletion(15, "router")),
        ("equal to the deletion", "RSDeviceUpdated", service.state(15, json!({}))),
        ("back", "RSDeviceCreated", service.state(16, json!({}))),
        ("equal deletion", "RSDeviceDeleted", service.deletion(16, "device")),
    ];
    for (name, event_type, data) in steps {
        let outcome = shown(&service.handle(event_type, data).await);
        let calls = service.backend.calls().join(", ").replace(service.device.as_str(), "D");
        log += &format!("{name}: {outcome}; [{calls}]; {}\n", service.applied().await);
    }
    expect![[r#"
        first: done; [PUT /devices/D @10]; device 10
        again: done; []; device 10
        older: skipped: superseded; []; device 10
        same, newer: done; []; device 11
        other: done; [PUT /devices/D @12]; device 12
        equal, other: done; [PUT /devices/D @12]; device 12
        router: done; [DELETE /devices/D @13, PUT /routers/D @13]; router 13
        older deletion: skipped: superseded; []; router 13
        deletion: done; [DELETE /routers/D @14]; router 14 tombstone
        deletion again: done; []; router 14 tombstone
        newer deletion: done; []; router 15 tombstone
        equal to the deletion: skipped: superseded; []; router 15 tombstone
        back: done; [PUT /devices/D @16]; device 16
        equal deletion: done; [DELETE /devices/D @16]; device 16 tombstone
    "#]]
    .assert_eq(&log);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_row_holds_what_is_applied_and_a_tombstone_ends_by_itself() {
    let service = Service::start().await;
    service.created(10, json!({})).await;
    let mut row = service.row().await.unwrap();
    let hash = row.remove("hash").unwrap();
    row.remove("at").unwrap();
    assert_eq!(hash.as_str().unwrap().len(), 64);
    expect![[r#"{ "isp_id": "isp-1", "kind": "device", "revision": 10, "tombstone": false }"#]]
        .assert_eq(&row.to_string());
    service.deleted(11, "device").await;
    let row = service.row().await.unwrap();
    let life = row.get_datetime("expire_at").unwrap().timestamp_millis()
        - jiff::Timestamp::now().as_millisecond();
    assert_eq!((life + 3_600_000) / 86_400_000, 60, "{row}");
    let indexes = service.rows().list_index_names().await.unwrap();
    assert_eq!(indexes, ["_id_", "expire_at_1"]);
    service.created(12, json!({})).await;
    assert!(!service.row().await.unwrap().contains_key("expire_at"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_an_unknown_device_removes_both_kinds() {
    let service = Service::start().await;
    assert_eq!(shown(&service.deleted(10, "device").await), "done");
    let calls = service.backend.calls().join(", ").replace(service.device.as_str(), "D");
    assert_eq!(calls, "DELETE /routers/D @10, DELETE /devices/D @10");
    assert_eq!(service.applied().await, "device 10 tombstone");
}

#[tokio::test(flavor = "multi_thread")]
async fn force_sends_what_would_not_change() {
    let service = Service::start().await;
    service.created(10, json!({})).await;
    let mut message = message("RSDeviceUpdated", service.state(10, json!({})));
    message.attributes.force = true;
    assert_eq!(shown(&service.attempt(&first(message.clone())).await), "done");
    assert_eq!(service.backend.calls().len(), 2);
    message = crate::service::message("RSDeviceUpdated", service.state(9, json!({})));
    message.attributes.force = true;
    assert_eq!(shown(&service.attempt(&first(message)).await), "skipped: superseded");
    assert_eq!(service.backend.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_tenant_is_refused() {
    let service = Service::start().await;
    service.created(10, json!({})).await;
    service.backend.calls();
    let before = service.row().await;
    for data in [
        service.state(11, json!({"isp_id": "isp-2"})),
        service.state(9, json!({"isp_id": "isp-2"})),
    ] {
        let outcome = service.handle("RSDeviceUpdated", data).await;
        assert_eq!(shown(&outcome), "rejected: tenant_mismatch");
    }
    assert_eq!((service.row().await, service.backend.calls()), (before, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_sent_once_and_dropped_when_its_time_is_over() {
    let service = Service::start().await;
    let action = |revision, until: &str| {
        let action = json!({"id": "act-1", "name": "reboot", "expires_at": until});
        service.handle("RSDeviceAction", service.state(revision, json!({"action": action})))
    };
    let held = || service.backend.held(&service.path("device")).unwrap()["action"].clone();
    assert_eq!(shown(&action(10, "2999-01-01T00:00:00Z").await), "done");
    assert_eq!(held()["id"], "act-1");
    service.created(11, json!({})).await;
    assert_eq!(held(), json!(null));
    service.backend.calls();
    assert_eq!(shown(&action(12, "2020-01-01T00:00:00Z").await), "done");
    assert_eq!(held(), json!(null));
    // It is sent even though nothing has changed: an attempt that was cut off may have sent the action.
    assert_eq!(service.backend.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_revision_that_comes_in_between_leaves_the_hash_unknown() {
    let service = Service::start().await;
    service.created(10, json!({})).await;
    let (rows, id) = (service.rows(), service.device.to_string());
    service.backend.meanwhile(&service.path("device"), async move {
        let newer = doc! { "$set": { "revision": 20_i64, "hash": "of somebody else" } };
        rows.update_one(doc! { "_id": id }, newer).await.unwrap();
    });
    let outcome = service.created(11, json!({"name": "b"})).await;
    assert_eq!(shown(&outcome), "skipped: superseded");
    assert_eq!(service.applied().await, "device 20 unknown");
    service.backend.calls();
    // The next delta sync repairs, whatever is equal.
    assert_eq!(shown(&service.created(20, json!({})).await), "done");
    let calls = service.backend.calls().join(", ").replace(service.device.as_str(), "D");
    assert_eq!(calls, "DELETE /routers/D @20, PUT /devices/D @20");
    assert_eq!(service.applied().await, "device 20");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_comes_in_between_is_done_once_more() {
    let service = Service::start().await;
    let (rows, id) = (service.rows(), service.device.to_string());
    service.backend.meanwhile(&service.path("device"), async move {
        let row = doc! {
            "_id": id, "isp_id": "isp-1", "kind": "device", "revision": 20_i64, "tombstone": true,
            "hash": "nothing"
        };
        rows.insert_one(row).await.unwrap();
    });
    assert_eq!(shown(&service.created(11, json!({})).await), "skipped: superseded");
    let calls = service.backend.calls().join(", ").replace(service.device.as_str(), "D");
    assert_eq!(calls, "PUT /devices/D @11, DELETE /routers/D @20, DELETE /devices/D @20");
    assert_eq!(service.applied().await, "device 20 tombstone");
    assert_eq!(service.backend.held(&service.path("device")), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_insert_that_loses_the_race_to_something_older_is_written_all_the_same() {
    let service = Service::start().await;
    let (rows, id) = (service.rows(), service.device.to_string());
    service.backend.meanwhile(&service.path("device"), async move {
        let row = doc! {
            "_id": id, "isp_id": "isp-1", "kind": "device", "revision": 5_i64, "tombstone": false
        };
        rows.insert_one(row).await.unwrap();
    });
    assert_eq!(shown(&service.created(11, json!({})).await), "done");
    assert_eq!(service.applied().await, "device 11");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_sent_without_being_recorded_is_not_taken_for_known() {
    let service = Service::start().await;
    service.created(10, json!({})).await;
    service.backend.next(&service.path("device"), error(422, "malformed"));
    let outcome = service.created(11, json!({"name": "b"})).await;
    assert_eq!(shown(&outcome), "rejected: malformed: as told");
    assert_eq!(service.applied().await, "device 10 unknown");
    service.backend.calls();
    assert_eq!(shown(&service.created(12, json!({})).await), "done");
    assert_eq!(service.backend.calls().len(), 2);
    // A device of another kind that was refused after the old kind went.
    service.backend.next(&service.path("router"), status(413));
    service.created(13, json!({"kind": "router"})).await;
    assert_eq!(service.backend.held(&service.path("device")), None);
    assert_eq!(shown(&service.created(14, json!({})).await), "done");
    assert!(service.backend.held(&service.path("device")).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_sends_nothing_and_records_nothing() {
    let service = Service::start_with(&[("RSADAPTOR__HS_ADMIN__MODE", "log")]).await;
    assert_eq!(shown(&service.created(10, json!({})).await), "skipped: not_sent");
    assert_eq!(shown(&service.deleted(11, "device").await), "skipped: not_sent");
    assert_eq!((service.backend.calls(), service.row().await), (vec![], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_users_are_counted() {
    let service = Service::start().await;
    let user = json!({"isp_id": "isp-1", "account_id": "a-1", "user_id": "u-1", "revision": 1});
    assert_eq!(shown(&service.handle("RSUserUpdated", user).await), "done");
    assert_eq!(service.backend.calls(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_payload_is_refused_with_its_reason() {
    let service = Service::start().await;
    let mut message = message("RSDeviceCreated", service.state(10, json!({})));
    message.payload = br#"{"isp_id": "isp-1"}"#.to_vec();
    let outcome = shown(&service.attempt(&first(message)).await);
    assert!(outcome.starts_with("rejected: malformed `RSDeviceCreated`"), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_recorded_and_whose_time_is_over_goes_with_the_next_state() {
    let service = Service::start().await;
    let held = || service.backend.held(&service.path("device")).unwrap()["action"].clone();
    let expires_at = jiff::Timestamp::now() + std::time::Duration::from_millis(500);
    let action = json!({"id": "act-1", "name": "reboot", "expires_at": expires_at.to_string()});
    let command = service.state(10, json!({ "action": action }));
    assert_eq!(shown(&service.handle("RSDeviceAction", command.clone()).await), "done");
    assert_eq!(held()["id"], "act-1");
    eventually("the command's time is over", LIMIT, async || {
        (jiff::Timestamp::now() > expires_at).then_some(())
    })
    .await;
    // Delivered again, it is as it was.
    assert_eq!(shown(&service.handle("RSDeviceAction", command).await), "done");
    assert_eq!(service.backend.calls().len(), 1);
    assert_eq!(shown(&service.created(11, json!({})).await), "done");
    assert_eq!(held(), json!(null));
    assert_eq!(service.applied().await, "device 11");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_of_another_tenant_than_its_payload_is_refused() {
    let service = Service::start().await;
    let mut message = message("RSDeviceCreated", service.state(10, json!({})));
    message.attributes.tenant = Some("isp-2".parse().unwrap());
    let outcome = service.attempt(&first(message)).await;
    assert_eq!(shown(&outcome), "rejected: tenant_mismatch");
    assert_eq!((service.row().await, service.backend.calls()), (None, vec![]));
}
