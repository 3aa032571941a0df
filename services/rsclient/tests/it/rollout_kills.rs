//! A process that is killed between any two steps of a rollout is followed by another one.

use std::{collections::BTreeSet, process::Command};

use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use serde_json::json;
use testkit::{
    eventually,
    servers::{Process, RunFolder},
};

use crate::{
    kills::skip_to_end,
    rest::{LIMIT, trust},
    rollouts::{ROLLOUTS, Town},
};

/// A process on the store of the town that drives rollouts, with these fail points.
fn start(town: &Town, folder: &RunFolder, failpoints: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsclient"));
    command.env("RSCLIENT__KAFKA__BOOTSTRAP_SERVERS", testkit::kafka());
    command.env("RSCLIENT__MONGO__URI", testkit::mongo_uri());
    command.env("RSCLIENT__MONGO__DATABASE", town.rest.service.database.name());
    command.env("RSCLIENT__HTTP__LISTEN", "127.0.0.1:0");
    command.env("RSCLIENT__ADMIN__LISTEN", "127.0.0.1:0");
    command.env("RSCLIENT__ROLLOUTS__LOOK_EVERY_MS", "20");
    command.envs(trust()).env("FAILPOINTS", failpoints);
    Process::start("rsclient", &mut command, &folder.log("rsclient")).unwrap()
}

/// Runs a process on the store of the town until it dies at `point`.
async fn dies(town: &Town, point: &str) {
    let folder = RunFolder::new().unwrap();
    let mut process = start(town, &folder, &format!("rsclient::{point}=return"));
    let status = process.wait(LIMIT).await.unwrap();
    assert!(!status.success(), "{point}: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_goes_on_whenever_a_process_dies() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    skip_to_end().await;
    // A rollout that somebody was at when he died is left alone for a while: all wait at the same time.
    let cases = [
        ("starting", "rollout-acted", "completed", "b"),
        ("raising", "rollout-raised", "completed", "b"),
        ("raising", "rollout-acted", "completed", "b"),
        ("walking", "rollout-claimed", "completed", "b"),
        ("finishing", "rollout-led", "completed", "b"),
        ("aborting", "rollout-withdrawn", "aborted", "a"),
        ("completed", "rollout-acted", "completed", "b"),
    ];
    join_all(cases.map(|(state, point, end, package)| survives(state, point, end, package))).await;
}

/// A process dies at `point` while the rollout is in this state; it ends so, and all routers run this package.
async fn survives(state: &str, point: &str, end: &str, package: &str) {
    let mut town = Town::start(6).await;
    let id = town.begin(json!({"waves_per_mille": [500, 1000]})).await;
    match state {
        "starting" => (),
        "aborting" => {
            town.until(&id, &["walking"], |_| true).await;
            let abort = json!({"action": "abort"});
            assert_eq!(town.post(&format!("{ROLLOUTS}/{id}"), &abort).await.status, 204);
        }
        other => drop(town.until(&id, &[other], |_| true).await),
    }
    dies(&town, point).await;
    let ended = town.until(&id, &["completed", "aborted", "failed"], |_| true).await;
    assert_eq!(ended["state"], json!(end), "{state} {point}: {ended}");
    let told: BTreeSet<String> = town.told().await.into_values().collect();
    assert_eq!(told, [town.rest.service.id(package)].into(), "{state} {point}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pauses_a_raise_that_was_cut_off_is_shown_the_share_that_holds() {
    let mut town = Town::start(20).await;
    let id = town.begin(json!({"waves_per_mille": [500, 1000]})).await;
    town.until(&id, &["raising"], |_| true).await;
    dies(&town, "rollout-raised").await;
    let pause = json!({"action": "pause"});
    assert_eq!(town.post(&format!("{ROLLOUTS}/{id}"), &pause).await.status, 204);
    let reason = town.shown(&id).await["reason"].clone();
    let wanted = "the share is being raised to 500 of a thousand; then it is paused: by testkit";
    assert_eq!(reason, json!(wanted));
    let paused = town.until(&id, &["paused"], |_| true).await;
    assert_eq!((&paused["share_per_mille"], &paused["wave"]), (&json!(500), &json!(1)));
    for _ in 0..5 {
        let shown = town.step(&id, |_| true).await;
        assert_eq!(shown["state"], json!("paused"), "{shown}");
    }
    assert_eq!(
        town.post(&format!("{ROLLOUTS}/{id}"), &json!({"action": "resume"})).await.status,
        204
    );
    let ended = town.until(&id, &["completed", "aborted", "failed"], |_| true).await;
    assert_eq!(ended["state"], json!("completed"), "{ended}");
}

/// How often a rollout was written.
async fn fence(town: &Town, id: &str) -> i64 {
    let rollouts = town.rest.service.database.collection::<Document>("rollouts");
    let rollout = rollouts.find_one(doc! { "_id": id }).await.unwrap().unwrap();
    rollout.get_i64("fence").unwrap()
}

/// Waits until somebody has written it.
async fn is_past(town: &Town, id: &str, before: i64) {
    let is_past = async || (fence(town, id).await > before).then_some(());
    eventually("the other process is at it", LIMIT, is_past).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stood_still_while_he_ended_it_ends_nothing_that_was_paused_meanwhile() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    skip_to_end().await;
    let mut town = Town::start(6).await;
    let id = town.begin(json!({"waves_per_mille": [1000]})).await;
    town.until(&id, &["finishing"], |_| true).await;
    let (folder, claimed) = (RunFolder::new().unwrap(), fence(&town, &id).await);
    // For longer than a rollout is left to who looks at it.
    let mut process = start(&town, &folder, "rsclient::rollout-leading=1*sleep(15000)");
    is_past(&town, &id, claimed).await;
    town.list(2, &["a"]).await;
    let paused = town.until(&id, &["paused", "completed"], |_| true).await;
    assert_eq!(paused["state"], json!("paused"), "{paused}");
    // Only the other process is at it now: it has gone on.
    let paused = fence(&town, &id).await;
    is_past(&town, &id, paused).await;
    process.ask_to_end();
    assert!(process.wait(LIMIT).await.unwrap().success());
    let abort = json!({"action": "abort"});
    assert_eq!(town.post(&format!("{ROLLOUTS}/{id}"), &abort).await.status, 204);
    let ended = town.until(&id, &["completed", "aborted", "failed"], |_| true).await;
    assert_eq!(ended["state"], json!("aborted"), "{ended}");
    town.list(3, &["a", "b"]).await;
    let nobody = json!({"routers": [], "groups": []});
    assert_eq!(town.rest.get(&town.path("b")).await.body, nobody);
}
