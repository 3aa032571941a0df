//! `GET /devices/{device_id}/trace`: where a device is on its way.

use std::time::Duration;

use expect_test::expect;
use rsclient::domain::Which;
use serde_json::{Value, json};
use testkit::{eventually, records::Sender, tokens::Issuer, unique};

use crate::{
    face::{Adaptor, Face},
    jobs::{Job, applies},
    service::{Service, with},
};

const LIMIT: Duration = Duration::from_secs(30);
const SAID: &str = "as-rs-provision-topic";

/// A home with one device, its face, and an rsadaptor that says what it is told.
struct Home {
    service: Service,
    adaptor: Adaptor,
    face: Face,
    device: String,
}

impl Home {
    async fn with_a_device(members: Value) -> Self {
        let service = Service::start().await;
        service.done("AccountCreated", service.account(1, json!({}))).await;
        service.done("DeviceCreated", service.device("d", 1, members)).await;
        let own = Issuer::new("rsclient").unwrap();
        let adaptor = Adaptor::start(&own).await;
        let face = Face::start(&service, &[&adaptor.url], &own).await;
        let device = service.id("d");
        adaptor.says(&device, json!({}));
        Self { service, adaptor, face, device }
    }

    async fn trace(&self) -> Value {
        self.face.get(&format!("/devices/{}/trace", self.device)).await
    }

    /// The trace once the last publication is noted.
    async fn noted(&self) -> Value {
        eventually("the publication is noted", LIMIT, async || {
            let trace = self.trace().await;
            (trace["published"]["revision"] == trace["effective_revision"]).then_some(trace)
        })
        .await
    }

    async fn headline(&self) -> String {
        let headline = self.trace().await["headline"].take();
        format!("{}: {}", headline["verdict"].as_str().unwrap(), headline["text"].as_str().unwrap())
    }

    fn applied(&self, revision: &Value) -> Value {
        json!({"applied": {
            "kind": "device", "revision": revision, "status": "applied", "at": "2026-11-21T10:00:00.5Z",
        }})
    }
}

#[tokio::test]
async fn a_device_is_followed_from_what_was_stored_to_what_the_backend_holds() {
    let home = Home::with_a_device(json!({})).await;
    let trace = home.noted().await;
    let record = home.service.published().await.pop().unwrap();
    let published = json!({
        "event": "RSDeviceCreated", "topic": SAID, "partition": record.partition,
        "offset": record.offset, "revision": record.json().unwrap()["revision"],
        "at": trace["published"]["at"],
    });
    assert_eq!(trace["published"], published);
    assert_eq!(trace["stored"]["revision"], 1);
    for at in [&trace["stored"]["at"], &trace["published"]["at"]] {
        let at: jiff::Timestamp = at.as_str().unwrap().parse().unwrap();
        assert!(jiff::Timestamp::now().duration_since(at).as_secs() < 120);
    }
    assert_eq!(trace["headline"]["verdict"], "on_its_way");

    home.adaptor.says(&home.device, home.applied(&trace["effective_revision"]));
    let revision = &trace["effective_revision"];
    let told = home.headline().await;
    let expected =
        format!("protected: the backend holds revision {revision} since 2026-11-21T10:00:00Z");
    assert_eq!(told, expected);

    // The next publication is noted in place of the last one.
    home.service.done("DeviceUpdated", home.service.device("d", 2, json!({}))).await;
    let trace = home.noted().await;
    assert_eq!(trace["published"]["event"], "RSDeviceUpdated");
    assert_eq!(trace["headline"]["verdict"], "on_its_way");
}

