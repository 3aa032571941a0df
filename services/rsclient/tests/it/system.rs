//! `/router-protection`, its lists, `/lan-protection`, `/advanced-configuration`; `RSRouterProtectionUpdated`,
//! `RSSystemUpdated`.

use std::time::Duration;

use expect_test::expect;
use mongodb::bson::doc;
use outbox::Backlog;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{eventually, records::Record};

use crate::{
    rest::{Answer, LIMIT, OF_ISP, Rest, issuers},
    service::Service,
};

const SYSTEM: &str = "as-rs-system-configuration-topic";
const LIST: &str = "/router-protection/allowed-list";

/// What was said of the service's ISP, in order.
async fn said(rest: &Rest) -> Vec<Record> {
    let mut all = testkit::records::read(&rest.service.kafka, SYSTEM).await.unwrap();
    all.retain(|it| it.key.as_deref() == Some(rest.service.isp.as_str()));
    all
}

/// What was said with this revision, once it is.
async fn said_at(rest: &Rest, revision: u64) -> Record {
    eventually("it is said", LIMIT, async || {
        said(rest).await.into_iter().find(|it| it.json().unwrap()["revision"] == json!(revision))
    })
    .await
}

async fn is_told(rest: &Rest, collection: &str) {
    eventually("it is told", LIMIT, async || {
        let stored = rest.service.stored(collection, &rest.service.isp).await;
        (!stored.contains_key("untold")).then_some(())
    })
    .await;
}

/// The longest list that there is.
fn largest() -> Value {
    let network = |n: u32| format!("{:x}:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120", 0x1000 + n);
    json!({ "allowed_list": (0..1_000).map(network).collect::<Vec<_>>() })
}

