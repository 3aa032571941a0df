//! The document of the REST API: it is served, and what it says is so.

use reqwest::{Method, Response};
use rssync::infrastructure::rest::document;
use serde_json::{Value, json};
use testkit::{
    documents::{Operation, fits, operations},
    unique,
};

use crate::{peers::Peer, service::Service};

async fn service() -> Service {
    let (_, rsclient) = Peer::start("d", 3).await;
    let (_, rsagents) = Peer::start("p", 0).await;
    let peers =
        [("RSSYNC__PEERS__RSCLIENT_URL", &*rsclient), ("RSSYNC__PEERS__RSAGENTS_URL", &*rsagents)];
    Service::start_with(&peers).await
}

fn told() -> Value {
    serde_json::from_str(&openapi::text(&document())).unwrap()
}

/// The status, once the answer is found to be as the document says.
async fn hold(api: &Value, operation: &Operation, what: &str, answer: Response) -> u16 {
    let status = answer.status().as_u16();
    let media_type = answer.headers().get("content-type");
    let media_type = media_type.map(|it| it.to_str().unwrap().to_owned());
    // A stream of events has no end.
    let body = match media_type.as_deref() {
        Some(it) if it.ends_with("json") => answer.json().await.unwrap(),
        Some(_) | None => Value::Null,
    };
    let held = operation.answers(api, status, media_type.as_deref(), &body);
    held.unwrap_or_else(|it| panic!("{what}: {it:#}"));
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_document_is_answered_as_the_document_says() {
    let service = service().await;
    let api = told();
    let mut ran = Vec::new();
    for operation in operations(&api) {
        let method: Method = operation.method.parse().unwrap();
        for (name, body) in operation.examples() {
            let scope = json!({"scope": {"isp_id": unique("isp")}});
            let job_id = service.start_job(None, scope).await;
            if name == "resume" {
                assert_eq!(service.steer(&job_id, "pause").await, 204);
            }
            let what = format!("{method} {} ({name})", operation.path);
            let place = operation.path.replace("{job_id}", &job_id);
            let token = service.issuers.operators.operator("rssync", "sync:read sync:write");
            let mut request = service.request(method.clone(), &place).bearer_auth(token.unwrap());
            if let Some(body) = &body {
                let fit = fits(&api, operation.body_schema(), body);
                fit.unwrap_or_else(|it| panic!("{what}: {it:#}"));
                request = request.json(body).header("prefer", "return=representation");
            }
            let status = hold(&api, &operation, &what, request.send().await.unwrap()).await;
            assert!((200..300).contains(&status), "{what}: {status}");
            service.steer(&job_id, "cancel").await;
            ran.push(what);
        }
    }
    assert_eq!(ran.len(), 9, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_problem_as_the_document_says() {
    let service = service().await;
    let api = told();
    for operation in operations(&api) {
        let method: Method = operation.method.parse().unwrap();
        let scope = operation.told["security"][0]["bearer"][0].as_str().unwrap();
        let other = if scope == "sync:read" { "sync:write" } else { "sync:read" };
        let token = |scope: &str| service.issuers.operators.operator("rssync", scope).unwrap();
        let place = operation.path.replace("{job_id}", "j-unknown");
        let what = format!("{method} {place}");
        let mut seen = Vec::new();
        for token in [None, Some(token(other)), Some(token(scope))] {
            let request = service.request(method.clone(), &format!("{place}?limit=0"));
            let request = request.header("content-type", "application/json").body("[");
            let request = match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            seen.push(hold(&api, &operation, &what, request.send().await.unwrap()).await);
        }
        assert_eq!(seen[..2], [401, 403], "{what}");
        assert!([404, 422].contains(&seen[2]), "{what}: {}", seen[2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_and_its_page_are_served_to_everybody() {
    let service = service().await;
    let get = async |path: &str| {
        let answer = service.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (media_type, answer.text().await.unwrap())
    };
    let (media_type, text) = get("/openapi.json").await;
    assert_eq!((media_type.as_str(), text), ("application/json", openapi::text(&document())));
    let api = told();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"), "{}", api["openapi"]);
    let (media_type, page) = get("/docs").await;
    assert!(media_type.starts_with("text/html"));
    for it in operations(&api) {
        assert!(page.contains(&it.path), "{}", it.path);
    }
    assert!(!page.contains("<script") && !page.contains("src="), "it fetches something");
}
