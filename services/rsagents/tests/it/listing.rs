//! `RSAgentsUpdated` lists what routers may be pointed at: what may run and is held by the backend.

use serde_json::{Value, json};
use testkit::eventually;

use crate::service::{LIMIT, Service};

impl Service {
    /// What was said of a package or of the ISP without a job, in order.
    pub(crate) async fn records_of(&self, key: &str) -> Vec<testkit::records::Record> {
        let mut all = testkit::records::read(&self.kafka, crate::service::PACKAGES).await.unwrap();
        all.retain(|it| it.key.as_deref() == Some(key) && !it.headers.contains_key("ce_jobid"));
        all
    }

    /// What was said last of the ISP by this event.
    pub(crate) async fn said_last(&self, event_type: &str) -> Option<Value> {
        let all = self.records_of(&self.isp).await;
        let last = all.iter().rfind(|it| it.headers["ce_type"] == event_type)?;
        Some(last.json().unwrap())
    }

    /// Waits until these packages are listed, and no others.
    pub(crate) async fn lists(&self, names: &[&str]) {
        let wanted: Vec<String> = names.iter().map(|it| self.id(it)).collect();
        let look = async || {
            let said = self.said_last("RSAgentsUpdated").await?;
            let packages = said["packages"].as_array().unwrap().iter();
            let ids = packages.map(|it| it["agent_package_id"].as_str().unwrap().to_owned());
            (ids.collect::<Vec<_>>() == wanted).then_some(())
        };
        eventually(&format!("listed are {names:?}"), LIMIT, look).await;
    }
}

#[tokio::test]
async fn what_the_backend_refuses_is_never_listed() {
    let service = Service::start().await;
    service.make("wrong", "released").await;
    let refused = service.becomes("wrong", |it| it["backend"]["status"] == "refused").await;
    let backend =
        json!({"status": "refused", "http_status": 422, "error": "the signature is wrong"});
    assert_eq!((&refused["backend"], &refused["listed"]), (&backend, &json!(false)));
    service.make("silent", "released").await;
    service.release("good").await;
    service.lists(&["good"]).await;
    let said = service.said_last("RSAgentsUpdated").await.unwrap();
    let listed = json!([{
        "agent_package_id": service.id("good"), "version": "4.2.0", "models": ["hg-8000"],
    }]);
    assert_eq!((&said["packages"], &said["isp_id"]), (&listed, &json!(service.isp)));
    for record in service.records_of(&service.isp).await {
        let said = record.json().unwrap().to_string();
        assert!(!said.contains("wrong") && !said.contains("silent"), "{said}");
    }
}

#[tokio::test]
async fn a_package_is_listed_from_its_release_to_its_revocation() {
    let service = Service::start().await;
    service.make("p", "draft").await;
    service.becomes("p", |it| it["backend"]["status"] == "applied").await;
    service.release("q").await;
    service.lists(&["q"]).await;
    for (state, listed) in
        [("released", vec!["p", "q"]), ("deprecated", vec!["p", "q"]), ("revoked", vec!["q"])]
    {
        let answer = service.patch("p", &json!({"state": state}), None).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        service.lists(&listed).await;
    }
}

#[tokio::test]
async fn a_draft_that_became_other_software_is_listed_when_the_backend_holds_that() {
    let service = Service::start().await;
    service.make("p", "draft").await;
    service.becomes("p", |it| it["backend"]["status"] == "applied").await;
    let change = json!({"url": "https://example.org/q", "state": "released"});
    let changed = service.patch("p", &change, None).await;
    // What the backend said was of other software.
    assert_eq!(changed.body["backend"]["status"], "waiting", "{}", changed.body);
    assert_eq!(changed.body["listed"], false);
    service.becomes("p", |it| it["listed"] == true).await;
    service.lists(&["p"]).await;
}

#[tokio::test]
async fn a_package_that_was_set_back_is_raised_past_what_the_backend_holds_and_told_again() {
    let service = Service::start().await;
    let made = service.make("ahead", "released").await;
    let first = made.body["revision"].as_u64().unwrap();
    // The stand-in holds something newer the first time it is asked.
    let raised = service.becomes("ahead", |it| it["listed"] == true).await;
    assert!(raised["revision"].as_u64().unwrap() > first + crate::adaptor::AHEAD, "{raised}");
    service.lists(&["ahead"]).await;
}

#[tokio::test]
async fn a_full_sync_says_what_is_listed_and_the_defaults_again() {
    let service = Service::start().await;
    service.release("p").await;
    let defaults = json!({"defaults": {"hg-8000": service.id("p")}});
    assert_eq!(service.put("/router_agent_packages/default", &defaults).await.status, 200);
    service.lists(&["p"]).await;
    service.ask(json!({})).await;
    let wanted = crate::service::counts([("total", 3), ("applied", 3)]);
    assert_eq!(service.ends().await, ("completed".to_owned(), wanted));
    let sent = service.sent().await;
    let of_isp = |event_type: &str| {
        let mut found = sent.iter().filter(|it| it.headers["ce_type"] == event_type);
        let found = found.next().unwrap_or_else(|| panic!("no {event_type}"));
        assert_eq!(found.headers["ce_lane"], "sync");
        assert_eq!(found.headers["ce_tenant"], service.isp);
        (found.headers["ce_requestid"].clone(), found.json().unwrap())
    };
    let (request, list) = of_isp("RSAgentsUpdated");
    assert!(request.ends_with(&format!("/{}~agents", service.isp)), "{request}");
    assert_eq!(Some(list), service.said_last("RSAgentsUpdated").await);
    let (request, said) = of_isp("RSDefaultAgentsUpdated");
    assert!(request.ends_with(&format!("/{}~default-agents", service.isp)), "{request}");
    assert_eq!(said["defaults"], defaults["defaults"]);
}

#[tokio::test]
async fn what_a_full_sync_finds_held_is_listed() {
    let service = Service::start().await;
    service.hold(&["p1", "wrong2", "p3"]).await;
    service.ask(json!({})).await;
    assert_eq!(service.ends().await.0, "completed_with_failures");
    service.lists(&["p1", "p3"]).await;
}

#[tokio::test]
async fn a_word_that_was_noted_by_a_process_that_died_lists_the_package_when_it_comes_again() {
    let service = Service::start().await;
    service.hold(&["p"]).await;
    let noted = mongodb::bson::doc! { "said": "applied", "revision": 5_i64 };
    let noted = mongodb::bson::doc! { "$set": { "backend": noted } };
    let of_it = mongodb::bson::doc! { "_id": service.id("p") };
    service.documents("agent_packages").update_one(of_it, noted).await.unwrap();
    let sender = testkit::records::Sender::new(&service.kafka).unwrap();
    let reply = testkit::records::Event {
        topic: "as-rs-adaptor-reply-topic".to_owned(),
        event_type: "RSAgentPackageCreatedReply".to_owned(),
        key: Some("rsagents~live".to_owned()),
        data: json!({
            "request_id": format!("rsagents~live/{}", service.id("p")), "job_id": null,
            "resource": service.id("p"), "revision": 5, "held_revision": 5, "status": "applied",
            "http_status": 204, "error": null,
        }),
    };
    sender.send(&reply).await.unwrap();
    service.lists(&["p"]).await;
}
