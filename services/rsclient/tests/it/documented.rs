//! The document of the REST API: it is served, and what it says is so.

use reqwest::{Method, RequestBuilder};
use rsclient::infrastructure::rest::document;
use serde_json::{Value, json};
use testkit::documents::{Operation, fits, operations};

use crate::rest::{Answer, BOTH, Rest};

fn told() -> Value {
    serde_json::from_str(&openapi::text(&document())).unwrap()
}

/// A service with a device, packages that may be used, and a rollout.
struct Documented {
    rest: Rest,
    rollout: String,
}

async fn start() -> Documented {
    let rest = Rest::start().await;
    let service = &rest.service;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    service.done("DeviceCreated", service.device("d", 1, json!({}))).await;
    let models = ["hg-7000", "hg-8000", "hg-9000"];
    let package = |id: &str| json!({"agent_package_id": id, "version": "1.0.0", "models": models});
    let packages = [service.id("p").as_str(), "p-1", "p-2"].map(package);
    let listed = json!({"isp_id": service.isp, "revision": 1, "packages": packages});
    service.done("RSAgentsUpdated", listed).await;
    let groups = models.map(|it| json!({"model": it, "target_version": null}));
    let groups = json!({"routers": [], "groups": groups});
    rest.put("/subsystems/rs/router_agent_packages/p-1", &groups).await;
    let begin = json!({"model": "hg-7000", "target_version": "beta", "from": "p-1", "to": "p-2"});
    let post = rest.request(Method::POST, "/subsystems/rs/rollouts").json(&begin);
    let begun = Answer::of(post.bearer_auth(rest.token(BOTH))).await;
    let rollout = begun.body["rollout_id"].as_str().unwrap().to_owned();
    Documented { rest, rollout }
}

fn place(Documented { rest, rollout }: &Documented, operation: &Operation) -> String {
    let place = operation.path.replace("{device_id}", &rest.service.id("d"));
    let place = place.replace("{rollout_id}", rollout);
    place.replace("{agent_package_id}", &rest.service.id("p"))
}

/// The status, once the answer is found to be as the document says.
async fn hold(api: &Value, operation: &Operation, what: &str, request: RequestBuilder) -> u16 {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let media_type = answer.headers().get("content-type");
    let media_type = media_type.map(|it| it.to_str().unwrap().to_owned());
    let tagged = answer.headers().contains_key("etag");
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    let held = operation.answers(api, status, media_type.as_deref(), &body);
    held.unwrap_or_else(|it| panic!("{what}: {it:#}"));
    let tag = &operation.told["responses"]["200"]["headers"]["ETag"];
    assert_eq!(tagged, status == 200 && tag.is_object(), "{what}");
    status
}

#[tokio::test]
async fn every_example_of_the_document_is_answered_as_the_document_says() {
    let (documented, api) = (start().await, told());
    let rest = &documented.rest;
    let mut ran = Vec::new();
    for operation in operations(&api) {
        let method: Method = operation.method.parse().unwrap();
        for (name, body) in operation.examples() {
            let what = format!("{method} {} ({name})", operation.path);
            let request = rest.request(method.clone(), &place(&documented, &operation));
            let mut request = request.bearer_auth(rest.token(BOTH));
            if let Some(body) = &body {
                let fit = fits(&api, operation.body_schema(), body);
                fit.unwrap_or_else(|it| panic!("{what}: {it:#}"));
                request = request.json(body);
            }
            let status = hold(&api, &operation, &what, request).await;
            assert!([200, 201, 204].contains(&status), "{what}: {status}");
            ran.push(what);
        }
    }
    assert_eq!(ran.len(), 24, "{ran:?}");
}

#[tokio::test]
async fn every_refusal_is_a_problem_as_the_document_says() {
    let (documented, api) = (start().await, told());
    let rest = &documented.rest;
    for operation in operations(&api) {
        let method: Method = operation.method.parse().unwrap();
        let scope = operation.told["security"][0]["bearer"][0].as_str().unwrap();
        let other = if scope == "rs:read" { "rs:write" } else { "rs:read" };
        let request = |query: &str| {
            let place = format!("{}{query}", place(&documented, &operation));
            let request = rest.request(method.clone(), &place);
            request.header("content-type", "application/json").body("[")
        };
        let what = format!("{method} {}", operation.path);
        let bare = hold(&api, &operation, &what, request("")).await;
        let wrong = request("").bearer_auth(rest.token(other));
        let wrong = hold(&api, &operation, &what, wrong).await;
        let foreign = request("?isp_id=nobody").bearer_auth(rest.token(scope));
        let foreign = hold(&api, &operation, &what, foreign).await;
        assert_eq!([bare, wrong, foreign], [401, 403, 404], "{what}");
        if method == Method::PUT {
            let broken = request("").bearer_auth(rest.token(scope));
            assert_eq!(hold(&api, &operation, &what, broken).await, 422, "{what}");
            let late = rest.request(method.clone(), &place(&documented, &operation));
            let late = late.bearer_auth(rest.token(scope)).header("if-match", "\"7\"");
            let late = late.json(&operation.examples()[0].1.clone().unwrap());
            assert_eq!(hold(&api, &operation, &what, late).await, 412, "{what}");
        }
    }
}

#[tokio::test]
async fn the_document_and_its_page_are_served_to_everybody() {
    let (rest, api) = (Rest::start().await, told());
    let get = async |path: &str| {
        let answer = rest.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    };
    assert_eq!(get("/openapi.json").await, openapi::text(&document()));
    let page = get("/docs").await;
    for it in operations(&api) {
        assert!(page.contains(&it.path), "{}", it.path);
    }
}
