//! `RSSyncSystem`, `RSSyncAccounts`, `RSSyncAccountsBulk`: what is sent again, and what is told of it.

use eventbus::Outcome;
use serde_json::{Value, json};
use testkit::unique;

use crate::{
    jobs::{Job, applies},
    service::Service,
};

async fn home(devices: usize) -> Service {
    home_with(devices, &[]).await
}

async fn home_with(devices: usize, settings: &[(&str, &str)]) -> Service {
    let service = Service::start_with(settings).await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    for n in 0..devices {
        service.done("DeviceCreated", service.device(&format!("d{n}"), 1, json!({}))).await;
    }
    service
}

fn counts(reply: &Value) -> String {
    let counts = reply["counts"].as_object().unwrap();
    let counts = counts.iter().filter(|(_, it)| **it != json!(0));
    let counts: Vec<String> = counts.map(|(name, it)| format!("{name} {it}")).collect();
    format!("{}: {}", reply["status"].as_str().unwrap(), counts.join(", "))
}

#[tokio::test]
async fn a_full_sync_sends_every_device_in_bulks_with_the_revision_that_it_has() {
    let service = home_with(7, &[("RSCLIENT__SYNC__BULK_REQUESTS", "3")]).await;
    let router =
        json!({"kind": "router", "device_type": "router", "flags": {"dns_over_tls": true}});
    service.done("DeviceCreated", service.device("r", 1, router)).await;
    service.done("DeviceDeleted", service.deletion("device_id", &service.id("d6"), 2)).await;
    let mut last = service.last_said().await;
    // What was said last of the router are its flags.
    last.remove(&service.id("r")).unwrap();
    let mut job = Job::new(&service, &unique("j"));
    assert_eq!(job.ask_for_accounts(json!({})).await, Outcome::Done);
    job.run(applies).await;
    assert_eq!(counts(&job.last_reply("accounts").await.unwrap()), "completed: applied 9, total 9");
    for it in &job.sent {
        assert_eq!(it.headers["ce_lane"], "sync");
        assert_eq!(it.headers["ce_force"], "true");
        assert!(it.headers.contains_key("ce_expiresat"));
    }
    let flags = &job.told[&format!("{}~flags", service.id("r"))];
    assert_eq!(flags["flags"], json!({"dns_over_tls": true}));
    for (id, (event_type, said)) in last {
        let again = &job.told[&id];
        assert_eq!(again["services"], said["services"], "{event_type} {id}");
    }
    let stored = service.stored("devices", &service.id("d1")).await;
    assert_eq!(
        job.told[&service.id("d1")]["revision"],
        json!(stored.get_i64("rs_revision").unwrap())
    );
    assert_eq!(stored.get_i64("revision").unwrap(), 1);
}

#[tokio::test]
async fn a_repeated_request_gets_the_stored_reply_and_starts_nothing() {
    let service = home(3).await;
    let mut job = Job::new(&service, &unique("j"));
    job.ask_for_accounts(json!({})).await;
    job.run(applies).await;
    let (sent, reply) = (job.sent.len(), job.last_reply("accounts").await.unwrap());
    assert_eq!(job.ask_for_accounts(json!({})).await, Outcome::Skipped("superseded"));
    job.run(applies).await;
    assert_eq!(job.sent.len(), sent);
    assert_eq!(job.last_reply("accounts").await.unwrap(), reply);
}

#[tokio::test]
async fn a_reply_that_comes_twice_or_from_nowhere_is_counted_once() {
    let service = home(3).await;
    let mut job = Job::new(&service, &unique("j"));
    job.ask_for_accounts(json!({})).await;
    let silent = service.id("d2");
    job.run(|key, _| (key != silent).then(|| json!({}))).await;
    let reply = |key: &str| {
        json!({
            "request_id": format!("{}/accounts/000000/{key}", job.id), "job_id": job.id,
            "resource": key, "revision": 1, "held_revision": 1, "status": "applied",
            "http_status": 204, "error": null,
        })
    };
    for _ in 0..3 {
        job.answered(&reply(&service.id("d0"))).await;
        job.answered(&reply("nobody")).await;
    }
    job.answered(&reply(&silent)).await;
    job.run(applies).await;
    assert_eq!(counts(&job.last_reply("accounts").await.unwrap()), "completed: applied 3, total 3");
}

#[tokio::test]
async fn a_scope_names_an_account_or_a_model() {
    let service = home(2).await;
    let router = |model: &str| json!({"kind": "router", "device_type": "router", "model": model});
    service.done("DeviceCreated", service.device("r1", 1, router("hg-1"))).await;
    service.done("DeviceCreated", service.device("r2", 1, router("hg-2"))).await;
    let isp = &service.isp;
    let scopes = [
        (json!({"isp_id": isp, "account_id": service.account}), 4),
        (json!({"isp_id": isp, "model": "hg-2"}), 1),
        (json!({"isp_id": isp, "account_id": "another"}), 0),
        (json!({"isp_id": "another"}), 0),
    ];
    for (scope, devices) in scopes {
        let mut job = Job::new(&service, &unique("j"));
        job.ask_for_accounts(json!({"scope": scope, "mode": "delta"})).await;
        job.run(applies).await;
        assert_eq!(job.sent.len(), devices, "{scope}");
        assert!(job.sent.iter().all(|it| !it.headers.contains_key("ce_force")));
        let reply = job.last_reply("accounts").await.unwrap();
        assert_eq!(reply["counts"]["total"], json!(devices));
        assert_eq!(reply["status"], json!("completed"));
    }
}

#[tokio::test]
async fn a_store_that_was_set_back_is_raised_above_what_the_backend_holds() {
    let service = home(2).await;
    let mut job = Job::new(&service, &unique("j"));
    job.ask_for_accounts(json!({})).await;
    let (behind, held) = (service.id("d0"), 4_000_000_000_000_u64);
    let superseded = json!({"status": "superseded", "held_revision": held, "http_status": null});
    job.run(|key, payload| match key == behind && payload["revision"].as_u64().unwrap() <= held {
        true => Some(superseded.clone()),
        false => Some(json!({})),
    })
    .await;
    assert_eq!(counts(&job.last_reply("accounts").await.unwrap()), "completed: applied 2, total 2");
    assert_eq!(job.told[&behind]["revision"], json!(held + 1));
    let stored = service.stored("devices", &behind).await;
    assert_eq!(stored.get_i64("rs_revision").unwrap(), 4_000_000_000_001);
}

#[tokio::test]
async fn an_isp_that_has_set_nothing_has_no_documents_to_send() {
    let service = home(0).await;
    let job = Job::new(&service, &unique("j"));
    let request = json!({
        "request_id": format!("{}/system", job.id), "scope": {}, "mode": "force", "window": 10,
        "rate_per_s": null,
    });
    assert_eq!(job.ask("RSSyncSystem", request).await, Outcome::Done);
    assert_eq!(counts(&job.last_reply("system").await.unwrap()), "completed: ");
}
