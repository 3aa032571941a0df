//! The service as a whole, with its consumer and its ports.

use chassis::Chassis;
use events::{SyncCounts, SyncStatus};
use rssync::settings::{DEFAULTS, Settings};
use serde_json::json;
use testkit::{eventually, jobs::Jobs, records::Sender, tokens::Issuer};

use crate::service::{Issuers, LIMIT, message, reply_of};

fn settings(environment: Vec<(String, String)>) -> anyhow::Result<Settings> {
    chassis::settings::load("rssync", DEFAULTS, None, environment)
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_from_the_broker_move_a_job_to_its_end() {
    let issuers = Issuers::new();
    let mut environment = issuers.environment();
    let own = [
        ("RSSYNC__KAFKA__BOOTSTRAP_SERVERS", testkit::kafka()),
        ("RSSYNC__MONGO__URI", testkit::mongo_uri()),
        ("RSSYNC__MONGO__DATABASE", testkit::unique("rssync")),
        ("RSSYNC__HTTP__LISTEN", "127.0.0.1:0".to_owned()),
    ];
    environment.extend(own.map(|(name, it)| (name.to_owned(), it)));
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    let chassis = Chassis::for_tests();
    let running = tokio::spawn(rssync::run(settings(environment).unwrap(), chassis.clone()));
    let address = eventually("it listens", LIMIT, async || chassis.address("http")).await;
    let operators: Issuer = issuers.operators;
    let jobs = Jobs::at(&address.to_string(), operators.into()).unwrap();
    let job = jobs.start(&json!({})).await.unwrap();
    let job_id = job["job_id"].as_str().unwrap().to_owned();
    let sender = Sender::new(&testkit::kafka()).unwrap();
    let counts = SyncCounts { total: 2, applied: 2, ..SyncCounts::default() };
    for key in ["system", "agents", "accounts"] {
        eventually("the step", LIMIT, async || {
            let step = jobs.get(&job_id).await.unwrap()["step"].as_str().unwrap().to_owned();
            (step.contains("agent") == (key == "agents")
                && step.contains("acc") == (key == "accounts"))
                .then_some(())
        })
        .await;
        let reply = reply_of(&job_id, key, SyncStatus::Completed, counts, None);
        let message = message(&reply);
        let headers = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", message.attributes.id.to_string()),
            ("ce_type", message.event_type.to_string()),
            ("ce_source", message.attributes.source.to_string()),
            ("ce_time", message.timestamp.to_string()),
            ("content-type", "application/json".to_owned()),
        ];
        let key = message.key.as_deref();
        sender.send_raw(&message.topic, key, &headers, &message.payload).await.unwrap();
    }
    let job = jobs.ends(&job_id, LIMIT).await.unwrap();
    assert_eq!((&job["state"], &job["counts"]["applied"]), (&json!("completed"), &json!(6)));
    chassis.stop.cancel();
    tokio::time::timeout(LIMIT, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_of_its_own_it_does_not_start() {
    let environment = vec![
        ("RSSYNC__MONGO__URI".to_owned(), testkit::mongo_uri()),
        ("RSSYNC__HTTP__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
    ];
    let ended = rssync::run(settings(environment).unwrap(), Chassis::for_tests()).await;
    let reason = format!("{:#}", ended.unwrap_err());
    assert_eq!(reason, "signing.private_key must be set: there is no key by default");
}

#[test]
fn the_defaults_are_settings() {
    let settings = settings(Vec::new()).unwrap();
    assert_eq!((settings.jobs.window_default, settings.jobs.window_max), (2_000, 4_000));
    let shown = chassis::settings::show(&settings).unwrap();
    assert!(shown.contains("private_key = \"\""), "{shown}");
}
