//! `RSSyncAgentPackages`: every package of a scope is sent, in bulks, and its end is counted.

use std::collections::BTreeSet;

use serde_json::json;
use testkit::eventually;

use crate::service::{LIMIT, Service, counts};

#[tokio::test]
async fn a_forced_sync_sends_all_packages_and_remembered_deletions_bulk_by_bulk() {
    let service = Service::start().await;
    service.hold(&["p1", "p2", "p3", "p4", "p5", "p6", "p7"]).await;
    service.remove("p2").await;
    let stranger = Service::start().await;
    stranger.hold(&["p1"]).await;

    service.ask(json!({})).await;
    // What is listed for routers is said behind the packages.
    let wanted = counts([("total", 8), ("applied", 8)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
    assert_eq!(service.sent_names().await, ["p1", "p2", "p3", "p4", "p5", "p6", "p7"]);

    let bulk = |n: u32, after: Option<&str>, up_to: &str| {
        json!({"job_id": service.job, "request_id": format!("{}/agents/00000{n}", service.job),
            "after": after.map(|it| service.id(it)), "up_to": service.id(up_to)})
    };
    let wanted = [bulk(0, None, "p3"), bulk(1, Some("p3"), "p6"), bulk(2, Some("p6"), "p7")];
    assert_eq!(service.bulks().await, wanted);

    for record in service.sent().await {
        let (key, headers) = (record.key.clone().unwrap(), &record.headers);
        if key == service.isp {
            assert_eq!(headers["ce_type"], "RSAgentsUpdated");
            let request = format!("{}/agents/000003/{key}~agents", service.job);
            assert_eq!(headers["ce_requestid"], request);
            continue;
        }
        let bulk = match key.strip_prefix(&service.id("p")).unwrap() {
            "1" | "2" | "3" => 0,
            "4" | "5" | "6" => 1,
            _ => 2,
        };
        assert_eq!(headers["ce_requestid"], format!("{}/agents/00000{bulk}/{key}", service.job));
        assert_eq!(headers["ce_lane"], "sync");
        assert_eq!(headers["ce_force"], "true");
        assert_eq!(headers["ce_tenant"], service.isp);
        assert!(headers["ce_expiresat"] > headers["ce_time"], "{headers:?}");
        let payload = record.json().unwrap();
        if key.ends_with("p2") {
            assert_eq!(headers["ce_type"], "RSAgentPackageDeleted");
            assert_eq!(payload, json!({"agent_package_id": key, "revision": 6}));
        } else {
            assert_eq!(headers["ce_type"], "RSAgentPackageCreated");
            let wanted = json!({"agent_package_id": key, "isp_id": service.isp, "revision": 5,
                "version": "4.2.0", "models": ["hg-8000"], "url": "https://example.org/p",
                "sha256": "ab", "size_bytes": 7, "signature": "s", "state": "released"});
            assert_eq!(payload, wanted);
        }
    }
}

#[tokio::test]
async fn a_delta_sync_sends_the_same_and_forces_nothing() {
    let service = Service::start().await;
    service.hold(&["p1", "same2", "p3"]).await;
    service.remove("p3").await;
    service.ask(json!({"mode": "delta"})).await;
    let wanted = counts([("total", 4), ("applied", 3), ("unchanged", 1)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
    assert_eq!(service.sent_names().await, ["p1", "p3", "same2"]);
    assert!(service.sent().await.iter().all(|it| !it.headers.contains_key("ce_force")));
}

#[tokio::test]
async fn a_scope_of_a_model_covers_its_packages_and_one_of_an_account_none() {
    let service = Service::start().await;
    service.hold(&["p1", "p2"]).await;
    service.hold_for("p3", "hg-9000").await;
    service.ask(json!({"scope": {"isp_id": service.isp, "model": "hg-9000"}})).await;
    let wanted = counts([("total", 1), ("applied", 1)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
    assert_eq!(service.sent_names().await, ["p3"]);

    let other = Service::start().await;
    let account = json!({"isp_id": service.isp, "account_id": "a-1", "model": "hg-9000"});
    other.ask(json!({"scope": account})).await;
    assert_eq!(other.ends().await, ("completed".to_owned(), counts([])));
    assert_eq!(other.sent_names().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_request_that_comes_again_gets_the_reply_that_is_stored() {
    let service = Service::start().await;
    service.hold(&["p1", "wrong2"]).await;
    service.ask(json!({})).await;
    let end = service.ends().await;
    assert_eq!(end.0, "completed_with_failures");
    service.hold(&["p3"]).await;
    let ended = async || {
        let told = service.told().await;
        told.into_iter().filter(|it| it["status"] != "running").collect::<Vec<_>>()
    };
    let before = ended().await.len();
    service.ask(json!({})).await;
    let look = async || Some(ended().await).filter(|it| it.len() > before);
    let told = eventually("the stored reply", LIMIT, look).await;
    let told: BTreeSet<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(service.sent_names().await, ["p1", "wrong2"]);
}

#[tokio::test]
async fn a_job_that_is_paused_sends_nothing_until_it_is_resumed() {
    let service = Service::start().await;
    service.hold(&["slow1", "slow2", "slow3", "slow4", "slow5"]).await;
    service.ask(json!({"window": 3})).await;
    service.sends(3).await;
    service.control("pause").await;
    let paused = |it: &serde_json::Value| {
        it["reason"] == "paused: by an operator" && it["counts"]["total"] == 6
    };
    let told = service.tells("the pause, and what there is in all", paused).await;
    assert_eq!(told["status"], "running");
    assert_eq!(service.sent_names().await, ["slow1", "slow2", "slow3"]);
    service.control("resume").await;
    let wanted = counts([("total", 6), ("applied", 6)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
}