#[tokio::test]
async fn each_thing_that_keeps_a_device_has_a_headline() {
    let home = Home::with_a_device(json!({})).await;
    let revision = home.noted().await["effective_revision"].clone();
    let mut seen = vec![home.headline().await];
    let record = json!({
        "topic": SAID, "partition": 3, "offset": 17, "key": home.device, "since": "2026-11-21T10:00:00Z",
        "attempts": 4, "reason": "503: later",
    });
    home.adaptor.says(&home.device, json!({"waiting": [record]}));
    seen.push(home.headline().await);
    let circuit =
        json!({"state": "open", "since": "2026-11-21T10:00:00Z", "reason": "misconfigured: 401"});
    home.adaptor.says(&home.device, json!({"waiting": [record], "circuit": circuit}));
    seen.push(home.headline().await);
    let rejection = json!({
        "revision": revision, "http_status": 422, "error": "malformed: name", "at": "2026-11-21T10:00:00Z",
    });
    home.adaptor.says(&home.device, json!({"last_rejection": rejection}));
    seen.push(home.headline().await);
    let older = with(rejection, json!({"revision": 1}));
    home.adaptor.says(&home.device, json!({"last_rejection": older}));
    seen.push(home.headline().await);
    let suspended = home.service.account(2, json!({"status": "suspended"}));
    home.service.done("AccountUpdated", suspended).await;
    let now = home.noted().await["effective_revision"].clone();
    home.adaptor.says(&home.device, home.applied(&now));
    seen.push(home.headline().await);
    let deletion = home.service.deletion("account_id", &home.service.account, 9);
    home.service.done("AccountDeleted", deletion).await;
    seen.push(home.headline().await);
    let deletion = home.service.deletion("device_id", &home.device, 10);
    home.service.done("DeviceDeleted", deletion).await;
    seen.push(home.headline().await);
    let text = seen.join("\n").replace(&revision.to_string(), "R").replace(&now.to_string(), "S");
    expect![[r#"
        on_its_way: revision R was published
        waiting: record as-rs-provision-topic/3/17 waits since 2026-11-21T10:00:00Z after 4 attempts: 503: later
        waiting: nothing is sent to the backend since 2026-11-21T10:00:00Z: misconfigured: 401
        rejected: the backend refused it: 422 malformed: name
        on_its_way: revision R was published
        off: the account is suspended; the backend holds that as revision S
        pending: its account was deleted after the device was provisioned: the device must be provisioned again
        deleted: the device was deleted"#]]
    .assert_eq(&text);
}

#[tokio::test]
async fn an_rsadaptor_that_does_not_answer_leaves_a_gap_that_says_so() {
    let home = Home::with_a_device(json!({})).await;
    let own = Issuer::new("rsclient").unwrap();
    let adaptor = Adaptor::start(&own).await;
    adaptor.says(&home.device, home.applied(&json!(1)));
    let nowhere = "http://127.0.0.1:1";
    let face = Face::start(&home.service, &[nowhere, &adaptor.url], &own).await;
    let trace = face.get(&format!("/devices/{}/trace", home.device)).await;
    assert_eq!(trace["backend"]["unknown"], "1 of 2 rsadaptors could not be asked");
    assert_eq!(trace["backend"]["applied"]["revision"], 1);
    assert_eq!(trace["headline"]["verdict"], "unknown");
    assert!(!trace.to_string().contains("127.0.0.1"), "an address is nobody's business: {trace}");
    // One that refuses our token is as good as silent.
    let stranger = Issuer::new("rsclient").unwrap();
    let face = Face::start(&home.service, &[&adaptor.url], &stranger).await;
    let trace = face.get(&format!("/devices/{}/trace", home.device)).await;
    assert_eq!(trace["backend"]["unknown"], "1 of 1 rsadaptors could not be asked");
    let trace = Face::alone(&home.service).await;
    let trace = trace.get(&format!("/devices/{}/trace", home.device)).await;
    assert_eq!(trace["backend"]["unknown"], "there is no rsadaptor to ask");
}

#[tokio::test]
async fn what_was_set_aside_is_told_with_why_and_where_it_lies() {
    let home = Home::with_a_device(json!({})).await;
    let revision = home.noted().await["effective_revision"].clone();
    let sender = Sender::new(&home.service.kafka).unwrap();
    let dead = |error: &str| {
        vec![
            ("ce_type", "RSDeviceCreated".to_owned()),
            ("dlq_topic", SAID.to_owned()),
            ("dlq_error", error.to_owned()),
            ("dlq_failed_at", "2026-11-21T10:00:00Z".to_owned()),
        ]
    };
    let payload = json!({"device_id": home.device, "revision": revision}).to_string();
    let topic = format!("{SAID}.rsadaptor.dlq");
    let headers = dead("422: malformed");
    let place = sender.send_raw(&topic, Some(&home.device), &headers, payload.as_bytes());
    let (partition, offset) = place.await.unwrap();
    let foreign = unique("d");
    sender.send_raw(&topic, Some(&foreign), &dead("other"), payload.as_bytes()).await.unwrap();
    let trace = home.trace().await;
    let expected = json!([{
        "group": "rsadaptor", "topic": topic, "partition": partition, "offset": offset,
        "event": "RSDeviceCreated", "revision": revision, "error": "422: malformed",
        "failed_at": "2026-11-21T10:00:00Z",
    }]);
    assert_eq!(trace["dead_lettered"], json!({"items": expected}));
    assert_eq!(home.headline().await, "rejected: rsadaptor has set it aside: 422: malformed");

    // What provisioning said last never got here: it lies under the key of the household.
    let newer = home.service.device("d", 99, json!({"mac": "wrong"})).to_string();
    let ours = "as-provision-topic.rsclient.dlq";
    let headers = dead("malformed: mac");
    sender.send_raw(ours, Some(&home.service.account), &headers, newer.as_bytes()).await.unwrap();
    assert_eq!(
        home.headline().await,
        "rejected: what provisioning said last was set aside: malformed: mac"
    );
    let handled = home.service.device("d", 100, json!({}));
    home.service.done("DeviceUpdated", handled).await;
    let now = home.noted().await["effective_revision"].clone();
    home.adaptor.says(&home.device, home.applied(&now));
    assert_eq!(home.trace().await["headline"]["verdict"], "protected");
    assert_eq!(home.trace().await["dead_lettered"]["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_sync_that_has_the_device_to_do_is_told() {
    let home = Home::with_a_device(json!({})).await;
    home.noted().await;
    assert_eq!(home.trace().await["syncs"], json!([]));
    let mut job = Job::new(&home.service, &unique("j"));
    job.ask_for_accounts(json!({})).await;
    // The request for the bulk is on its way to ourselves; then the record is, to rsadaptor.
    let queued_or_sent = home.trace().await["syncs"].clone();
    assert!(queued_or_sent.as_array().unwrap().len() <= 1, "{queued_or_sent}");
    job.run(|_, _| None).await;
    let trace = home.trace().await;
    let syncs = trace["syncs"].as_array().unwrap();
    assert_eq!(syncs.len(), 1, "{trace}");
    assert_eq!((&syncs[0]["job_id"], &syncs[0]["state"]), (&json!(job.id), &json!("sent")));
    assert_eq!(trace["headline"]["text"], json!(format!("job {} has it to do", job.id)));
    // A sync raises nothing, so what was noted of the last publication stands.
    assert_eq!(trace["published"]["event"], "RSDeviceCreated");
    let stored = home.service.stored("devices", &home.device).await;
    let revision = json!(stored.get_i64("rs_revision").unwrap());
    for it in job.sent.clone() {
        let reply = json!({
            "request_id": it.headers["ce_requestid"], "job_id": job.id, "resource": home.device,
            "revision": revision, "held_revision": revision, "status": "applied",
            "http_status": 204, "error": null,
        });
        job.answered(&reply).await;
    }
    job.run(applies).await;
    assert_eq!(home.trace().await["syncs"], json!([]));
}

#[tokio::test]
async fn a_router_that_a_walk_has_still_to_raise_is_on_its_way_whatever_the_backend_holds() {
    let router = json!({"kind": "router", "device_type": "router", "model": "hg-1"});
    let home = Home::with_a_device(router).await;
    let held = home.noted().await["effective_revision"].clone();
    home.adaptor.says(&home.device, home.applied(&held));
    assert!(home.headline().await.starts_with("protected: "));
    let package = json!({
        "agent_package_id": unique("p"), "version": "1.0.0", "models": ["hg-1"],
    });
    let isp = &home.service.isp;
    let list = json!({"isp_id": isp, "revision": 1, "packages": [package]});
    home.service.done("RSAgentsUpdated", list).await;
    Job::walk_over(&home.service, Which::Routers).run(applies).await;
    let now = home.noted().await["effective_revision"].clone();
    home.adaptor.says(&home.device, home.applied(&now));
    assert!(home.headline().await.starts_with("protected: "));

    let defaults = json!({"hg-1": package["agent_package_id"]});
    let said = json!({"isp_id": isp, "revision": 2, "defaults": defaults});
    home.service.done("RSDefaultAgentsUpdated", said).await;
    let mut walk = Job::walk_over(&home.service, Which::Routers);
    let told = format!("on_its_way: job {} has it to do, for what holds has changed", walk.id);
    assert_eq!(home.headline().await, told);
    walk.run(applies).await;
    let raised = home.noted().await["effective_revision"].clone();
    assert_ne!(raised, now);
    home.adaptor.says(&home.device, home.applied(&raised));
    assert!(home.headline().await.starts_with("protected: "));
}
