use eventbus::{EventBusMessage, Outcome};
use expect_test::expect;
use mongodb::bson::doc;
use serde_json::{Value, json};
use testkit::unique;

use crate::{
    backend::{error, status},
    replies::{asking, line, reply},
    service::{Service, first, of_agents, of_system, shown},
};

const PROTECTION: &str = "RSRouterProtectionUpdated";
const SYSTEM: &str = "RSSystemUpdated";
const AGENTS: &str = "RSAgentsUpdated";
const DEFAULTS: &str = "RSDefaultAgentsUpdated";
/// Each event with the documents that it makes.
const DOCUMENTS: [(&str, &[&str]); 4] = [
    (PROTECTION, &["router-dns", "router-allowed-ip"]),
    (SYSTEM, &["general"]),
    (AGENTS, &["agent-versions"]),
    (DEFAULTS, &["agent-default"]),
];

/// The event in one of two states.
fn event(event_type: &str, revision: u64, first: bool) -> EventBusMessage {
    let mut data = match event_type {
        PROTECTION => json!({
            "router_protection": {"enabled": first, "block_page_ip": null},
            "dns_allowed_list": ["192.0.2.53"], "allowed_list": ["198.51.100.0/24"]
        }),
        SYSTEM => json!({
            "lan_protection": {"enabled": first, "isolate_iot": false, "arp_guard": true},
            "advanced": {"log_level": "info", "telemetry": true, "features": {"fast_path": true}}
        }),
        AGENTS => {
            let models = json!(["hg-8000", "hg-9000"][usize::from(first)]);
            json!({"packages": [
                {"agent_package_id": "p-1", "version": "4.2.0", "models": [models]}
            ]})
        }
        _ => json!({"defaults": {"hg-8000": if first { "p-1" } else { "p-2" }}}),
    };
    data["isp_id"] = json!("isp-1");
    data["revision"] = json!(revision);
    match event_type {
        PROTECTION | SYSTEM => of_system(event_type, &data),
        _ => of_agents(event_type, &data),
    }
}

fn path(document: &str) -> String {
    format!("/system/isp-1/{document}")
}

/// The row of a document in one line.
async fn row(service: &Service, document: &str) -> String {
    let id = format!("system/isp-1/{document}");
    let row = service.rows().find_one(doc! { "_id": id }).await.unwrap();
    let Some(row) = row else { return "nothing".to_owned() };
    let named = ["kind", "isp_id"].map(|it| row.get_str(it).unwrap());
    assert_eq!(named, ["system", "isp-1"]);
    let unknown = if row.contains_key("hash") { "" } else { " unknown" };
    format!("{}{unknown}", row.get_i64("revision").unwrap())
}

async fn rows(service: &Service, documents: &[&str]) -> String {
    let mut all = Vec::new();
    for it in documents {
        all.push(row(service, it).await);
    }
    all.join(", ")
}

fn calls(service: &Service) -> String {
    service.backend.calls().join(", ").replace("/system/isp-1/", "")
}

