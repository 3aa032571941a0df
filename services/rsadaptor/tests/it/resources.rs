//! What the service says of a resource, asked over a socket as other services ask.

use std::time::Duration;

use expect_test::expect;
use reqwest::Client;
use serde_json::{Value, json};
use testkit::{
    eventually,
    records::{Event, Sender},
    tokens::Issuer,
    unique,
};

use crate::{
    backend::{FakeBackend, error, status},
    service::{LIMIT, settings, state},
    wire::{ONE_AT_A_TIME, Running},
};

/// Whoever asks.
struct Asking {
    client: Client,
    base: String,
    issuer: Issuer,
}

impl Asking {
    fn new() -> Self {
        chassis::tls::install_provider();
        let client = Client::builder().timeout(LIMIT).no_proxy().build().unwrap();
        Self { client, base: String::new(), issuer: Issuer::new("rsclient").unwrap() }
    }

    /// What the service must be told to take the tokens.
    fn environment(&self) -> Vec<(String, String)> {
        let members = [
            ("ISSUER", self.issuer.name().to_owned()),
            ("PUBLIC_KEY", self.issuer.public_key_pem()),
            ("SCOPES", "internal sync:read".to_owned()),
            ("ISP_OPTIONAL", "true".to_owned()),
        ];
        let name = |it: &str| format!("RSADAPTOR__AUTH__KEYS__RSCLIENT__{it}");
        members.map(|(it, value)| (name(it), value)).into()
    }

    async fn start(&mut self, backend: &FakeBackend, more: &[(&str, &str)]) -> Running {
        let environment = self.environment();
        let mut all: Vec<(&str, &str)> =
            environment.iter().map(|(name, it)| (name.as_str(), it.as_str())).collect();
        all.extend(more);
        let service = Running::start(settings(&backend.serve().await, &all)).await;
        let address = async || service.chassis.address("http");
        self.base = format!("http://{}", eventually("an address", LIMIT, address).await);
        service
    }

    async fn get(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let request = self.client.get(format!("{}{path}", self.base));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn of(&self, resource: &str) -> Value {
        let token = self.issuer.operator("rsadaptor", "internal").unwrap();
        let (status, body) = self.get(&format!("/resources/{resource}"), Some(&token)).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["resource"], resource);
        body
    }

    /// Waits until what is said of a resource is `so`.
    async fn until(&self, resource: &str, so: impl Fn(&Value) -> bool) -> Value {
        let look = async || Some(self.of(resource).await).filter(&so);
        eventually(&format!("what is said of {resource}"), LIMIT, look).await
    }
}

fn created(device_id: &str, revision: u64) -> Event {
    Event {
        topic: "as-rs-provision-topic".to_owned(),
        event_type: "RSDeviceCreated".to_owned(),
        key: Some(device_id.to_owned()),
        data: state(device_id, revision, json!({"name": revision.to_string()})),
    }
}

