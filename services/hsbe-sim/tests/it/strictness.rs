//! What is not exactly of the form is refused.

use expect_test::expect;
use serde_json::{Value, json};

use crate::{bodies, service};

/// Objects whose members have names that people choose.
const MAPS: [&str; 4] = ["flags", "upload_intervals", "features", "defaults"];

/// Every body that differs from `body` by one missing, unknown or mistyped member.
fn spoiled(body: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    spoil(body, String::new(), &|it| it, &mut found);
    found
}

fn spoil(
    value: &Value,
    path: String,
    whole: &dyn Fn(Value) -> Value,
    found: &mut Vec<(String, Value)>,
) {
    let other_type = match value {
        Value::Null => json!([1]),
        Value::Bool(_) => json!("true"),
        Value::Number(_) => json!("7"),
        Value::String(_) => json!(7),
        Value::Array(_) => json!({}),
        Value::Object(_) => json!([]),
    };
    found.push((format!("mistyped {path}"), whole(other_type)));
    match value {
        Value::Object(members) => {
            // An object given as the list of its members is mistyped as well.
            let list = members.values().cloned().collect::<Vec<_>>();
            found.push((format!("a list at {path}"), whole(list.into())));
            let is_map = MAPS.iter().any(|it| path.ends_with(it));
            let with = |name: &str, value: Option<Value>| {
                let mut members = members.clone();
                match value {
                    Some(value) => members.insert(name.to_owned(), value),
                    None => members.remove(name),
                };
                whole(Value::Object(members))
            };
            if !is_map {
                found.push((format!("unknown member of {path}"), with("zz", Some(json!(null)))));
            }
            for (name, value) in members {
                if !is_map {
                    found.push((format!("missing {path}/{name}"), with(name, None)));
                }
                let whole = |value| with(name, Some(value));
                spoil(value, format!("{path}/{name}"), &whole, found);
            }
        }
        Value::Array(entries) => {
            for (at, entry) in entries.iter().enumerate() {
                let whole = |value| {
                    let mut entries = entries.clone();
                    entries[at] = value;
                    whole(Value::Array(entries))
                };
                spoil(entry, format!("{path}/{at}"), &whole, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn every_missing_unknown_or_mistyped_member_is_refused_and_the_body_without_is_not() {
    let service = service::start("").await;
    let mut cases = 0;
    for (path, body) in bodies::all() {
        for (what, spoiled) in spoiled(&body) {
            let reply = service.put(path, 1, &spoiled).await;
            assert_eq!(reply.error(), "422 malformed", "{path}: {what}: {spoiled}");
            cases += 1;
        }
        let reply = service.put(path, 1, &body).await;
        assert_eq!((reply.status, &reply.body), (204, &Value::Null), "{path}");
    }
    assert!(cases > 250, "{cases} cases");
    let summary = service.summary(&["rejected", "writes", "regressions"]).await;
    assert_eq!(summary, format!(r#"rejected {cases}, writes {{"PUT":9}}, regressions 0"#));
    service.stop().await;
}

#[tokio::test]
async fn malformed_values_are_refused() {
    let service = service::start("").await;
    let mut refused = Vec::new();
    for (pointer, value) in [
        ("/device/id", "no id!"),
        ("/device/mac", "3C:22:FB:01:02:03"),
        ("/device/type", "toaster"),
        ("/services/content_filtering/categories/0", "knitting"),
        ("/services/content_filtering/schedules/0/from", "24:00"),
        ("/services/content_filtering/schedules/0/timezone", "Europe/Atlantis"),
        ("/services/threat_protection/blocking_page_url", "block.example"),
        ("/act_rules/0/domain", "Bad.Example"),
        ("/act_rules/0/level", "planet"),
        ("/action/expires_at", "tomorrow"),
    ] {
        let mut body = bodies::device("d-1");
        *body.pointer_mut(pointer).expect("a member") = value.into();
        refused.push(service.put("/devices/d-1", 1, &body).await.error());
    }
    assert_eq!(refused, ["422 malformed"; 10]);
    assert_eq!(service.summary(&["devices", "rejected"]).await, "devices 0, rejected 10");
    service.stop().await;
}

#[tokio::test]
async fn requests_that_are_not_of_the_api_are_refused() {
    let service = service::start("body_bytes_max = 4096").await;
    let device = bodies::device("d-1");
    let long = json!({"flags": {"x".repeat(5_000): true}, "upload_intervals": {}});
    let put = |path: &str| service.request("PUT", path).json(&device);
    let requests = [
        ("an id that is another", put("/devices/d-2").header("x-revision", 1)),
        ("an id that is none", put("/devices/d!2").header("x-revision", 1)),
        ("no revision", put("/devices/d-1")),
        ("no revision and a router's body", put("/routers/d-1")),
        ("no number", put("/devices/d-1").header("x-revision", "new")),
        ("a large number", put("/devices/d-1").header("x-revision", "9007199254740992")),
        ("a delete without revision", service.request("DELETE", "/devices/d-1")),
        ("no JSON", service.request("PUT", "/devices/d-1").header("x-revision", 1).body("{}")),
        ("a router's body", put("/routers/d-1").header("x-revision", 1)),
        ("a large body", service.request("PUT", "/routers/r-1/feature-flags").json(&long)),
        ("no path", service.request("GET", "/homes")),
        ("no document", put("/system/isp-1/weather").header("x-revision", 1)),
        ("no method", service.request("PATCH", "/devices/d-1")),
        ("no list of documents", service.request("DELETE", "/system/isp-1/general")),
        ("no such option", service.request("GET", "/devices?color=red")),
        ("no page", service.request("GET", "/devices?limit=0")),
        ("no number of items", service.request("GET", "/devices?limit=many")),
    ];
    let mut table = String::new();
    for (what, request) in requests {
        let reply = service.send(request).await;
        assert!(reply.body["detail"].is_string(), "{what}: {}", reply.body);
        table += &format!("{what}: {}\n", reply.error());
    }
    expect![[r#"
        an id that is another: 422 malformed
        an id that is none: 422 malformed
        no revision: 400 missing_revision
        no revision and a router's body: 422 malformed
        no number: 400 bad_revision
        a large number: 400 bad_revision
        a delete without revision: 400 missing_revision
        no JSON: 415 unsupported_media_type
        a router's body: 422 malformed
        a large body: 413 too_large
        no path: 404 not_found
        no document: 404 not_found
        no method: 405 method_not_allowed
        no list of documents: 405 method_not_allowed
        no such option: 400 bad_query
        no page: 400 bad_query
        no number of items: 400 bad_query
    "#]]
    .assert_eq(&table);
    assert_eq!(service.get("/status").await, json!({"status": "ok", "version": "0.1.0"}));
    service.stop().await;
}

#[tokio::test]
async fn references_must_be_there_first() {
    let service = service::start("").await;
    let router = bodies::router_with_package("r-1", "p-1");
    assert_eq!(service.put("/routers/r-1", 1, &router).await.error(), "409 unknown_agent_package");
    let flags = "/routers/r-1/feature-flags";
    assert_eq!(service.put(flags, 1, &bodies::flags()).await.error(), "404 not_found");

    let package = bodies::agent_package("p-1");
    assert_eq!(service.put("/agent-packages/p-1", 1, &package).await.status, 204);
    assert_eq!(service.put("/routers/r-1", 1, &router).await.status, 204);
    assert_eq!(service.put(flags, 1, &bodies::flags()).await.status, 204);
    let held = ["routers", "feature_flags", "agent_packages"];
    assert_eq!(service.summary(&held).await, "routers 1, feature_flags 1, agent_packages 1");

    assert_eq!(service.delete("/agent-packages/p-1", 2).await.status, 204);
    assert_eq!(service.delete("/routers/r-1", 2).await.status, 204);
    assert_eq!(service.summary(&held).await, "routers 0, feature_flags 0, agent_packages 0");
    assert_eq!(service.put("/routers/r-1", 3, &router).await.error(), "409 unknown_agent_package");
    service.stop().await;
}
