//! The document of the REST API: it is served, and what it says is so.

use reqwest::{Method, RequestBuilder};
use rsagents::infrastructure::rest::document;
use serde_json::{Value, json};
use testkit::documents::{Operation, fits, operations};

use crate::service::Service;

fn told() -> Value {
    serde_json::from_str(&openapi::text(&document())).unwrap()
}

/// The status, once the answer is found to be as the document says.
async fn hold(api: &Value, operation: &Operation, what: &str, request: RequestBuilder) -> u16 {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let media_type = answer.headers().get("content-type");
    let media_type = media_type.map(|it| it.to_str().unwrap().to_owned());
    let body = match media_type.as_deref() {
        Some(it) if it.ends_with("json") => answer.json().await.unwrap(),
        Some(_) | None => Value::Null,
    };
    let held = operation.answers(api, status, media_type.as_deref(), &body);
    held.unwrap_or_else(|it| panic!("{what}: {it:#}"));
    status
}

#[tokio::test]
async fn every_operation_answers_as_the_document_says() {
    let service = Service::start().await;
    let api = told();
    let mut ran = 0;
    for operation in operations(&api) {
        let method: Method = operation.method.parse().unwrap();
        let name = format!("p{ran}");
        let place = operation.path.replace("{router_package_id}", &service.id(&name));
        let is_new = method == Method::POST;
        if place.contains(&name) && !is_new {
            service.make(&name, "draft").await;
        }
        let mut whole = service.package("4.2.0");
        whole["state"] = json!("released");
        let body = match (&method, place.ends_with("default")) {
            (&Method::PUT, true) => Some(json!({"defaults": {}})),
            (&Method::PATCH, _) => Some(json!({"state": "released"})),
            (&Method::POST | &Method::PUT, _) => Some(whole),
            _ => None,
        };
        let mut request = service.as_isp(method.clone(), &place);
        let what = format!("{method} {place}");
        if let Some(body) = &body {
            let fit = fits(&api, operation.body_schema(), body);
            fit.unwrap_or_else(|it| panic!("{what}: {it:#}"));
            request = request.json(body);
        }
        let again = request.try_clone().unwrap();
        let status = hold(&api, &operation, &what, request).await;
        assert!((200..300).contains(&status), "{what}: {status}");
        hold(&api, &operation, &what, again).await;
        for (_, example) in operation.examples() {
            let Some(example) = example else { continue };
            let fit = fits(&api, operation.body_schema(), &example);
            fit.unwrap_or_else(|it| panic!("{what}: {it:#}"));
        }
        ran += 1;
        let rest = mongodb::bson::doc! { "isp_id": &service.isp };
        service.documents("agent_packages").delete_many(rest).await.unwrap();
    }
    assert_eq!(ran, 11);
}

#[tokio::test]
async fn every_refusal_is_a_problem_as_the_document_says() {
    let service = Service::start().await;
    let api = told();
    for operation in operations(&api) {
        let method: Method = operation.method.parse().unwrap();
        let scope = operation.told["security"][0]["bearer"][0].as_str().unwrap();
        let other = if scope == "rs:read" { "rs:write" } else { "rs:read" };
        let token = |scope: &str| {
            let gateway = &service.shared.issuers.gateway;
            gateway.of_isp(&service.isp, "rsagents", scope).unwrap()
        };
        let place = operation.path.replace("{router_package_id}", &service.id("unknown"));
        let what = format!("{method} {place}");
        let mut seen = Vec::new();
        for token in [None, Some(token(other)), Some(token(scope))] {
            let request = service.request(method.clone(), &format!("{place}?other=0"));
            let request = request.header("content-type", "application/json").body("[");
            let request = token.into_iter().fold(request, RequestBuilder::bearer_auth);
            seen.push(hold(&api, &operation, &what, request).await);
        }
        assert_eq!(seen, [401, 403, 422], "{what}");
    }
}

#[tokio::test]
async fn the_document_and_its_page_are_served_to_everybody() {
    let service = Service::start().await;
    let get = async |path: &str| {
        let answer = service.request(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    };
    assert_eq!(get("/openapi.json").await, openapi::text(&document()));
    let page = get("/docs").await;
    for it in operations(&told()) {
        assert!(page.contains(&it.path), "{}", it.path);
    }
}