/// Takes the times out, each of which must be of the last minutes, and what differs from run to run.
fn shown(mut said: Value, replaced: &[(&str, &str)]) -> String {
    fn times(value: &mut Value) {
        let now = jiff::Timestamp::now();
        for (name, it) in value.as_object_mut().into_iter().flatten() {
            if let (true, Some(text)) = (["at", "since"].contains(&name.as_str()), it.as_str()) {
                let age = now.duration_since(text.parse().unwrap());
                assert!(age.as_secs().abs() < 120, "{name}: {text}");
                *it = json!("T");
            }
            if name == "offset" || name == "partition" {
                assert!(it.as_i64().unwrap() >= 0);
                *it = json!("N");
            }
            times(it);
        }
        value.as_array_mut().into_iter().flatten().for_each(times);
    }
    times(&mut said);
    let text = serde_json::to_string_pretty(&said).unwrap();
    replaced.iter().fold(text, |text, (from, to)| text.replace(from, to))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_and_what_was_rejected_is_told() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (backend, mut asking) = (FakeBackend::default(), Asking::new());
    let service = asking.start(&backend, &[]).await;
    let sender = Sender::new(&testkit::kafka()).unwrap();
    let device = unique("d");
    let nothing = asking.of(&device).await;
    expect![[r#"
        {
          "applied": null,
          "circuit": {
            "reason": null,
            "since": null,
            "state": "closed"
          },
          "last_rejection": null,
          "resource": "D",
          "waiting": []
        }"#]]
    .assert_eq(&shown(nothing, &[(&device, "D")]));

    sender.send(&created(&device, 10)).await.unwrap();
    let applied = asking.until(&device, |it| !it["applied"].is_null()).await;
    assert_eq!(applied["applied"]["status"], "applied");
    backend.next(&format!("/devices/{device}"), error(422, "malformed"));
    sender.send(&created(&device, 11)).await.unwrap();
    let rejected = asking.until(&device, |it| !it["last_rejection"].is_null()).await;
    expect![[r#"
        {
          "applied": {
            "at": "T",
            "kind": "device",
            "revision": 10,
            "status": "unknown"
          },
          "circuit": {
            "reason": null,
            "since": null,
            "state": "closed"
          },
          "last_rejection": {
            "at": "T",
            "error": "malformed: as told",
            "http_status": 422,
            "revision": 11
          },
          "resource": "D",
          "waiting": []
        }"#]]
    .assert_eq(&shown(
        asking.until(&device, |it| it["waiting"] == json!([])).await,
        &[(&device, "D")],
    ));
    assert_eq!(rejected["applied"]["revision"], 10);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_with_what_it_waits_for() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (backend, mut asking) = (FakeBackend::default(), Asking::new());
    backend.everything(Some(status(401)));
    let never = [("RSADAPTOR__DESTINATION__PROBE_INTERVAL_SECONDS", "3600")];
    let service = asking.start(&backend, &never).await;
    let sender = Sender::new(&testkit::kafka()).unwrap();
    let device = unique("d");
    sender.send(&created(&device, 10)).await.unwrap();
    service.is_refused().await;
    sender.send(&created(&device, 11)).await.unwrap();
    let two = |it: &Value| {
        let waiting = it["waiting"].as_array().unwrap();
        waiting.len() == 2 && waiting[0]["reason"] != "it is being handled"
    };
    let said = asking.until(&device, two).await;
    let behind = format!("offset {}", said["waiting"][0]["offset"]);
    expect![[r#"
        {
          "applied": null,
          "circuit": {
            "reason": "misconfigured: 401: as told",
            "since": "T",
            "state": "open"
          },
          "last_rejection": null,
          "resource": "D",
          "waiting": [
            {
              "attempts": 1,
              "key": "D",
              "offset": "N",
              "partition": "N",
              "reason": "its last attempt failed: misconfigured, waiting: as told",
              "since": "T",
              "topic": "as-rs-provision-topic"
            },
            {
              "attempts": 0,
              "key": "D",
              "offset": "N",
              "partition": "N",
              "reason": "it stands behind offset N",
              "since": "T",
              "topic": "as-rs-provision-topic"
            }
          ]
        }"#]]
    .assert_eq(&shown(said, &[(&device, "D"), (&behind, "offset N")]));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_resource_is_known_by_its_id() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (backend, mut asking) = (FakeBackend::default(), Asking::new());
    let service = asking.start(&backend, &[]).await;
    let sender = Sender::new(&testkit::kafka()).unwrap();
    let (router, package, isp) = (unique("r"), unique("p"), unique("isp"));
    let (of_devices, of_agents) = ("as-rs-provision-topic", "as-rs-agent-topic");
    let flags = json!({"device_id": router, "flags": {}, "upload_intervals": {}});
    let made = json!({
        "agent_package_id": package, "version": "1", "models": ["hg-8000"],
        "url": "https://example.org/p", "sha256": "00ff", "size_bytes": 1, "signature": "signed",
        "state": "released"
    });
    let lan = json!({
        "lan_protection": {"enabled": true, "isolate_iot": false, "arp_guard": true},
        "advanced": {"log_level": "info", "telemetry": true, "features": {}}
    });
    for (topic, event_type, key, mut data) in [
        (of_devices, "RSDeviceCreated", &router, state(&router, 10, json!({"kind": "router"}))),
        (of_devices, "RSCustomFlagsUpdated", &router, flags),
        (of_agents, "RSAgentPackageCreated", &package, made),
        ("as-rs-system-configuration-topic", "RSSystemUpdated", &isp, lan),
    ] {
        (data["isp_id"], data["revision"]) = (json!(isp), json!(10));
        let (topic, event_type) = (topic.to_owned(), event_type.to_owned());
        sender.send(&Event { topic, event_type, key: Some(key.clone()), data }).await.unwrap();
    }
    for (resource, kind) in [
        (router.clone(), "router"),
        (format!("{router}~flags"), "flags"),
        (format!("package~{package}"), "package"),
        (format!("system/{isp}/general"), "system"),
    ] {
        let said = asking.until(&resource, |it| it["applied"]["status"] == "applied").await;
        let applied = &said["applied"];
        assert_eq!((&applied["kind"], &applied["revision"]), (&json!(kind), &json!(10)));
    }
    assert_eq!(asking.of(&format!("system/{isp}/router-dns")).await["applied"], Value::Null);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_services_of_the_fleet_are_answered() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (backend, mut asking) = (FakeBackend::default(), Asking::new());
    let service = asking.start(&backend, &[]).await;
    let token = |audience: &str, scope: &str| asking.issuer.operator(audience, scope).unwrap();
    let good = token("rsadaptor", "internal");
    let stranger = Issuer::new("rsclient").unwrap().operator("rsadaptor", "internal").unwrap();
    let mut log = String::new();
    for (name, path, token) in [
        ("good", "/resources/d-1", Some(good.clone())),
        ("none", "/resources/d-1", None),
        ("no token", "/resources/d-1", Some("nonsense".to_owned())),
        ("other audience", "/resources/d-1", Some(token("rsclient", "internal"))),
        ("other key", "/resources/d-1", Some(stranger)),
        ("other scope", "/resources/d-1", Some(token("rsadaptor", "sync:read"))),
        ("no id", "/resources/d%201", Some(good.clone())),
        ("no text", "/resources/%ff", Some(good.clone())),
        ("no document", "/resources/system/isp-1/everything", Some(good.clone())),
        ("no path", "/resource", Some(good.clone())),
    ] {
        let (status, body) = asking.get(path, token.as_deref()).await;
        let problem = body["type"].as_str().unwrap_or_default();
        log += format!("{name}: {status} {problem}").trim_end();
        log.push('\n');
    }
    expect![[r#"
        good: 200
        none: 401 urn:routersecure:problem:unauthorized
        no token: 401 urn:routersecure:problem:unauthorized
        other audience: 401 urn:routersecure:problem:unauthorized
        other key: 401 urn:routersecure:problem:unauthorized
        other scope: 403 urn:routersecure:problem:forbidden
        no id: 404 urn:routersecure:problem:not-found
        no text: 404 urn:routersecure:problem:not-found
        no document: 404 urn:routersecure:problem:not-found
        no path: 404 urn:routersecure:problem:not-found
    "#]]
    .assert_eq(&log);
    let timeout = tokio::time::timeout(Duration::from_secs(40), service.stop());
    timeout.await.unwrap();
}