#[tokio::test]
async fn an_isp_that_has_set_nothing_sees_what_holds() {
    let rest = Rest::start().await;
    let mut lines = String::new();
    for (path, _) in OF_ISP {
        let answer = rest.get(path).await;
        lines += &format!("{path} {} {}\n", answer.etag.unwrap(), answer.body);
    }
    expect![[r#"
        /router-protection "0" {"block_page_ip":null,"enabled":false}
        /router-protection/dns-allowed-list "0" {"dns_allowed_list":[]}
        /router-protection/allowed-list "0" {"allowed_list":[]}
        /lan-protection "0" {"arp_guard":false,"enabled":false,"isolate_iot":false}
        /advanced-configuration "0" {"features":{},"log_level":"info","telemetry":false}
    "#]]
    .assert_eq(&lines);
    assert!(said(&rest).await.is_empty());
}

#[tokio::test]
async fn what_is_set_is_read_again_and_said_whole() {
    let rest = Rest::start().await;
    for (path, body) in OF_ISP {
        let body: Value = serde_json::from_str(body).unwrap();
        let set = rest.put(path, &body).await;
        assert_eq!((set.status, &set.body), (200, &body), "{path}");
        let shown = rest.get(path).await;
        assert_eq!((shown.status, &shown.body, &shown.etag), (200, &body, &set.etag), "{path}");
    }
    let protection = said_at(&rest, rest.get(LIST).await.revision()).await;
    assert_eq!(protection.headers["ce_type"], "RSRouterProtectionUpdated");
    assert_eq!(protection.headers["ce_tenant"], rest.service.isp);
    assert!(!protection.headers.contains_key("ce_requestid"));
    let mut payload = protection.json().unwrap();
    payload["revision"].take();
    assert_eq!(
        payload,
        json!({
            "isp_id": rest.service.isp, "revision": null,
            "router_protection": {"enabled": true, "block_page_ip": "192.0.2.1"},
            "dns_allowed_list": ["192.0.2.53"], "allowed_list": ["198.51.100.0/24"],
        })
    );
    let system = said_at(&rest, rest.get("/lan-protection").await.revision()).await;
    assert_eq!(system.headers["ce_type"], "RSSystemUpdated");
    let mut payload = system.json().unwrap();
    payload["revision"].take();
    assert_eq!(
        payload,
        json!({
            "isp_id": rest.service.isp, "revision": null,
            "lan_protection": {"enabled": true, "isolate_iot": false, "arp_guard": true},
            "advanced": {"log_level": "debug", "telemetry": true, "features": {"fast-path": true}},
        })
    );
    is_told(&rest, "router_protection").await;
    is_told(&rest, "system_configuration").await;
}

#[tokio::test]
async fn whoever_has_read_an_older_state_does_not_overwrite_a_newer_one() {
    let rest = Rest::start().await;
    let list = |address: &str| json!({"allowed_list": [address]});
    let stale = rest.put_if(LIST, &list("192.0.2.1"), Some("\"7\"")).await;
    assert_eq!(stale.lines(), "412 it is not in the state that If-Match names");
    let first = rest.put_if(LIST, &list("192.0.2.1"), Some("\"0\"")).await;
    assert_eq!(first.status, 200);
    let again = rest.put_if(LIST, &list("192.0.2.2"), Some("\"0\"")).await;
    assert_eq!(again.status, 412);
    let tag = first.etag.clone().unwrap();
    // Both lists and the settings are one state: what leaves in one event.
    let none = json!({"dns_allowed_list": []});
    let other = rest.put("/router-protection/dns-allowed-list", &none).await;
    assert!(other.revision() > first.revision());
    assert_eq!(rest.put_if(LIST, &list("192.0.2.2"), Some(&tag)).await.status, 412);
    assert_eq!(rest.get(LIST).await.body, list("192.0.2.1"));
    let now = rest.get(LIST).await.etag.unwrap();
    let both = format!("{tag}, {now}");
    assert_eq!(rest.put_if(LIST, &list("192.0.2.3"), Some(&both)).await.status, 200);
    assert_eq!(rest.put_if(LIST, &list("192.0.2.4"), Some("*")).await.status, 200);
    assert_eq!(rest.put_if(LIST, &list("192.0.2.5"), Some("4")).await.status, 422);
    assert_eq!(rest.get(LIST).await.body, list("192.0.2.4"));
}

#[tokio::test]
async fn of_many_who_set_at_once_from_one_state_one_wins() {
    let rest = Rest::start().await;
    let list = |n: usize| json!({"allowed_list": [format!("192.0.2.{n}")]});
    for tag in ["\"0\"".to_owned(), rest.put(LIST, &list(99)).await.etag.unwrap()] {
        let bodies: Vec<Value> = (0..10).map(list).collect();
        let puts = bodies.iter().map(|it| rest.put_if(LIST, it, Some(&tag)));
        let answers = futures_util::future::join_all(puts).await;
        let won = answers.iter().filter(|it| it.status == 200).count();
        let lost = answers.iter().filter(|it| it.status == 412).count();
        // The first round finds a state already, the second exactly one.
        assert_eq!((won, lost), if tag == "\"0\"" { (0, 10) } else { (1, 9) });
    }
    let all: Vec<Value> = (0..10).map(list).collect();
    let puts = all.iter().map(|it| rest.put(LIST, it));
    let answers = futures_util::future::join_all(puts).await;
    let last = answers.iter().max_by_key(|it| it.revision()).unwrap();
    assert_eq!(rest.get(LIST).await.body, last.body);
    let said = said_at(&rest, last.revision()).await;
    assert_eq!(said.json().unwrap()["allowed_list"], last.body["allowed_list"]);
}

#[tokio::test]
async fn addresses_are_brought_into_one_form_and_said_once() {
    let rest = Rest::start().await;
    let networks = json!({"allowed_list": ["198.51.100.7/24", "198.51.100.0/24", "2001:DB8::/32"]});
    let answer = rest.put(LIST, &networks).await;
    assert_eq!(answer.body, json!({"allowed_list": ["198.51.100.0/24", "2001:db8::/32"]}));
    let servers = json!({"dns_allowed_list": ["2001:DB8:0:0::35", "192.0.2.53", "2001:db8::35"]});
    let answer = rest.put("/router-protection/dns-allowed-list", &servers).await;
    assert_eq!(answer.body, json!({"dns_allowed_list": ["2001:db8::35", "192.0.2.53"]}));
}

#[tokio::test]
async fn what_is_wrong_is_named_member_by_member_and_changes_nothing() {
    let rest = Rest::start().await;
    let many: Vec<String> = (0..1_001).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect();
    let bodies = [
        ("/router-protection", json!({"enabled": "yes", "block_page_ip": "nowhere", "a/b": 1})),
        ("/router-protection", json!({})),
        ("/router-protection", json!([])),
        (LIST, json!({"allowed_list": ["10.0.0.1", 7, "10.0.0.1/40", "0.0.0.0/0"]})),
        (LIST, json!({"allowed_list": many})),
        (LIST, json!({"allowed_list": null})),
        ("/router-protection/dns-allowed-list", json!({"dns_allowed_list": ["127.0.0.1", "x.y"]})),
        ("/lan-protection", json!({"enabled": true, "isolate_iot": null, "other": {}})),
        (
            "/advanced-configuration",
            json!({"log_level": "loud", "telemetry": 1, "features": {"$where": true, "ok": 7}}),
        ),
    ];
    let mut lines = String::new();
    for (path, body) in &bodies {
        lines += &format!("{path} {}\n", rest.put(path, body).await.lines());
    }
    expect![[r#"
        /router-protection 422 some members of the body are wrong
        /enabled must be true or false
        /block_page_ip must be an IP address
        /a~1b is not known here
        /router-protection 422 some members of the body are wrong
        /enabled must be there
        /block_page_ip must be there
        /router-protection 422 some members of the body are wrong
         must be an object
        /router-protection/allowed-list 422 some members of the body are wrong
        /allowed_list/1 must be a text
        /allowed_list/2 must be an IP address, or a network such as 198.51.100.0/24
        /allowed_list/3 must not be every address there is
        /router-protection/allowed-list 422 some members of the body are wrong
        /allowed_list must have at most 1000 entries
        /router-protection/allowed-list 422 some members of the body are wrong
        /allowed_list must be a list
        /router-protection/dns-allowed-list 422 some members of the body are wrong
        /dns_allowed_list/0 must be the address of one host, not of all, none or itself
        /dns_allowed_list/1 must be an IP address
        /lan-protection 422 some members of the body are wrong
        /isolate_iot must be true or false
        /arp_guard must be there
        /other is not known here
        /advanced-configuration 422 some members of the body are wrong
        /log_level must be error, warn, info, debug or trace
        /telemetry must be true or false
        /features/$where must have a name of 1 to 64 of A-Z a-z 0-9 _ -
        /features/ok must be true or false
    "#]]
    .assert_eq(&lines);
    for (path, _) in OF_ISP {
        assert_eq!(rest.get(path).await.etag.as_deref(), Some("\"0\""));
    }
}

#[tokio::test]
async fn a_body_is_bounded_and_must_be_json() {
    let rest = Rest::start().await;
    let put = || rest.request(Method::PUT, LIST).bearer_auth(rest.token("rs:write"));
    let json = || put().header("content-type", "application/json");
    let requests = [
        json().body(format!("{{\"allowed_list\": [{}]}}", " ".repeat(70_000))),
        json().body("{\"allowed_list\": ["),
        put().body("{}"),
        json(),
    ];
    let mut statuses = Vec::new();
    for it in requests {
        statuses.push(Answer::of(it).await.status);
    }
    assert_eq!(statuses, [413, 422, 422, 422]);
    assert_eq!(rest.put(LIST, &largest()).await.body, largest());
}

#[tokio::test]
async fn a_process_that_died_before_it_told_is_followed_by_one_that_does() {
    let rest = Rest::start().await;
    // As a process leaves it that dies right after its write.
    let isp_id = rest.service.isp.parse().unwrap();
    let settings = events::RouterProtectionSettings { enabled: true, block_page_ip: None };
    let change = rsclient::domain::ProtectionChange::Settings(settings);
    let any = &rsclient::domain::Expected::Any;
    let store = &rest.service.app.store.router_protections;
    let held = store.set(&isp_id, any, &change).await.unwrap().unwrap();
    let stored = rest.service.stored("router_protection", &rest.service.isp).await;
    assert!(stored.get_bool("untold").unwrap());
    assert_eq!(stored.get_i64("told").unwrap(), 0);

    let (relay, stop) = (rest.service.app.outboxes.clone(), chassis::CancellationToken::new());
    let every = Duration::from_millis(20);
    let telling = async {
        is_told(&rest, "router_protection").await;
        stop.cancel();
    };
    tokio::join!(relay.relay_until(every, &stop), telling);
    assert_eq!(said_at(&rest, held.revision.get()).await.headers["ce_source"], "/rsclient");
    let stored = rest.service.stored("router_protection", &rest.service.isp).await;
    assert_eq!(stored.get_i64("told").unwrap(), held.revision.as_i64());
}

#[tokio::test]
async fn while_the_broker_is_down_everything_is_taken_and_then_it_is_told() {
    let nobody = ("RSCLIENT__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1");
    let rest = Rest::start_with(&[nobody]).await;
    let operator = issuers().0.operator("rsclient", "rs:write").unwrap();
    let isps: Vec<String> = (0..50).map(|n| rest.service.id(&format!("isp{n}"))).collect();
    for isp in &isps {
        let path = format!("{LIST}?isp_id={isp}");
        let put = rest.request(Method::PUT, &path).bearer_auth(&operator).json(&largest());
        assert_eq!(Answer::of(put).await.status, 200);
    }
    let outbox = &rest.service.app.outboxes.router_protection;
    assert_eq!(outbox.backlog().await.unwrap().documents, 50);

    // A process that reaches the broker.
    let database = rest.service.database.name().to_owned();
    let next = Service::start_with(&[("RSCLIENT__MONGO__DATABASE", &database)]).await;
    let outbox = &next.app.outboxes.router_protection;
    assert_eq!(outbox.tell_all(Duration::ZERO).await.unwrap(), 50);
    assert_eq!(outbox.backlog().await.unwrap(), Backlog::default());
    let mut said = testkit::records::read(&testkit::kafka(), SYSTEM).await.unwrap();
    said.retain(|it| it.key.as_ref().is_some_and(|it| isps.contains(it)));
    assert_eq!(said.len(), 50);
    for it in said {
        assert_eq!(it.json().unwrap()["allowed_list"], largest()["allowed_list"]);
    }
}

#[tokio::test]
async fn a_document_that_was_set_by_others_keeps_its_members() {
    let rest = Rest::start().await;
    let list = json!({"dns_allowed_list": ["192.0.2.53"]});
    rest.put("/router-protection/dns-allowed-list", &list).await;
    let far = 4_000_000_000_000_i64;
    rest.service.change("router_protection", &rest.service.isp, doc! { "revision": far }).await;
    let answer = rest.put(LIST, &json!({"allowed_list": []})).await;
    assert_eq!(answer.revision(), 4_000_000_000_001);
    assert_eq!(rest.get("/router-protection/dns-allowed-list").await.body, list);
}
