use eventbus::Outcome;
use expect_test::expect;
use serde_json::{Value, json};
use testkit::unique;

use crate::{
    backend::{error, status},
    replies::{asking, line, reply},
    service::{Service, first, message, shown},
};

const EVENTS: [&str; 2] = ["RSCustomFlagsUpdated", "RSRouterUploadIntervalsUpdated"];

fn flags(service: &Service, revision: u64, dns_over_tls: bool) -> Value {
    json!({
        "isp_id": "isp-1", "device_id": service.device.as_str(), "revision": revision,
        "flags": {"dns_over_tls": dns_over_tls}, "upload_intervals": {"stats_seconds": 300}
    })
}

fn path(service: &Service) -> String {
    format!("{}/feature-flags", service.path("router"))
}

/// What the row says of the flags, in one line.
async fn applied(service: &Service) -> String {
    let Some(row) = service.row().await else { return "nothing".to_owned() };
    let Ok(flags) = row.get_document("flags") else { return "no flags".to_owned() };
    let unknown = if flags.contains_key("hash") { "" } else { " unknown" };
    format!("flags {}{unknown}", flags.get_i64("revision").unwrap())
}

async fn has_router(service: &Service, revision: u64) {
    let outcome = service.created(revision, json!({"kind": "router"})).await;
    assert_eq!(shown(&outcome), "done");
    service.backend.calls();
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_of_a_router_end_as_their_revisions_say() {
    let service = Service::start().await;
    has_router(&service, 5).await;
    let mut log = String::new();
    let steps = [
        ("first", EVENTS[0], flags(&service, 10, true)),
        ("the same by the other event", EVENTS[1], flags(&service, 10, true)),
        ("older", EVENTS[0], flags(&service, 9, false)),
        ("same, newer", EVENTS[1], flags(&service, 11, true)),
        ("other", EVENTS[0], flags(&service, 12, false)),
        ("equal, other", EVENTS[0], flags(&service, 12, true)),
    ];
    for (name, event_type, data) in steps {
        let outcome = shown(&service.handle(event_type, data).await);
        let calls = service.backend.calls().join(", ").replace(service.device.as_str(), "R");
        log += &format!("{name}: {outcome}; [{calls}]; {}\n", applied(&service).await);
    }
    expect![[r#"
        first: done; [PUT /routers/R/feature-flags @10]; flags 10
        the same by the other event: done; []; flags 10
        older: skipped: superseded; []; flags 10
        same, newer: done; []; flags 11
        other: done; [PUT /routers/R/feature-flags @12]; flags 12
        equal, other: done; [PUT /routers/R/feature-flags @12]; flags 12
    "#]]
    .assert_eq(&log);
    let held = service.backend.held(&path(&service)).unwrap();
    let both = json!({"flags": {"dns_over_tls": true}, "upload_intervals": {"stats_seconds": 300}});
    assert_eq!(held, both);
    // The router itself is as it was.
    assert_eq!(service.applied().await, "router 5");
    // A newer state of the router leaves its flags alone.
    service.created(20, json!({"kind": "router", "name": "b"})).await;
    assert_eq!(applied(&service).await, "flags 12");
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_wait_for_their_router_but_not_for_ever() {
    let limit = [("RSADAPTOR__GATE__EARLY_LIMIT_SECONDS", "0.5")];
    let service = Service::start_with(&limit).await;
    service.backend.next(&path(&service), error(404, "not_found"));
    let mut delivery = first(message(EVENTS[0], flags(&service, 10, true)));
    let outcome = shown(&service.try_on(&mut delivery).await);
    assert_eq!(outcome, "again: early: not_found: as told");
    assert_eq!(service.attempt(&delivery).await, Outcome::Done);
    // Of the router itself nothing is known.
    assert_eq!(
        (applied(&service).await, service.applied().await),
        ("flags 10".to_owned(), "router 0 unknown".to_owned())
    );
    has_router(&service, 5).await;
    assert_eq!(
        (applied(&service).await, service.applied().await),
        ("flags 10".to_owned(), "router 5".to_owned())
    );
    assert!(!service.row().await.unwrap().contains_key("expire_at"));

    service.backend.always(&path(&service), error(404, "not_found"));
    let mut delivery = first(message(EVENTS[1], flags(&service, 11, false)));
    let ended = shown(&service.ended(&mut delivery).await);
    assert_eq!(ended, "rejected: not_found: as told");
    assert_eq!(applied(&service).await, "flags 10 unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_goes_takes_its_flags_along() {
    let service = Service::start().await;
    has_router(&service, 5).await;
    service.handle(EVENTS[0], flags(&service, 6, true)).await;
    assert_eq!(shown(&service.deleted(10, "router").await), "done");
    assert_eq!(applied(&service).await, "flags 10 unknown");
    // The backend does not know it, as was to be expected.
    service.backend.next(&path(&service), error(404, "not_found"));
    assert_eq!(shown(&service.handle(EVENTS[0], flags(&service, 12, true)).await), "done");
    assert_eq!(applied(&service).await, "flags 10 unknown");
    // What it had does not come back with a new one.
    has_router(&service, 20).await;
    let outcome = service.handle(EVENTS[0], flags(&service, 6, true)).await;
    assert_eq!(shown(&outcome), "skipped: superseded");
    assert_eq!(service.backend.calls(), Vec::<String>::new());
    assert_eq!(shown(&service.handle(EVENTS[0], flags(&service, 21, true)).await), "done");
    assert_eq!(applied(&service).await, "flags 21");
    // One that becomes a device has none any more.
    service.created(30, json!({})).await;
    assert_eq!(applied(&service).await, "flags 30 unknown");
    service.backend.calls();
    service.created(31, json!({"kind": "router"})).await;
    assert_eq!(shown(&service.handle(EVENTS[0], flags(&service, 31, true)).await), "done");
    assert_eq!(service.backend.calls().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_are_sent_again_where_a_rejected_router_may_have_lost_them() {
    let service = Service::start().await;
    has_router(&service, 5).await;
    service.handle(EVENTS[0], flags(&service, 6, true)).await;
    // The router went, the device was refused, and the router comes back.
    service.backend.next(&service.path("device"), status(413));
    service.created(10, json!({})).await;
    assert_eq!(applied(&service).await, "flags 6 unknown");
    has_router(&service, 11).await;
    assert_eq!(shown(&service.handle(EVENTS[0], flags(&service, 6, true)).await), "done");
    assert_eq!(service.backend.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_flags_is_told_to_who_asked() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    let service = Service::start().await;
    has_router(&service, 5).await;
    let task = unique("task");
    let past = "2020-01-01T00:00:00Z".parse().unwrap();
    let mut log = String::new();
    let steps = [
        ("expired, unknown", flags(&service, 8, true)),
        ("applied", flags(&service, 10, true)),
        ("forced", flags(&service, 10, true)),
        ("unchanged", flags(&service, 11, true)),
        ("superseded", flags(&service, 9, true)),
        ("stale", flags(&service, 12, false)),
        ("rejected", flags(&service, 13, false)),
        ("expired", flags(&service, 14, false)),
    ];
    for (name, data) in steps {
        let mut message = message(EVENTS[0], data);
        match name {
            "stale" => service.backend.next(&path(&service), error(409, "stale_revision")),
            "rejected" => service.backend.next(&path(&service), error(422, "malformed")),
            "expired" | "expired, unknown" => message.attributes.expires_at = Some(past),
            "forced" => message.attributes.force = true,
            _ => {}
        }
        let request_id = format!("{task}/{}~flags", name.replace([' ', ','], "-"));
        service.attempt(&first(asking(message, &request_id))).await;
        let told = reply(&request_id).await.1;
        assert_eq!(told["resource"], format!("{}~flags", service.device));
        log += &format!("{name}: {}\n", line(&told));
    }
    expect![[r#"
        expired, unknown: revision=8 held_revision=null status="expired" http_status=null error=null
        applied: revision=10 held_revision=10 status="applied" http_status=204 error=null
        forced: revision=10 held_revision=10 status="applied" http_status=204 error=null
        unchanged: revision=11 held_revision=11 status="unchanged" http_status=null error=null
        superseded: revision=9 held_revision=11 status="superseded" http_status=null error=null
        stale: revision=12 held_revision=11 status="superseded" http_status=409 error=null
        rejected: revision=13 held_revision=11 status="rejected" http_status=422 error="malformed: as told"
        expired: revision=14 held_revision=11 status="expired" http_status=null error=null
    "#]]
    .assert_eq(&log);
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_of_another_tenant_s_router_are_refused() {
    let service = Service::start().await;
    has_router(&service, 5).await;
    let mut data = flags(&service, 10, true);
    data["isp_id"] = json!("isp-2");
    let outcome = service.handle(EVENTS[0], data).await;
    assert_eq!(shown(&outcome), "rejected: tenant_mismatch");
    assert_eq!(service.backend.calls(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_sends_no_flags() {
    let service = Service::start_with(&[("RSADAPTOR__HS_ADMIN__MODE", "log")]).await;
    let outcome = service.handle(EVENTS[0], flags(&service, 10, true)).await;
    assert_eq!(shown(&outcome), "skipped: not_sent");
    assert_eq!((service.backend.calls(), applied(&service).await), (vec![], "nothing".to_owned()));
}
