//! `RSSyncSystem`: the documents of ISPs are sent again, and what became of them is told.

use eventbus::Outcome;
use serde_json::{Value, json};
use testkit::unique;

use crate::{
    jobs::{Job, applies},
    rest::{OF_ISP, Rest},
};

fn request(job: &Job<'_>, scope: &Value, mode: &str) -> Value {
    json!({
        "request_id": format!("{}/system", job.id), "scope": scope, "mode": mode, "window": 10,
        "rate_per_s": null,
    })
}

fn counts(reply: &Value) -> String {
    let counts = reply["counts"].as_object().unwrap();
    let counts = counts.iter().filter(|(_, it)| **it != json!(0));
    let counts: Vec<String> = counts.map(|(name, it)| format!("{name} {it}")).collect();
    format!("{}: {}", reply["status"].as_str().unwrap(), counts.join(", "))
}

async fn set_everything(rest: &Rest) {
    for (path, body) in OF_ISP {
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(rest.put(path, &body).await.status, 200);
    }
}

#[tokio::test]
async fn both_documents_of_an_isp_are_sent_in_the_lane_of_syncs_with_the_revision_that_they_have() {
    let rest = Rest::start().await;
    set_everything(&rest).await;
    for (mode, forced) in [("force", true), ("delta", false)] {
        let mut job = Job::new(&rest.service, &unique("j"));
        let scope = json!({"isp_id": rest.service.isp});
        assert_eq!(job.ask("RSSyncSystem", request(&job, &scope, mode)).await, Outcome::Done);
        job.run(applies).await;
        let reply = job.last_reply("system").await.unwrap();
        assert_eq!(counts(&reply), "completed: applied 2, total 2");
        for it in &job.sent {
            assert_eq!(it.headers["ce_lane"], "sync");
            assert!(it.headers.contains_key("ce_expiresat"));
            assert_eq!(it.headers.contains_key("ce_force"), forced);
            assert_eq!(it.key.as_deref(), Some(rest.service.isp.as_str()));
        }
        let told = |suffix: &str| &job.told[&format!("{}~{suffix}", rest.service.isp)];
        let revision = async |path: &str| json!(rest.get(path).await.revision());
        assert_eq!(told("router-protection")["revision"], revision("/router-protection").await);
        assert_eq!(told("router-protection")["dns_allowed_list"], json!(["192.0.2.53"]));
        assert_eq!(told("system")["revision"], revision("/lan-protection").await);
        assert_eq!(told("system")["advanced"]["log_level"], json!("debug"));
        let again = job.ask("RSSyncSystem", request(&job, &scope, mode)).await;
        assert_eq!(again, Outcome::Skipped("superseded"));
    }
}

#[tokio::test]
async fn a_sync_of_all_sends_the_documents_of_all_isps_in_bulks() {
    let rest = Rest::start_with(&[("RSCLIENT__SYNC__BULK_REQUESTS", "3")]).await;
    set_everything(&rest).await;
    let any = &rsclient::domain::Expected::Any;
    for n in 0..7 {
        let isp_id = rest.service.id(&format!("isp{n}")).parse().unwrap();
        let lan = events::LanProtection { enabled: true, isolate_iot: true, arp_guard: n == 3 };
        let change = rsclient::domain::SystemChange::LanProtection(lan);
        rest.service.app.store.system_configurations.set(&isp_id, any, &change).await.unwrap();
    }
    let mut job = Job::new(&rest.service, &unique("j"));
    job.ask("RSSyncSystem", request(&job, &json!({}), "force")).await;
    job.run(applies).await;
    let reply = job.last_reply("system").await.unwrap();
    assert_eq!(counts(&reply), "completed: applied 9, total 9");
    assert_eq!(job.told.len(), 9);
    let third = &job.told[&format!("{}~system", rest.service.id("isp3"))];
    assert_eq!(third["lan_protection"]["arp_guard"], json!(true));
}

#[tokio::test]
async fn a_scope_within_an_isp_has_no_documents_of_an_isp() {
    let rest = Rest::start().await;
    set_everything(&rest).await;
    let isp = &rest.service.isp;
    for scope in [
        json!({"isp_id": isp, "account_id": rest.service.account}),
        json!({"isp_id": isp, "model": "hg-8000"}),
        json!({"isp_id": "another"}),
    ] {
        let mut job = Job::new(&rest.service, &unique("j"));
        job.ask("RSSyncSystem", request(&job, &scope, "force")).await;
        job.run(applies).await;
        assert_eq!(counts(&job.last_reply("system").await.unwrap()), "completed: ", "{scope}");
        assert!(job.sent.is_empty());
    }
}

#[tokio::test]
async fn a_document_that_was_set_back_is_raised_above_what_the_backend_holds() {
    let rest = Rest::start().await;
    set_everything(&rest).await;
    let mut job = Job::new(&rest.service, &unique("j"));
    let scope = json!({"isp_id": rest.service.isp});
    job.ask("RSSyncSystem", request(&job, &scope, "delta")).await;
    let (behind, held) = (format!("{}~system", rest.service.isp), 4_000_000_000_000_u64);
    let superseded = json!({"status": "superseded", "held_revision": held, "http_status": null});
    job.run(|key, payload| match key == behind && payload["revision"].as_u64().unwrap() <= held {
        true => Some(superseded.clone()),
        false => Some(json!({})),
    })
    .await;
    let reply = job.last_reply("system").await.unwrap();
    assert_eq!(counts(&reply), "completed: applied 2, total 2");
    assert_eq!(job.told[&behind]["revision"], json!(held + 1));
    assert_eq!(rest.get("/lan-protection").await.revision(), held + 1);
}

#[tokio::test]
async fn a_rejected_document_is_a_failure_that_can_be_sent_again() {
    let rest = Rest::start().await;
    set_everything(&rest).await;
    let mut job = Job::new(&rest.service, &unique("j"));
    let scope = json!({"isp_id": rest.service.isp});
    job.ask("RSSyncSystem", request(&job, &scope, "force")).await;
    let bad = format!("{}~router-protection", rest.service.isp);
    let rejected = json!({"status": "rejected", "http_status": 422, "error": "no such address"});
    job.run(|key, _| Some(if key == bad { rejected.clone() } else { json!({}) })).await;
    let reply = job.last_reply("system").await.unwrap();
    assert_eq!(counts(&reply), "completed_with_failures: applied 1, rejected 1, total 2");
    job.sent.clear();
    let redrive = json!({"action": "redrive", "request_id": format!("{}/accounts~1", job.id)});
    assert_eq!(job.ask("RSSyncControl", redrive).await, Outcome::Done);
    job.run(applies).await;
    assert_eq!(job.sent.len(), 1);
    assert_eq!(job.sent[0].headers["ce_type"], "RSRouterProtectionUpdated");
    let reply = job.last_reply("accounts~1").await.unwrap();
    assert_eq!(counts(&reply), "completed: applied 1, total 1");
    let failures = rest.service.app.async_tasks.failures();
    assert!(failures.classes(&job.id.parse().unwrap()).await.unwrap().is_empty());
}
