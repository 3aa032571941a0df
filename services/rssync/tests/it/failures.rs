use auth::{AuthSettings, TrustedKey, Verifier};
use serde_json::{Value, json};

use crate::{
    peers::Peer,
    service::{JOBS, Service, nowhere},
};

async fn service_with(rsclient: &str, rsagents: &str) -> (Service, String) {
    let settings =
        [("RSSYNC__PEERS__RSCLIENT_URL", rsclient), ("RSSYNC__PEERS__RSAGENTS_URL", rsagents)];
    let service = Service::start_with(&settings).await;
    let job_id = service.start_job(Some("isp-1"), json!({})).await;
    (service, job_id)
}

fn keys(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|it| it["key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_both_services_come_page_by_page_each_once() {
    for (devices, packages, limit) in
        [(5, 3, 2), (4, 3, 2), (5, 1, 2), (0, 3, 2), (3, 0, 2), (2, 2, 9)]
    {
        let (_, rsclient) = Peer::start("d", devices).await;
        let (_, rsagents) = Peer::start("p", packages).await;
        let (service, job_id) = service_with(&rsclient, &rsagents).await;
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("{JOBS}/{job_id}/failures?limit={limit}&cursor={cursor}");
            let page = service.get(Some("isp-1"), &path).await;
            assert_eq!(page.status, 200, "{page:?}");
            assert!(keys(&page.body).len() <= limit);
            let counts = page.body["classes"].as_array().unwrap().iter();
            let total: u64 = counts.map(|it| it["count"].as_u64().unwrap()).sum();
            assert_eq!(total, (devices + packages) as u64);
            found.extend(keys(&page.body));
            match page.body["next"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        let of = |prefix, count| (0..count).map(move |it| format!("{prefix}-{it}"));
        let expected: Vec<String> = of("d", devices).chain(of("p", packages)).collect();
        assert_eq!(found, expected, "{devices} {packages}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_class_alone_can_be_asked_for() {
    let (_, rsclient) = Peer::start("d", 4).await;
    let (_, rsagents) = Peer::start("p", 1).await;
    let (service, job_id) = service_with(&rsclient, &rsagents).await;
    let page = service.get(None, &format!("{JOBS}/{job_id}/failures?class=422")).await.body;
    assert_eq!(keys(&page), ["d-0", "d-2", "p-0"]);
    assert_eq!(
        page["items"][0],
        json!({
            "task": "j-1/accounts/000001", "key": "d-0", "class": "422", "reason": "malformed",
            "attempts": 1, "at": "2026-01-02T03:04:05Z",
        })
    );
    assert_eq!(page["classes"][0], json!({"class": "422", "count": 3}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_are_asked_with_a_token_of_our_own_for_inside_use() {
    let (peer, rsclient) = Peer::start("d", 1).await;
    let (_, rsagents) = Peer::start("p", 1).await;
    let (service, job_id) = service_with(&rsclient, &rsagents).await;
    service.get(Some("isp-1"), &format!("{JOBS}/{job_id}/failures")).await;
    let asked = peer.asked().await;
    assert_eq!((asked.len(), &asked[0].job_id), (1, &job_id));
    let trusted = TrustedKey {
        issuer: "rssync".to_owned(),
        public_key: service.issuers.own.public_key_pem(),
        scopes: "internal".to_owned(),
        isp_optional: true,
    };
    let settings = AuthSettings { keys: [("rssync".to_owned(), trusted)].into() };
    let caller = Verifier::new("rsclient", &settings).unwrap().caller(&asked[0].token).unwrap();
    caller.require("internal").unwrap();
    assert_eq!((caller.subject.as_str(), caller.isp_id), ("rssync", None));
    Verifier::new("rsagents", &settings).unwrap().caller(&asked[0].token).unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_answer_is_no_job_without_failures() {
    let (_, rsagents) = Peer::start("p", 1).await;
    let (service, job_id) = service_with(&format!("http://{}", nowhere()), &rsagents).await;
    let answer = service.get(None, &format!("{JOBS}/{job_id}/failures")).await;
    assert_eq!(answer.status, 503);
    for cursor in ["x", "x:1", "c", &format!("c:{}", "1".repeat(600))] {
        let path = format!("{JOBS}/{job_id}/failures?cursor={cursor}");
        assert_eq!(service.get(None, &path).await.status, 422, "{cursor}");
    }
}
