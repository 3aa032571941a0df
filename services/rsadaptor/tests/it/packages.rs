use expect_test::expect;
use mongodb::bson::doc;
use serde_json::{Value, json};
use testkit::unique;

use crate::{
    backend::error,
    replies::{asking, line, reply},
    service::{Service, first, of_agents, shown},
};

fn package(id: &str, revision: u64, version: &str) -> Value {
    json!({
        "agent_package_id": id, "isp_id": "isp-1", "revision": revision, "version": version,
        "models": ["hg-8000"], "url": "https://example.org/p", "sha256": "00ff",
        "size_bytes": 1_048_576, "signature": "signed", "state": "released"
    })
}

fn deletion(id: &str, revision: u64) -> Value {
    json!({"agent_package_id": id, "revision": revision})
}

async fn handle(service: &Service, event_type: &str, data: &Value) -> String {
    shown(&service.attempt(&first(of_agents(event_type, data))).await)
}

/// The row of a package in one line.
async fn applied(service: &Service, id: &str) -> String {
    let row = service.rows().find_one(doc! { "_id": format!("package~{id}") }).await.unwrap();
    let Some(row) = row else { return "nothing".to_owned() };
    let (kind, revision) = (row.get_str("kind").unwrap(), row.get_i64("revision").unwrap());
    let tombstone = if row.get_bool("tombstone").unwrap() { " tombstone" } else { "" };
    let unknown = if row.contains_key("hash") { "" } else { " unknown" };
    format!(
        "{kind} {revision}{tombstone}{unknown} of {}",
        row.get_str("isp_id").unwrap_or("nobody")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_end_as_their_revisions_say() {
    let service = Service::start().await;
    let id = unique("p");
    let mut log = String::new();
    let (created, deleted) = ("RSAgentPackageCreated", "RSAgentPackageDeleted");
    let steps = [
        ("deletion of what is not there", deleted, deletion(&id, 5)),
        ("older", created, package(&id, 4, "1")),
        ("first", created, package(&id, 10, "1")),
        ("again", created, package(&id, 10, "1")),
        ("older", created, package(&id, 9, "0")),
        ("other", created, package(&id, 11, "2")),
        ("older deletion", deleted, deletion(&id, 10)),
        ("deletion", deleted, deletion(&id, 12)),
        ("deletion again", deleted, deletion(&id, 12)),
        ("equal to the deletion", created, package(&id, 12, "2")),
        ("back", created, package(&id, 13, "2")),
    ];
    for (name, event_type, data) in steps {
        let outcome = handle(&service, event_type, &data).await;
        let calls = service.backend.calls().join(", ").replace(&id, "P");
        log += &format!("{name}: {outcome}; [{calls}]; {}\n", applied(&service, &id).await);
    }
    expect![[r#"
        deletion of what is not there: done; [DELETE /agent-packages/P @5]; package 5 tombstone of nobody
        older: skipped: superseded; []; package 5 tombstone of nobody
        first: done; [PUT /agent-packages/P @10]; package 10 of isp-1
        again: done; []; package 10 of isp-1
        older: skipped: superseded; []; package 10 of isp-1
        other: done; [PUT /agent-packages/P @11]; package 11 of isp-1
        older deletion: skipped: superseded; []; package 11 of isp-1
        deletion: done; [DELETE /agent-packages/P @12]; package 12 tombstone of isp-1
        deletion again: done; []; package 12 tombstone of isp-1
        equal to the deletion: skipped: superseded; []; package 12 tombstone of isp-1
        back: done; [PUT /agent-packages/P @13]; package 13 of isp-1
    "#]]
    .assert_eq(&log);
    let held = service.backend.held(&format!("/agent-packages/{id}")).unwrap().to_string();
    expect![[r#"{"id":"P","models":["hg-8000"],"sha256":"00ff","signature":"signed","size_bytes":1048576,"url":"https://example.org/p","version":"2"}"#]]
    .assert_eq(&held.replace(&id, "P"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_package_is_told_to_who_asked() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    let service = Service::start().await;
    let (id, task) = (unique("p"), unique("task"));
    let past = "2020-01-01T00:00:00Z".parse().unwrap();
    let mut log = String::new();
    let steps = [
        ("applied", of_agents("RSAgentPackageCreated", &package(&id, 10, "1"))),
        ("unchanged", of_agents("RSAgentPackageCreated", &package(&id, 11, "1"))),
        ("superseded", of_agents("RSAgentPackageCreated", &package(&id, 9, "1"))),
        ("rejected", of_agents("RSAgentPackageCreated", &package(&id, 12, "2"))),
        ("expired", of_agents("RSAgentPackageCreated", &package(&id, 13, "2"))),
        ("deleted", of_agents("RSAgentPackageDeleted", &deletion(&id, 14))),
    ];
    for (name, mut message) in steps {
        match name {
            "rejected" => {
                service.backend.next(&format!("/agent-packages/{id}"), error(422, "malformed"));
            }
            "expired" => message.attributes.expires_at = Some(past),
            _ => {}
        }
        let request_id = format!("{task}/{name}");
        service.attempt(&first(asking(message, &request_id))).await;
        let (record, told) = reply(&request_id).await;
        assert_eq!(record.headers["ce_type"], "RSAgentPackageCreatedReply");
        assert_eq!(told["resource"], id);
        log += &format!("{name}: {}\n", line(&told));
    }
    expect![[r#"
        applied: revision=10 held_revision=10 status="applied" http_status=204 error=null
        unchanged: revision=11 held_revision=11 status="unchanged" http_status=null error=null
        superseded: revision=9 held_revision=11 status="superseded" http_status=null error=null
        rejected: revision=12 held_revision=11 status="rejected" http_status=422 error="malformed: as told"
        expired: revision=13 held_revision=11 status="expired" http_status=null error=null
        deleted: revision=14 held_revision=14 status="applied" http_status=204 error=null
    "#]]
    .assert_eq(&log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_another_tenant_is_refused_even_where_the_envelope_alone_names_it() {
    let service = Service::start().await;
    let id = unique("p");
    handle(&service, "RSAgentPackageCreated", &package(&id, 10, "1")).await;
    service.backend.calls();
    let mut message = of_agents("RSAgentPackageDeleted", &deletion(&id, 11));
    message.attributes.tenant = Some("isp-2".parse().unwrap());
    let outcome = shown(&service.attempt(&first(message)).await);
    assert_eq!(outcome, "rejected: tenant_mismatch");
    assert_eq!(service.backend.calls(), Vec::<String>::new());
}
