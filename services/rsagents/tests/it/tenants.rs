//! Who may do what: every route, with tokens that do not hold, hold for too little, or for somebody else.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::{
    rest::{Answer, BOTH, PATH},
    service::Service,
};

/// Every request that a caller can make about packages.
fn requests(service: &Service) -> Vec<(Method, String, bool)> {
    let (one, default) = (service.path("p"), format!("{PATH}/default"));
    let subsystem = "/subsystems/rs/router_agent_packages".to_owned();
    vec![
        (Method::GET, PATH.to_owned(), false),
        (Method::POST, PATH.to_owned(), true),
        (Method::GET, subsystem.clone(), false),
        (Method::POST, subsystem, true),
        (Method::GET, one.clone(), false),
        (Method::POST, one.clone(), true),
        (Method::PUT, one.clone(), true),
        (Method::PATCH, one.clone(), true),
        (Method::DELETE, one, true),
        (Method::GET, default.clone(), false),
        (Method::PUT, default, true),
    ]
}

fn with_body(
    service: &Service,
    request: RequestBuilder,
    path: &str,
    method: &Method,
) -> RequestBuilder {
    let mut whole = service.package("4.2.0");
    match *method {
        Method::POST => request.json(&whole),
        Method::PUT if path.ends_with("default") => request.json(&json!({"defaults": {}})),
        Method::PUT => {
            whole["state"] = json!("draft");
            request.json(&whole)
        }
        Method::PATCH => request.json(&json!({"state": "draft"})),
        _ => request,
    }
}

#[tokio::test]
async fn another_isp_s_package_is_not_there_on_any_route() {
    let (service, stranger) = (Service::start().await, Service::start().await);
    service.make("p", "draft").await;
    service.becomes("p", |it| it["backend"]["status"] == "applied").await;
    let before = service.get(&service.path("p")).await;
    for (method, path, _) in requests(&service) {
        let asks = async |query: &str| {
            let request = stranger.as_isp(method.clone(), &format!("{path}{query}"));
            Answer::of(with_body(&service, request, &path, &method)).await
        };
        for foreign in [service.isp.as_str(), "nobody", "%20", ""] {
            let answer = asks(&format!("?isp_id={foreign}")).await;
            assert_eq!(answer.status, 404, "{method} {path} {foreign}");
            assert_eq!(answer.body["detail"], json!("Not found"), "{method} {path} {foreign}");
        }
        let own = asks("").await;
        let is_of_one = path == service.path("p");
        match is_of_one {
            true => assert_eq!(own.lines(), "404 Not found", "{method} {path}"),
            false => assert!(own.status < 300, "{method} {path}: {}", own.body),
        }
        assert!(!own.body.to_string().contains(&service.isp), "{method} {path}");
    }
    let after = service.get(&service.path("p")).await;
    assert_eq!((after.body, after.etag), (before.body, before.etag));
}

#[tokio::test]
async fn an_operator_names_the_isp_where_nothing_else_does() {
    let service = Service::start().await;
    service.make("p", "draft").await;
    for (method, path, _) in requests(&service) {
        let asks = async |query: &str| {
            let request = service.as_operator(method.clone(), &format!("{path}{query}"));
            Answer::of(with_body(&service, request, &path, &method)).await
        };
        let tells = path == service.path("p") && method != Method::POST;
        if !tells {
            assert_eq!(asks("").await.lines(), "422 isp_id must name the ISP", "{method} {path}");
        } else if method != Method::DELETE {
            assert_eq!(asks("").await.status, 200, "{method} {path}");
        }
        let named = asks(&format!("?isp_id={}", service.isp)).await;
        assert!(named.status < 300, "{method} {path}: {}", named.body);
    }
    let deleted = Answer::of(service.as_operator(Method::GET, &service.path("p"))).await;
    assert_eq!(deleted.status, 404);
}

#[tokio::test]
async fn every_route_wants_a_token_with_its_scope() {
    let service = Service::start().await;
    service.make("p", "draft").await;
    let issuers = &service.shared.issuers;
    for (method, path, writes) in requests(&service) {
        let asks = async |token: Option<String>| {
            let request = service.request(method.clone(), &path);
            let request = with_body(&service, request, &path, &method);
            let request = token.into_iter().fold(request, RequestBuilder::bearer_auth);
            Answer::of(request).await.status
        };
        let what = format!("{method} {path}");
        let of = |audience: &str, scope: &str| {
            Some(issuers.gateway.of_isp(&service.isp, audience, scope).unwrap())
        };
        assert_eq!(asks(None).await, 401, "{what}");
        assert_eq!(asks(of("rsclient", BOTH)).await, 401, "{what}");
        let strangers = crate::service::Issuers::new().gateway;
        let strangers = strangers.of_isp(&service.isp, "rsagents", BOTH).unwrap();
        assert_eq!(asks(Some(strangers)).await, 401, "{what}");
        let other = if writes { "rs:read" } else { "rs:write" };
        assert_eq!(asks(of("rsagents", other)).await, 403, "{what}");
        let internal = issuers.rssync.operator("rsagents", "internal").unwrap();
        assert_eq!(asks(Some(internal)).await, 403, "{what}");
    }
}
