//! `GET /devices/{device_id}/effective`: what holds, and who decided so.

use expect_test::expect;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    face::Face,
    service::{Service, with},
};

/// Who decided about each leaf, what, and what the others said.
fn lines(answer: &Value) -> String {
    let line = |it: &Value| {
        let said = it["said"].as_array().unwrap().iter();
        let said: Vec<String> =
            said.map(|it| format!("{} {}", it["level"].as_str().unwrap(), it["value"])).collect();
        let because = it["because"].as_str().map(|it| format!(" ({it})")).unwrap_or_default();
        let (leaf, decider) = (it["leaf"].as_str().unwrap(), it["decided_by"].as_str().unwrap());
        let leaf = leaf.trim_start_matches("/services/");
        format!("{leaf} = {} by {decider}{because} of: {}", it["value"], said.join(", "))
    };
    answer["provenance"].as_array().unwrap().iter().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_holds_is_told_with_who_decided_and_what_the_others_said() {
    let service = Service::start().await;
    let filtering = |it: Value| json!({"services": {"content_filtering": it}});
    let account = with(
        filtering(json!({"enabled": false, "blocking_page_url": "https://isp.example/"})),
        json!({"rules": {"allow": ["x.example"], "block": ["y.example"]}}),
    );
    service.done("AccountCreated", service.account(1, account)).await;
    let user = filtering(json!({"categories": ["social", "adult"]}));
    service.done("UserCreated", service.user("mia", 1, user)).await;
    let device = with(
        filtering(json!({"safe_search": false})),
        json!({"user_id": service.id("mia"), "rules": {"block": ["x.example"]}}),
    );
    service.done("DeviceCreated", service.device("d", 1, device)).await;
    let face = Face::alone(&service).await;
    let told = face.get(&format!("/devices/{}/effective", service.id("d"))).await;
    expect![[r#"
        /enabled = true by default of: default true
        /target_agent_package = null by default of: default null
        content_filtering/enabled = true by preset of: preset true, account false, default false
        content_filtering/categories = ["adult","social"] by user of: user ["adult","social"], preset ["adult","chat","dating","drugs","gambling","proxies","social","violence","weapons"], default []
        content_filtering/safe_search = false by device of: device false, preset true, default false
        content_filtering/schedules = [] by default of: default []
        content_filtering/blocking_page_url = "https://isp.example/" by account of: account "https://isp.example/", default null
        threat_protection/enabled = true by default of: default true
        threat_protection/blocking_page_url = null by default of: default null
        /user_id = "U" by device of: device "U", default null"#]]
    .assert_eq(&lines(&told).replace(&service.id("mia"), "U"));
    expect![[r#"[{"action":"block","domain":"x.example","level":"device","overrules":[{"action":"allow","level":"account"}]},{"action":"block","domain":"y.example","level":"account","overrules":[]}]"#]]
    .assert_eq(&told["rules"].to_string());
    assert_eq!(told["filtering_now"], json!({"active": true, "schedule": null, "until": null}));
    // It is the very thing that was published.
    let mut published = service.published().await;
    published.retain(|it| it.key.as_deref() == Some(&service.id("d")));
    let published = published.pop().unwrap();
    assert_eq!(told["configuration"], published.json().unwrap());
}

#[tokio::test]
async fn a_device_that_is_not_served_says_why() {
    let service = Service::start().await;
    service.done("DeviceCreated", service.device("d", 1, json!({}))).await;
    let face = Face::alone(&service).await;
    let path = format!("/devices/{}/effective", service.id("d"));
    let why = async |what: &str| {
        let told = face.get(&path).await;
        assert_eq!(told["configuration"].is_object(), told["live"] == json!(true), "{what}");
        assert_eq!(told["name"], json!("d"), "{what}");
        format!("{what}: {} {}", told["live"], told["pending"]["reason"])
    };
    let mut seen = vec![why("alone").await];
    service.done("AccountCreated", service.account(2, json!({}))).await;
    seen.push(why("with its account").await);
    let deletion = service.deletion("account_id", &service.account, 3);
    service.done("AccountDeleted", deletion).await;
    seen.push(why("after its account").await);
    service.done("AccountCreated", service.account(4, json!({}))).await;
    seen.push(why("with an account that came back").await);
    service.done("DeviceUpdated", service.device("d", 5, json!({}))).await;
    seen.push(why("provisioned again").await);
    service.done("DeviceDeleted", service.deletion("device_id", &service.id("d"), 6)).await;
    seen.push(why("deleted").await);
    expect![[r#"
        alone: false "account_unknown"
        with its account: true null
        after its account: false "account_ended"
        with an account that came back: false "account_ended"
        provisioned again: true null
        deleted: false "deleted""#]]
    .assert_eq(&seen.join("\n"));
}

#[tokio::test]
async fn a_suspended_household_is_off_whatever_the_levels_say() {
    let service = Service::start().await;
    let on = json!({"services": {"threat_protection": {"enabled": true}}});
    let suspended = with(on, json!({"status": "suspended"}));
    service.done("AccountCreated", service.account(1, suspended)).await;
    service.done("DeviceCreated", service.device("d", 1, json!({"user_id": "u-gone"}))).await;
    let face = Face::alone(&service).await;
    let told = face.get(&format!("/devices/{}/effective", service.id("d"))).await;
    let told = lines(&told);
    for line in [
        "threat_protection/enabled = false by account (account_suspended) of: account true, default true",
        "content_filtering/enabled = false by account (account_suspended) of: default false",
        "/user_id = null by default (user_unknown) of: device \"u-gone\", default null",
    ] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
}

#[tokio::test]
async fn a_foreign_device_is_not_there_and_nobody_reads_without_the_right() {
    let service = Service::start().await;
    service.done("AccountCreated", service.account(1, json!({}))).await;
    service.done("DeviceCreated", service.device("d", 1, json!({}))).await;
    let face = Face::alone(&service).await;
    let (own, foreign) = (service.isp.as_str(), "isp-of-somebody-else");
    let (device, nobody) = (service.id("d"), service.id("nobody"));
    for what in ["effective", "trace"] {
        let reader = |isp: Option<&str>| face.token(isp, "rs:read");
        let get = async |token: Option<String>, id: &str, query: &str| {
            let path = format!("/devices/{id}/{what}{query}");
            face.call(token.as_deref(), Method::GET, &path).await
        };
        assert_eq!(get(Some(reader(Some(own))), &device, "").await.0, 200);
        let of_own = format!("?isp_id={own}");
        assert_eq!(get(Some(reader(Some(own))), &device, &of_own).await.0, 200);
        assert_eq!(get(Some(reader(None)), &device, &of_own).await.0, 200);
        let unknown = get(Some(reader(Some(own))), &nobody, "").await;
        assert_eq!(unknown.0, 404);
        for (token, id, query) in [
            (reader(Some(foreign)), device.as_str(), String::new()),
            (reader(Some(foreign)), &device, format!("?isp_id={foreign}")),
            (reader(Some(foreign)), &device, of_own.clone()),
            (reader(Some(own)), &device, format!("?isp_id={foreign}")),
            (reader(None), &device, format!("?isp_id={foreign}")),
            (reader(Some(own)), "no%20id", String::new()),
            (reader(Some(own)), "%ff", String::new()),
        ] {
            assert_eq!(get(Some(token), id, &query).await, unknown, "{id}{query}");
        }
        assert_eq!(get(None, &device, "").await.0, 401);
        assert_eq!(get(Some(face.token(Some(own), "rs:write")), &device, "").await.0, 403);
        for query in ["?isp=x", "?isp_id=a%20b"] {
            assert_eq!(get(Some(reader(Some(own))), &device, query).await.0, 422, "{query}");
        }
        let token = reader(Some(own));
        let path = format!("/devices/{device}/{what}");
        assert_eq!(face.call(Some(&token), Method::PUT, &path).await.0, 405);
    }
}
