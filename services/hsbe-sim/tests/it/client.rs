//! The client of the fleet against the simulator.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use events::{DeviceId, Revision};
use expect_test::expect;
use hs_admin::{
    Answer, DeviceConfiguration, HsAdmin, Mode, Resource, RouterConfiguration, Settings, TlsFiles,
};
use serde_json::json;
use testkit::{
    certificates::{Certificates, issue},
    eventually,
};

use crate::{
    bodies,
    service::{self, LIMIT, Service},
};

fn settings(base_url: &str, tls: Option<TlsFiles>) -> Settings {
    Settings {
        mode: Mode::Rest,
        base_url: base_url.to_owned().try_into().expect("a URL"),
        tls,
        timeout_seconds: 1,
        connect_timeout_seconds: 1,
        connections: 4,
    }
}

fn connect(base_url: &str) -> HsAdmin {
    HsAdmin::connect(&settings(base_url, None)).expect("a client")
}

fn id(text: &str) -> DeviceId {
    text.parse().expect("an id")
}

fn revision(number: u64) -> Revision {
    number.try_into().expect("a revision")
}

async fn put_device(client: &HsAdmin, name: &str, number: u64) -> Answer {
    let body: DeviceConfiguration = serde_json::from_value(bodies::device(name)).expect("a device");
    client.put(&Resource::Device(id(name)), &body, revision(number)).await
}

/// The answer in one line; what an operating system says in its own words is left out.
fn line(answer: &Answer) -> String {
    match answer {
        Answer::Trouble { http_status: None, .. } => "Trouble without an answer".to_owned(),
        Answer::Misconfigured { http_status: None, .. } => "Misconfigured TLS".to_owned(),
        Answer::Done { .. }
        | Answer::NotSent
        | Answer::Stale
        | Answer::Early { .. }
        | Answer::Wrong { .. }
        | Answer::Trouble { .. }
        | Answer::Misconfigured { .. } => format!("{answer:?}"),
    }
}

