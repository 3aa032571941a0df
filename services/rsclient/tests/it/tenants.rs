//! Who may do what: every route, with tokens that do not hold, hold for too little, or for somebody else.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::{tokens::Issuer, unique};

use crate::rest::{Answer, BOTH, OF_ISP, Rest, issuers};

/// Makes a request with this query.
type Request<'a> = Box<dyn Fn(&str) -> RequestBuilder + 'a>;

/// Every request that a caller can make about an ISP.
fn requests(rest: &Rest) -> Vec<(String, Request<'_>)> {
    let mut all: Vec<(String, Request<'_>)> = Vec::new();
    for (path, body) in OF_ISP {
        let get = move |query: &str| rest.request(Method::GET, &format!("{path}{query}"));
        let put = move |query: &str| {
            let put = rest.request(Method::PUT, &format!("{path}{query}"));
            put.header("content-type", "application/json").body(body)
        };
        all.push((format!("GET {path}"), Box::new(get)));
        all.push((format!("PUT {path}"), Box::new(put)));
    }
    all
}

#[tokio::test]
async fn another_isp_is_not_there_on_any_route() {
    let rest = Rest::start().await;
    let isp = &rest.service.isp;
    for (path, body) in OF_ISP {
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(rest.put(path, &body).await.status, 200);
    }
    let stranger = unique("isp");
    let theirs = issuers().1.of_isp(&stranger, "rsclient", BOTH).unwrap();
    let mut refused = 0;
    for (route, request) in requests(&rest) {
        for foreign in [isp.as_str(), "nobody", "..", "%20", ""] {
            let asked = request(&format!("?isp_id={foreign}")).bearer_auth(&theirs);
            let answer = Answer::of(asked).await;
            assert_eq!(answer.status, 404, "{route} {foreign}");
            assert_eq!(answer.body["detail"], json!("Not found"), "{route} {foreign}");
            assert!(!answer.body.to_string().contains(isp.as_str()), "{route}");
            refused += 1;
        }
        // Their own is there, and is another one.
        let own = Answer::of(request(&format!("?isp_id={stranger}")).bearer_auth(&theirs)).await;
        assert_eq!(own.status, 200, "{route}");
    }
    assert_eq!(refused, 50);
    let ours = rest.get("/lan-protection").await.body;
    assert_eq!(ours["enabled"], json!(true));
}

#[tokio::test]
async fn an_operator_names_the_isp() {
    let rest = Rest::start().await;
    let operator = issuers().0.operator("rsclient", BOTH).unwrap();
    for (route, request) in requests(&rest) {
        let unnamed = Answer::of(request("").bearer_auth(&operator)).await;
        assert_eq!(unnamed.lines(), "422 isp_id must name the ISP", "{route}");
        let unknown = Answer::of(request("?isp=x").bearer_auth(&operator)).await;
        assert_eq!(unknown.status, 422, "{route}");
        let none = Answer::of(request("?isp_id=..").bearer_auth(&operator)).await;
        assert_eq!(none.status, 404, "{route}");
        let named = request(&format!("?isp_id={}", rest.service.isp)).bearer_auth(&operator);
        assert_eq!(Answer::of(named).await.status, 200, "{route}");
    }
    assert_eq!(rest.get("/lan-protection").await.body["enabled"], json!(true));
}

#[tokio::test]
async fn each_scope_opens_its_own_routes() {
    let rest = Rest::start().await;
    for (route, request) in requests(&rest) {
        for scope in ["", "rs:read", "rs:write", "internal"] {
            let needed = if route.starts_with("GET") { "rs:read" } else { "rs:write" };
            let answer = Answer::of(request("").bearer_auth(rest.token(scope))).await;
            match scope == needed {
                true => assert_eq!(answer.status, 200, "{route} {scope}"),
                false => {
                    let why = format!("403 this needs the scope `{needed}`");
                    assert_eq!(answer.lines(), why, "{route} {scope}");
                }
            }
        }
    }
}

fn bad_tokens(isp: &str) -> Vec<String> {
    let (operators, gateway) = issuers();
    let now = jiff::Timestamp::now().as_second();
    let claims = |members: Value| {
        let mut claims = json!({
            "iss": "gateway-isp", "aud": "rsclient", "sub": "tests", "scope": BOTH, "isp_id": isp,
            "exp": now + 240,
        });
        for (name, it) in members.as_object().unwrap() {
            claims[name] = it.clone();
        }
        claims
    };
    let good = gateway.sign(&claims(json!({}))).unwrap();
    let (head, signature) = good.rsplit_once('.').unwrap();
    let swapped: String = signature.chars().rev().collect();
    let mut all: Vec<String> = [
        json!({"exp": now - 60}),
        json!({"exp": now + 3_600}),
        json!({"exp": "soon"}),
        json!({"exp": null}),
        json!({"aud": "rssync"}),
        json!({"aud": null}),
        json!({"iss": "rsctl"}),
        json!({"iss": "somebody"}),
        json!({"iss": null}),
        json!({"sub": ""}),
        json!({"sub": null}),
        json!({"scope": "rs:read everything"}),
        json!({"scope": null}),
        json!({"isp_id": null}),
        json!({"isp_id": ".."}),
    ]
    .into_iter()
    .map(|it| gateway.sign(&claims(it)).unwrap())
    .collect();
    let stranger = Issuer::new("gateway-isp").unwrap();
    all.push(stranger.sign(&claims(json!({}))).unwrap());
    all.push(operators.sign(&claims(json!({}))).unwrap());
    all.push(format!("{head}.{swapped}"));
    all.push(format!("{head}."));
    all.push(head.to_owned());
    all.push("x".repeat(5_000));
    all.push(String::new());
    all
}

#[tokio::test]
async fn a_token_that_does_not_hold_opens_nothing() {
    let rest = Rest::start().await;
    let tokens = bad_tokens(&rest.service.isp);
    assert!(tokens.len() >= 20);
    for (route, request) in requests(&rest) {
        for token in &tokens {
            let answer = Answer::of(request("").bearer_auth(token)).await;
            assert_eq!(answer.status, 401, "{route} {token}");
        }
        assert_eq!(Answer::of(request("")).await.status, 401, "{route}");
    }
    let answer = rest.request(Method::POST, "/lan-protection").bearer_auth(rest.token(BOTH));
    assert_eq!(Answer::of(answer).await.status, 405);
    assert_eq!(rest.get("/lan").await.status, 404);
}
