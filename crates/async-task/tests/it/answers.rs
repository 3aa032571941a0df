//! Answers that are not for the task whose requests they name.

use async_task::{AsyncTasks, Limits, TaskResult, TaskStore as _, Tasks};
use events::{AppliedReply, ReplyStatus, RequestId, Revision};
use mongodb::bson::doc;

use crate::{
    payload::{RECORD_REPLY, TASK_REPLY, Work},
    recovery::Idle,
    store::{bulk, database, store},
};

const UNCHANGED: TaskResult = TaskResult { completed: false, changed: false };

/// A bulk that waits for one record, and the tasks of a process that did not write it.
async fn waiting() -> (AsyncTasks<Work>, Tasks<AsyncTasks<Work>, Idle>, RequestId) {
    let limits = Limits::default();
    let database = database().await;
    let bulk = bulk("j-1/a/0", vec!["d-1".to_owned()]);
    assert!(store(&database, &limits).await.insert(&bulk).await.unwrap());
    let store = store(&database, &limits).await;
    (store.clone(), Tasks::new(store, Idle, limits), bulk.id)
}

fn applied(request_id: &str) -> AppliedReply {
    AppliedReply {
        request_id: request_id.parse().unwrap(),
        job_id: Some("j-1".parse().unwrap()),
        resource: "d-1".to_owned().try_into().unwrap(),
        revision: Revision::try_from(1).unwrap(),
        held_revision: None,
        status: ReplyStatus::Applied,
        http_status: Some(204),
        error: None,
    }
}

#[tokio::test]
async fn an_event_that_cannot_answer_a_task_changes_nothing() {
    let (store, tasks, id) = waiting().await;
    let answers = [applied("j-1/a/0/d-1")];
    let before = store.find(&id).await.unwrap();
    let result = tasks.dispatch_results(&id, TASK_REPLY, &answers).await.unwrap();
    assert_eq!(result, UNCHANGED);
    assert_eq!(store.find(&id).await.unwrap(), before);
    let result = tasks.dispatch_results(&id, RECORD_REPLY, &answers).await.unwrap();
    assert_eq!(result, TaskResult { completed: true, changed: true });
}

#[tokio::test]
async fn an_answer_to_a_task_of_another_version_is_no_failure_and_changes_nothing() {
    let (store, tasks, id) = waiting().await;
    let of_id = doc! { "_id": id.as_str() };
    let newer = doc! { "$set": { "version": 99, "unheard_of": true } };
    store.documents().update_one(of_id.clone(), newer).await.unwrap();
    let before = store.documents().find_one(of_id.clone()).await.unwrap();
    let results = [applied("j-1/a/0/d-1")];
    assert_eq!(tasks.dispatch_results(&id, RECORD_REPLY, &results).await.unwrap(), UNCHANGED);
    assert_eq!(tasks.dispatch_replies(&id, TASK_REPLY, &[]).await.unwrap(), UNCHANGED);
    assert_eq!(store.documents().find_one(of_id).await.unwrap(), before);
}