#[tokio::test]
async fn the_client_and_the_simulator_understand_each_other() {
    let service = service::start("stale = \"refuse\"").await;
    let client = connect(&service.base);
    assert_eq!(client.status().await.expect("well").status, "ok");
    assert_eq!(put_device(&client, "d-1", 5).await, Answer::Done { http_status: 204 });
    assert_eq!(service.get("/sim/dump").await["devices"]["d-1"], bodies::device("d-1"));
    assert_eq!(put_device(&client, "d-1", 4).await, Answer::Stale);

    let delete = async |name: &str, number| {
        client.delete(&Resource::Device(id(name)), revision(number)).await
    };
    assert_eq!(delete("d-1", 6).await, Answer::Done { http_status: 204 });
    assert_eq!(delete("d-1", 6).await, Answer::Done { http_status: 404 });

    let router: RouterConfiguration =
        serde_json::from_value(bodies::router_with_package("r-1", "p-1")).expect("a router");
    let answers = [
        client.put(&Resource::Router(id("r-1")), &router, revision(1)).await,
        client.put(&Resource::FeatureFlags(id("r-1")), &bodies::flags(), revision(1)).await,
        client.put(&Resource::Router(id("r-2")), &router, revision(1)).await,
        client.put(&Resource::Device(id("d-1")), &router, revision(7)).await,
    ];
    let lines = answers.map(|it| line(&it)).join("\n");
    expect![[r#"
        Early { http_status: 409, detail: "unknown_agent_package: no package p-1" }
        Early { http_status: 404, detail: "not_found: no router r-1" }
        Wrong { http_status: 422, detail: "malformed: the id in the path is not the id in the body" }
        Wrong { http_status: 422, detail: "malformed: unknown field `enabled`, expected one of `device`, `services`, `action`, `is_iot`, `act_rules` at line 1 column 443" }"#]].assert_eq(&lines);
    service.stop().await;
}

#[tokio::test]
async fn faults_look_to_the_client_like_what_they_are() {
    let service = service::start("").await;
    let client = connect(&service.base);
    let mut table = String::new();
    for action in [
        json!({"status": 503, "retry_after": 2}),
        json!({"status": 429, "retry_after": "Sun, 06 Nov 1994 08:49:37 GMT"}),
        json!({"status": 500}),
        json!({"status": 408}),
        json!({"status": 401}),
        json!({"status": 403}),
        json!({"status": 404}),
        json!({"status": 405}),
        json!({"status": 302}),
        json!({"status": 413}),
        json!({"reset": true}),
        json!({"hang": true}),
    ] {
        service.faults(json!([{"path": "/devices", "action": action}])).await;
        table += &format!("{action}: {}\n", line(&put_device(&client, "d-1", 1).await));
    }
    expect![[r#"
        {"retry_after":2,"status":503}: Trouble { http_status: Some(503), retry_after: Some(2s), detail: "fault: a fault on purpose" }
        {"retry_after":"Sun, 06 Nov 1994 08:49:37 GMT","status":429}: Trouble { http_status: Some(429), retry_after: Some(0ns), detail: "fault: a fault on purpose" }
        {"status":500}: Trouble { http_status: Some(500), retry_after: None, detail: "fault: a fault on purpose" }
        {"status":408}: Trouble { http_status: Some(408), retry_after: None, detail: "fault: a fault on purpose" }
        {"status":401}: Misconfigured { http_status: Some(401), detail: "fault: a fault on purpose" }
        {"status":403}: Misconfigured { http_status: Some(403), detail: "fault: a fault on purpose" }
        {"status":404}: Misconfigured { http_status: Some(404), detail: "fault: a fault on purpose" }
        {"status":405}: Misconfigured { http_status: Some(405), detail: "fault: a fault on purpose" }
        {"status":302}: Misconfigured { http_status: Some(302), detail: "fault: a fault on purpose" }
        {"status":413}: Wrong { http_status: 413, detail: "fault: a fault on purpose" }
        {"reset":true}: Trouble without an answer
        {"hang":true}: Trouble without an answer
    "#]].assert_eq(&table);
    let base = service.base.clone();
    service.stop().await;
    let nobody = put_device(&connect(&base), "d-1", 1).await;
    assert_eq!(line(&nobody), "Trouble without an answer");
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let service = service::start("").await;
    let client = HsAdmin::connect(&Settings { mode: Mode::Log, ..settings(&service.base, None) });
    let client = client.expect("a client");
    assert_eq!(put_device(&client, "d-1", 1).await, Answer::NotSent);
    assert_eq!(client.status().await, Err(Answer::NotSent));
    assert_eq!(service.summary(&["answers"]).await, "answers {}");
    service.stop().await;
}

#[tokio::test]
async fn no_more_calls_than_connections_are_on_the_way() {
    let service = service::start("latency_ms = 20").await;
    let client = connect(&service.base);
    let calls = (0..40).map(|it| {
        let client = client.clone();
        tokio::spawn(async move { put_device(&client, &format!("d-{it}"), 1).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.expect("no panic"), Answer::Done { http_status: 204 });
    }
    assert_eq!(service.summary(&["devices", "in_flight_max"]).await, "devices 40, in_flight_max 4");
    service.stop().await;
}

async fn start_with_tls(files: &Certificates) -> (Service, String) {
    let text = format!(
        "[tls]\nlisten = \"127.0.0.1:0\"\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n",
        files.server_cert, files.server_key, files.ca
    );
    let service = service::start(&text).await;
    let address = service.chassis.address("tls").expect("a TLS port");
    (service, format!("https://localhost:{}", address.port()))
}

fn tls(of: &Certificates, trusting: &Certificates) -> TlsFiles {
    TlsFiles { cert: of.client_cert.clone(), key: of.client_key.clone(), ca: trusting.ca.clone() }
}

fn issue_into(folder: &Path, name: &str) -> Certificates {
    let folder = folder.join(name);
    fs::create_dir(&folder).expect("a folder");
    issue(&folder).expect("certificates")
}

#[tokio::test]
async fn mutual_tls_lets_in_who_shows_a_certificate_of_the_authority_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = issue_into(folder.path(), "ours");
    let theirs = issue_into(folder.path(), "theirs");
    let (service, base) = start_with_tls(&ours).await;

    let with = async |files: TlsFiles| {
        let client = HsAdmin::connect(&settings(&base, Some(files))).expect("a client");
        put_device(&client, "d-1", 1).await
    };
    assert_eq!(with(tls(&ours, &ours)).await, Answer::Done { http_status: 204 });
    // We do not trust the server.
    assert_eq!(line(&with(tls(&ours, &theirs)).await), "Misconfigured TLS");
    // The server does not trust us.
    assert_eq!(line(&with(tls(&theirs, &ours)).await), "Misconfigured TLS");
    assert_eq!(
        service.summary(&["writes", "answers"]).await,
        r#"writes {"PUT":1}, answers {"204":1}"#
    );

    let authority = fs::read(&ours.ca).expect("an authority");
    let authority = reqwest::Certificate::from_pem(&authority).expect("a certificate");
    let nobody = reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client");
    let error = nobody.get(format!("{base}/status")).timeout(Duration::from_secs(5)).send().await;
    assert!(!error.expect_err("no answer without a certificate").is_timeout());
    // The port without TLS is not touched by any of it.
    assert_eq!(service.get("/status").await["status"], "ok");
    service.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_used_without_a_restart_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = issue_into(folder.path(), "ours");
    let theirs = issue_into(folder.path(), "theirs");
    let (service, base) = start_with_tls(&ours).await;
    let files = tls(&theirs, &ours);
    let client = HsAdmin::connect(&settings(&base, Some(files.clone()))).expect("a client");
    assert_eq!(line(&put_device(&client, "d-1", 1).await), "Misconfigured TLS");

    fs::copy(&ours.client_cert, &files.cert).expect("a new certificate");
    fs::copy(&ours.client_key, &files.key).expect("its key");
    let done = Answer::Done { http_status: 204 };
    eventually("the new certificate is used", LIMIT, async || {
        (put_device(&client, "d-1", 1).await == done).then_some(())
    })
    .await;

    fs::write(&files.key, "no key").expect("a broken key");
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert_eq!(put_device(&client, "d-1", 1).await, done);
    }
    service.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = issue_into(folder.path(), "ours");
    let theirs = issue_into(folder.path(), "theirs");
    let refusal = |base_url: &str, tls| {
        let error = HsAdmin::connect(&settings(base_url, tls)).expect_err("refused");
        format!("{error:#}").replace(&folder.path().display().to_string(), "")
    };
    let strange = TlsFiles { key: theirs.client_key, ..tls(&ours, &ours) };
    let missing = TlsFiles { cert: folder.path().join("nowhere.pem"), ..tls(&ours, &ours) };
    let empty = TlsFiles { ca: ours.client_key.clone(), ..tls(&ours, &ours) };
    let table = [
        refusal("https://localhost:1", None),
        refusal("http://localhost:1", Some(tls(&ours, &ours))),
        refusal("https://localhost:1", Some(strange)),
        refusal("https://localhost:1", Some(missing)),
        refusal("https://localhost:1", Some(empty)),
    ]
    .join("\n");
    expect![[r#"
        HS Admin client: base_url is https, so tls.cert, tls.key and tls.ca must be set
        HS Admin client: tls is set, so base_url must be https
        HS Admin client: certificate in /ours/client.pem: keys may not be consistent: KeyMismatch
        HS Admin client: certificates in /nowhere.pem: I/O error: No such file or directory (os error 2)
        HS Admin client: no certificate in /ours/client.key"#]].assert_eq(&table);
}
