//! The recovery pass on a real server.

use std::time::Duration;

use async_task::{
    At, Child, Limits, Next, Order, Result, Sent, Service, Task, TaskError, TaskStore as _, Tasks,
};
use events::{RequestId, Revision, SyncReply};
use mongodb::bson::doc;

use crate::{
    payload::Work,
    store::{database, parent, store},
};

/// A service that has nothing to do.
#[derive(Clone, Debug)]
pub(crate) struct Idle;

impl Service for Idle {
    type Payload = Work;

    async fn next(&self, _: &Task<Work>, _: u64) -> Result<Next> {
        Ok(Next::Nothing)
    }

    async fn remaining(&self, _: &Task<Work>) -> Result<u64> {
        Ok(0)
    }

    async fn ask(&self, _: &Task<Work>, _: &RequestId, _: &Child) -> Result<()> {
        Ok(())
    }

    async fn bulk(&self, _: &Task<Work>, _: &Child) -> Result<(Work, Vec<String>)> {
        Ok((Work::Bulk { again: false }, Vec::new()))
    }

    async fn send(&self, _: &Task<Work>, _: &[String], _: At) -> Result<Sent> {
        Ok(Sent::default())
    }

    async fn overtaken(
        &self,
        _: &Task<Work>,
        _: &[(String, Revision)],
        _: At,
    ) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn reply(&self, _: &Task<Work>, _: SyncReply) -> Result<()> {
        Ok(())
    }

    async fn pass_on(&self, _: &Task<Work>, _: &Order) -> Result<()> {
        Ok(())
    }

    async fn ended(&self, _: &Task<Work>) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_document_of_another_version_is_parked_and_the_others_go_on() {
    let database = database().await;
    let limits = Limits { window_total: 1_000_000, ..Limits::default() };
    let store = store(&database, &limits).await;
    let began_at = At::now();
    for number in 0..20 {
        store.insert(&parent(&format!("j-{number}"))).await.unwrap();
    }
    let newer = doc! { "$set": { "version": 99, "unheard_of": true, "wake_at": 0_i64 } };
    store.documents().update_one(doc! { "_id": "j-7" }, newer).await.unwrap();
    let garbage = doc! { "_id": "j-garbage", "wake_at": 0_i64, "version": 1, "state": "?" };
    store.documents().insert_one(garbage).await.unwrap();

    let tasks = Tasks::new(store.clone(), Idle, limits);
    assert_eq!(tasks.recover().await.unwrap(), 21);
    for number in (0..20).filter(|it| *it != 7) {
        let id = format!("j-{number}").parse().unwrap();
        let task = store.find(&id).await.unwrap().unwrap();
        assert!(task.is_tombstone(), "{task:?}");
    }
    for id in ["j-7", "j-garbage"] {
        let parked = store.documents().find_one(doc! { "_id": id }).await.unwrap().unwrap();
        let wake_at = At(parked.get_i64("wake_at").unwrap());
        assert!(wake_at >= began_at.plus(Duration::from_secs(60)), "{parked}");
        let found = store.find(&id.parse().unwrap()).await;
        assert!(matches!(found, Err(TaskError::Foreign(_))), "{found:?}");
    }
    let newer = store.documents().find_one(doc! { "_id": "j-7" }).await.unwrap().unwrap();
    assert_eq!(newer.get_i32("version").unwrap(), 99);
    assert_eq!(tasks.recover().await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_that_comes_after_its_cancel_does_not_start() {
    let database = database().await;
    let store = store(&database, &Limits::default()).await;
    let tasks = Tasks::new(store.clone(), Idle, Limits::default());
    let asked = Task { id: "j-1/accounts".parse().unwrap(), ..parent("j-1") };
    tasks.cancel(&"j-1".parse().unwrap(), vec![asked.clone()]).await.unwrap();
    let result = tasks.start(asked.clone()).await.unwrap();
    assert!(result.completed && !result.changed);
    let held = store.find(&asked.id).await.unwrap().unwrap();
    assert!(held.is_tombstone(), "{held:?}");
}