async fn handle(service: &Service, message: EventBusMessage) -> String {
    shown(&service.attempt(&first(message)).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_an_isp_end_as_their_revisions_say() {
    let mut log = String::new();
    for (event_type, documents) in DOCUMENTS {
        let service = Service::start().await;
        log += &format!("{event_type}\n");
        let forced = |mut it: EventBusMessage| {
            it.attributes.force = true;
            it
        };
        let steps = [
            ("first", event(event_type, 10, true)),
            ("again", event(event_type, 10, true)),
            ("older", event(event_type, 9, false)),
            ("same, newer", event(event_type, 11, true)),
            ("same, forced", forced(event(event_type, 11, true))),
            ("older, forced", forced(event(event_type, 9, true))),
            ("other", event(event_type, 12, false)),
        ];
        for (name, message) in steps {
            let outcome = handle(&service, message).await;
            let rows = rows(&service, documents).await;
            log += &format!("  {name}: {outcome}; [{}]; {rows}\n", calls(&service));
        }
    }
    expect![[r#"
        RSRouterProtectionUpdated
          first: done; [PUT router-dns @10, PUT router-allowed-ip @10]; 10, 10
          again: done; []; 10, 10
          older: skipped: superseded; []; 10, 10
          same, newer: done; []; 11, 11
          same, forced: done; [PUT router-dns @11, PUT router-allowed-ip @11]; 11, 11
          older, forced: skipped: superseded; []; 11, 11
          other: done; [PUT router-dns @12, PUT router-allowed-ip @12]; 12, 12
        RSSystemUpdated
          first: done; [PUT general @10]; 10
          again: done; []; 10
          older: skipped: superseded; []; 10
          same, newer: done; []; 11
          same, forced: done; [PUT general @11]; 11
          older, forced: skipped: superseded; []; 11
          other: done; [PUT general @12]; 12
        RSAgentsUpdated
          first: done; [PUT agent-versions @10]; 10
          again: done; []; 10
          older: skipped: superseded; []; 10
          same, newer: done; []; 11
          same, forced: done; [PUT agent-versions @11]; 11
          older, forced: skipped: superseded; []; 11
          other: done; [PUT agent-versions @12]; 12
        RSDefaultAgentsUpdated
          first: done; [PUT agent-default @10]; 10
          again: done; []; 10
          older: skipped: superseded; []; 10
          same, newer: done; []; 11
          same, forced: done; [PUT agent-default @11]; 11
          older, forced: skipped: superseded; []; 11
          other: done; [PUT agent-default @12]; 12
    "#]]
    .assert_eq(&log);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_holds_each_document_as_its_model_says() {
    let service = Service::start().await;
    let mut held = String::new();
    for (event_type, documents) in DOCUMENTS {
        assert_eq!(handle(&service, event(event_type, 10, true)).await, "done");
        for it in documents {
            held += &format!("{it}: {}\n", service.backend.held(&path(it)).unwrap());
        }
    }
    expect![[r#"
        router-dns: {"allowed":["192.0.2.53"],"enabled":true}
        router-allowed-ip: {"allowed":["198.51.100.0/24"],"block_page_ip":null,"enabled":true}
        general: {"advanced":{"features":{"fast_path":true},"log_level":"info","telemetry":true},"lan_protection":{"arp_guard":true,"enabled":true,"isolate_iot":false}}
        agent-versions: {"packages":[{"agent_package_id":"p-1","models":["hg-9000"],"version":"4.2.0"}]}
        agent-default: {"defaults":{"hg-8000":"p-1"}}
    "#]].assert_eq(&held);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_document_has_its_meaning() {
    let mut log = String::new();
    let answers = [
        status(200),
        error(409, "stale_revision"),
        error(400, "bad"),
        error(409, "other"),
        error(413, "large"),
        error(422, "malformed"),
        error(409, "unknown_agent_package"),
        status(408),
        status(429),
        status(500),
        status(401),
        status(403),
        status(404),
        status(405),
    ];
    for answer in answers {
        let service = Service::start().await;
        service.backend.next(&path("agent-default"), answer.clone());
        let outcome = handle(&service, event(DEFAULTS, 10, true)).await;
        let row = row(&service, "agent-default").await;
        log += &format!("{} {}: {outcome}; {row}\n", answer.status, answer.error);
    }
    expect![[r#"
        200 : done; 10
        409 stale_revision: skipped: superseded; 0 unknown
        400 bad: rejected: bad: as told; 0 unknown
        409 other: rejected: other: as told; 0 unknown
        413 large: rejected: large: as told; 0 unknown
        422 malformed: rejected: malformed: as told; 0 unknown
        409 unknown_agent_package: again: early: unknown_agent_package: as told; nothing
        408 : again, counted: backend in trouble: as told; nothing
        429 : again, counted: backend in trouble: as told; nothing
        500 : again, counted: backend in trouble: as told; nothing
        401 : again: misconfigured, waiting: as told; nothing
        403 : again: misconfigured, waiting: as told; nothing
        404 : again: misconfigured, waiting: as told; nothing
        405 : again: misconfigured, waiting: as told; nothing
    "#]]
    .assert_eq(&log);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_document_is_told_to_who_asked() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    let past = "2020-01-01T00:00:00Z".parse().unwrap();
    for (event_type, documents) in DOCUMENTS {
        let (service, task) = (Service::start().await, unique("task"));
        let name = match event_type {
            PROTECTION => "router-protection",
            SYSTEM => "system",
            AGENTS => "agents",
            _ => "default-agents",
        };
        let mut log = String::new();
        let steps = [
            ("applied", event(event_type, 10, true)),
            ("unchanged", event(event_type, 11, true)),
            ("superseded", event(event_type, 9, true)),
            ("stale", event(event_type, 12, false)),
            ("rejected", event(event_type, 13, false)),
            ("expired", event(event_type, 14, false)),
        ];
        for (step, mut message) in steps {
            let path = path(documents[0]);
            match step {
                "stale" => service.backend.next(&path, error(409, "stale_revision")),
                "rejected" => service.backend.next(&path, error(422, "malformed")),
                "expired" => message.attributes.expires_at = Some(past),
                _ => {}
            }
            let request_id = format!("{task}-{step}/isp-1~{name}");
            let outcome = handle(&service, asking(message, &request_id)).await;
            let (record, told) = reply(&request_id).await;
            assert_eq!(record.headers["ce_type"], "RSSystemReply");
            assert_eq!(record.headers["ce_tenant"], "isp-1");
            assert_eq!(told["resource"], format!("isp-1~{name}"));
            log += &format!("{step}: {outcome}; {}\n", line(&told));
        }
        let expected = match event_type {
            // Its second document is applied where the first one is not.
            PROTECTION => expect![[r#"
                applied: done; revision=10 held_revision=10 status="applied" http_status=204 error=null
                unchanged: done; revision=11 held_revision=11 status="unchanged" http_status=null error=null
                superseded: skipped: superseded; revision=9 held_revision=11 status="superseded" http_status=null error=null
                stale: skipped: superseded; revision=12 held_revision=12 status="superseded" http_status=409 error=null
                rejected: skipped: rejected; revision=13 held_revision=13 status="rejected" http_status=422 error="malformed: as told"
                expired: skipped: expired; revision=14 held_revision=13 status="expired" http_status=null error=null
            "#]],
            _ => expect![[r#"
                applied: done; revision=10 held_revision=10 status="applied" http_status=204 error=null
                unchanged: done; revision=11 held_revision=11 status="unchanged" http_status=null error=null
                superseded: skipped: superseded; revision=9 held_revision=11 status="superseded" http_status=null error=null
                stale: skipped: superseded; revision=12 held_revision=11 status="superseded" http_status=409 error=null
                rejected: skipped: rejected; revision=13 held_revision=11 status="rejected" http_status=422 error="malformed: as told"
                expired: skipped: expired; revision=14 held_revision=11 status="expired" http_status=null error=null
            "#]],
        };
        expected.assert_eq(&log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn router_protection_is_done_when_both_of_its_documents_are() {
    let service = Service::start().await;
    let documents = ["router-dns", "router-allowed-ip"];
    service.backend.next(&path("router-allowed-ip"), status(503));
    let mut delivery = first(event(PROTECTION, 10, true));
    let outcome = service.try_on(&mut delivery).await;
    assert!(matches!(outcome, Outcome::RetryAfter { .. }), "{outcome:?}");
    assert_eq!(rows(&service, &documents).await, "10, nothing");
    assert_eq!(calls(&service), "PUT router-dns @10, PUT router-allowed-ip @10");
    // What is done is not done again.
    assert_eq!(service.attempt(&delivery).await, Outcome::Done);
    assert_eq!(calls(&service), "PUT router-allowed-ip @10");
    assert_eq!(rows(&service, &documents).await, "10, 10");

    // One that is refused does not keep the other from being put.
    service.backend.next(&path("router-dns"), error(422, "malformed"));
    let outcome = handle(&service, event(PROTECTION, 11, false)).await;
    assert_eq!(outcome, "rejected: malformed: as told");
    assert_eq!(rows(&service, &documents).await, "10 unknown, 11");
    // The next record mends it, though nothing has changed.
    calls(&service);
    assert_eq!(handle(&service, event(PROTECTION, 12, false)).await, "done");
    assert_eq!(calls(&service), "PUT router-dns @12");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_of_router_protection_that_always_fails_does_not_count_for_its_other_half() {
    let service = Service::start().await;
    service.backend.always(&path("router-allowed-ip"), status(500));
    service.backend.always("/status", status(503));
    let mut forced = event(PROTECTION, 10, true);
    forced.attributes.force = true;
    let mut delivery = first(forced);
    // Its name servers get through each time, which says nothing of other records.
    for _ in 0..10 {
        service.waits(&mut delivery).await;
    }
    // Another record's success does.
    assert_eq!(handle(&service, event(DEFAULTS, 10, true)).await, "done");
    let outcome = service.try_on(&mut delivery).await;
    assert!(matches!(outcome, Outcome::RetryAfter { counted: true, .. }), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_another_tenant_than_its_envelope_is_refused() {
    let service = Service::start().await;
    for (event_type, documents) in DOCUMENTS {
        let mut message = event(event_type, 10, true);
        message.attributes.tenant = Some("isp-2".parse().unwrap());
        assert_eq!(handle(&service, message).await, "rejected: tenant_mismatch");
        assert_eq!(row(&service, documents[0]).await, "nothing");
    }
    assert_eq!(calls(&service), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_document_that_comes_in_between_leaves_the_hash_unknown() {
    let service = Service::start().await;
    assert_eq!(handle(&service, event(SYSTEM, 10, true)).await, "done");
    let rows = service.rows();
    service.backend.meanwhile(&path("general"), async move {
        let newer = doc! { "$set": { "revision": 20_i64, "hash": "of somebody else" } };
        rows.update_one(doc! { "_id": "system/isp-1/general" }, newer).await.unwrap();
    });
    assert_eq!(handle(&service, event(SYSTEM, 11, false)).await, "skipped: superseded");
    assert_eq!(row(&service, "general").await, "20 unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_sends_no_documents() {
    let service = Service::start_with(&[("RSADAPTOR__HS_ADMIN__MODE", "log")]).await;
    for (event_type, documents) in DOCUMENTS {
        assert_eq!(handle(&service, event(event_type, 10, true)).await, "skipped: not_sent");
        assert_eq!(row(&service, documents[0]).await, "nothing");
    }
    assert_eq!(calls(&service), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_too_many_entries_or_none_that_can_be_is_malformed() {
    let service = Service::start().await;
    let wrong = |member: &str, value: Value| {
        let mut message = event(PROTECTION, 10, true);
        let mut data: Value = serde_json::from_slice(&message.payload).unwrap();
        data[member] = value;
        message.payload = serde_json::to_vec(&data).unwrap();
        message
    };
    let many: Vec<String> =
        (0..1_001).map(|it| format!("10.0.{}.{}", it / 256, it % 256)).collect();
    for (member, value) in [
        ("dns_allowed_list", json!(many)),
        ("dns_allowed_list", json!(["192.0.2.053"])),
        ("allowed_list", json!(["198.51.100.1/24"])),
        ("allowed_list", json!("198.51.100.0/24")),
        ("revision", json!(-1)),
    ] {
        let outcome = handle(&service, wrong(member, value)).await;
        assert!(
            outcome.starts_with("rejected: malformed `RSRouterProtectionUpdated`"),
            "{outcome}"
        );
    }
    assert_eq!(calls(&service), "");
}
