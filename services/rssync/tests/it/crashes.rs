//! What a crash leaves, and what repairs it.

use events::{SyncCounts, SyncMode, SyncScope};
use mongodb::bson::{Document, doc};
use rssync::{domain::Opening, infrastructure::store::Taken};
use serde_json::json;

use crate::service::{Service, applied_of, completed};

fn opening(job_id: &str, replaces: bool) -> Opening {
    Opening {
        job_id: job_id.parse().unwrap(),
        scope: SyncScope { isp_id: Some("isp-1".parse().unwrap()), ..SyncScope::default() },
        mode: SyncMode::Delta,
        window: 9,
        rate_per_s: Some(5),
        requested_by: "ada".to_owned(),
        of_operator: true,
        replaces,
        redrives: 0,
    }
}

async fn database(service: &Service) -> mongodb::Database {
    let name = service.environment.iter().find(|(name, _)| name == "RSSYNC__MONGO__DATABASE");
    let client = mongodb::Client::with_uri_str(testkit::mongo_uri()).await.unwrap();
    client.database(&name.unwrap().1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_was_taken_by_one_who_died_becomes_its_job() {
    let service = Service::start().await;
    let job_id = testkit::unique("j");
    assert_eq!(service.app.store.scopes.take(&opening(&job_id, false)).await.unwrap(), Taken::Yes);
    service.says(&job_id, "rsclient: RSSyncSystem /system", 1).await;
    let job = service.job(&job_id).await;
    assert_eq!(
        (&job["mode"], &job["window"], &job["rate_per_s"], &job["requested_by"], &job["scope"]),
        (&json!("delta"), &json!(9), &json!(5), &json!("ada"), &json!({"isp_id": "isp-1"}))
    );
    // Whoever asks at that moment is told of it.
    let again = service.start_job(Some("isp-1"), json!({})).await;
    assert_eq!(again, job_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_by_one_who_died_cancels_what_was_in_its_way_and_begins_after_it() {
    let service = Service::start().await;
    let first = service.start_job(Some("isp-1"), json!({})).await;
    let second = testkit::unique("j");
    assert_eq!(service.app.store.scopes.take(&opening(&second, true)).await.unwrap(), Taken::Yes);
    service.says(&first, "rsclient: RSCancelSync", 1).await;
    service.reply(&completed(&first, "system", 1)).await;
    service.job_when(&first, |it| it["state"] == "cancelled").await;
    service.says(&second, "rsclient: RSSyncSystem /system", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_of_an_ended_job_is_given_back() {
    let service = Service::start().await;
    let job_id = service.start_job(Some("isp-1"), json!({})).await;
    service.answer_all(&job_id, applied_of(1, 1)).await;
    // As if the one who ended it had died before.
    let taken = service.app.store.scopes.take(&opening(&job_id, false)).await.unwrap();
    assert_eq!(taken, Taken::Yes);
    testkit::eventually("the scope is free", crate::service::LIMIT, async || {
        service.app.store.scopes.all().await.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_by_one_who_died_is_begun() {
    let service = Service::start().await;
    let job_id = service.start_job(Some("isp-1"), json!({})).await;
    service.answer_all(&job_id, SyncCounts { rejected: 1, ..applied_of(1, 2) }).await;
    let entry = Opening { redrives: 1, ..opening(&job_id, false) };
    assert_eq!(service.app.store.scopes.take(&entry).await.unwrap(), Taken::Yes);
    service.says(&job_id, "rsclient: RSSyncControl redrive /accounts~1", 1).await;
    service.reply(&completed(&job_id, "accounts~1", 3)).await;
    service.reply(&completed(&job_id, "agents~1", 0)).await;
    assert_eq!(service.job(&job_id).await["state"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_begins_anew_goes_on_with_every_job() {
    let mut service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    for (key, asks) in [
        ("system", "rsclient: RSSyncSystem /system"),
        ("agents", "rsagents: RSSyncAgentPackages /agents"),
        ("accounts", "rsclient: RSSyncAccounts /accounts"),
    ] {
        service = service.restart().await;
        service.says(&job_id, asks, 2).await;
        service.reply(&completed(&job_id, key, 1)).await;
    }
    let job = service.job(&job_id).await;
    assert_eq!((&job["state"], &job["counts"]["applied"]), (&json!("completed"), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_survives_the_one_who_was_told() {
    let service = Service::start().await;
    let job_id = service.start_job(None, json!({})).await;
    // The state is written, and nobody was told.
    let tasks = database(&service).await.collection::<Document>("async_tasks");
    let now = async_task::At::now().0;
    let cancelling = doc! { "$set": { "state": { "name": "cancelling", "since": now } }, "$inc": { "fence": 1 } };
    tasks.update_one(doc! { "_id": &job_id }, cancelling).await.unwrap();
    let service = service.restart().await;
    service.says(&job_id, "rsclient: RSCancelSync", 1).await;
    service.says(&job_id, "rsagents: RSCancelSync", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_version_is_left_alone_and_harms_no_other() {
    let service = Service::start().await;
    let newer = service.start_job(Some("isp-1"), json!({})).await;
    let tasks = database(&service).await.collection::<Document>("async_tasks");
    let change = doc! { "$set": { "version": 99, "payload.task_type": "SyncSome" } };
    tasks.update_one(doc! { "_id": &newer }, change).await.unwrap();
    let service = service.restart().await;
    let own = service.start_job(Some("isp-2"), json!({})).await;
    service.answer_all(&own, applied_of(1, 1)).await;
    assert_eq!(service.job(&own).await["state"], "completed");
    let outcome = service.reply(&completed(&newer, "system", 1)).await;
    assert_eq!(outcome, eventbus::Outcome::Skipped("no request is open"));
    let held = tasks.find_one(doc! { "_id": &newer }).await.unwrap().unwrap();
    assert_eq!(held.get_i32("version").unwrap(), 99);
}
