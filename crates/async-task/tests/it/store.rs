//! The store of tasks on a real server.

use std::sync::Mutex;

use async_task::{
    AsyncTasks, At, Child, Failure, FailureQuery, Limits, Requests, Task, TaskStore as _,
};
use chassis::mongo::{MongoSettings, connect};
use events::{JobId, SyncCounts};
use futures_util::future::join_all;
use mongodb::{
    Database,
    bson::{Document, doc, serialize_to_vec},
};

use crate::payload::Work;

pub(crate) async fn database() -> Database {
    chassis::tls::install_provider();
    let settings = MongoSettings {
        uri: testkit::mongo_uri().as_str().into(),
        database: testkit::unique("async-task"),
        server_selection_seconds: 10,
        max_connections: 20,
    };
    connect(&settings).await.unwrap()
}

/// A process's handle: what one remembers, another does not know.
pub(crate) async fn store(database: &Database, limits: &Limits) -> AsyncTasks<Work> {
    AsyncTasks::open(database, limits).await.unwrap()
}

pub(crate) fn parent(id: &str) -> Task<Work> {
    let payload = Work::Walk { to: 0, window: 4_000 };
    let (id, job_id) = (id.parse().unwrap(), id.parse().unwrap());
    Task::parent(id, job_id, payload, At::now(), &Limits::default())
}

pub(crate) fn bulk(id: &str, keys: Vec<String>) -> Task<Work> {
    let payload = Work::Bulk { again: false };
    let job_id = "j-1".parse().unwrap();
    Task::bulk(id.parse().unwrap(), job_id, payload, keys, At::now(), &Limits::default())
}

async fn raw(store: &AsyncTasks<Work>, id: &str) -> Document {
    store.documents().find_one(doc! { "_id": id }).await.unwrap().unwrap()
}

#[tokio::test]
async fn only_the_first_task_of_an_id_is_kept() {
    let store = store(&database().await, &Limits::default()).await;
    let first = parent("j-1");
    assert!(store.insert(&first).await.unwrap());
    let second = Task { payload: Work::Job { window: 7 }, ..first.clone() };
    assert!(!store.insert(&second).await.unwrap());
    assert_eq!(store.find(&first.id).await.unwrap(), Some(first));
}

#[tokio::test]
async fn who_has_read_an_older_task_does_not_write_and_sees_the_newer_one_then() {
    let database = database().await;
    let one = store(&database, &Limits::default()).await;
    let two = store(&database, &Limits::default()).await;
    one.insert(&bulk("j-1/a/0", vec!["d-1".to_owned()])).await.unwrap();
    let id = "j-1/a/0".parse().unwrap();
    let mut in_one = one.find_by_request(&id).await.unwrap().unwrap();
    let mut in_two = two.find_by_request(&id).await.unwrap().unwrap();
    in_two.counts.applied = 1;
    assert!(two.update(&mut in_two).await.unwrap());
    // What a process remembers may be old: the write shows it.
    assert_eq!(one.find_by_request(&id).await.unwrap(), Some(in_one.clone()));
    assert!(!one.update(&mut in_one).await.unwrap());
    assert_eq!(one.find_by_request(&id).await.unwrap(), Some(in_two.clone()));
    one.delete(&in_one).await.unwrap();
    assert_eq!(one.find(&id).await.unwrap(), Some(in_two.clone()));
    one.delete(&in_two).await.unwrap();
    assert_eq!(one.find(&id).await.unwrap(), None);
}

#[tokio::test]
async fn no_write_of_many_writers_is_lost() {
    let (database, limits) = (database().await, Limits::default());
    let stores = join_all((0..4).map(|_| store(&database, &limits))).await;
    stores[0].insert(&parent("j-1")).await.unwrap();
    let id = "j-1".parse().unwrap();
    let write = |number: usize| {
        let (store, id) = (&stores[number % 4], &id);
        async move {
            loop {
                let mut task = store.find(id).await.unwrap().unwrap();
                task.counts.total += 1;
                if store.update(&mut task).await.unwrap() {
                    return;
                }
            }
        }
    };
    join_all((0..40).map(write)).await;
    let task = stores[0].find(&id).await.unwrap().unwrap();
    assert_eq!((task.counts.total, task.fence), (40, 41));
}

#[tokio::test]
async fn the_grants_of_all_holders_never_exceed_the_window() {
    const TOTAL: u64 = 100;
    let database = database().await;
    let limits = Limits { window_total: TOTAL, ..Limits::default() };
    let stores = join_all((0..3).map(|_| store(&database, &limits))).await;
    let open = Mutex::new(vec![0_u64; 6]);
    let most = Mutex::new(0);
    let hold = |holder: usize| {
        let (store, open, most) = (&stores[holder % 3], &open, &most);
        async move {
            let mut random = fastrand::Rng::with_seed(holder as u64);
            for fence in 1..30 {
                let has = {
                    let mut open = open.lock().unwrap();
                    open[holder] = random.u64(0..=open[holder]);
                    open[holder]
                };
                let mut task = Task { fence, ..parent(&format!("j-{holder}")) };
                open_records(&mut task, has);
                let granted = store.hold(&task, random.u64(1..80), At::now()).await.unwrap();
                let mut open = open.lock().unwrap();
                open[holder] = granted;
                let sum = open.iter().sum::<u64>();
                assert!(sum <= TOTAL, "{open:?}");
                let mut most = most.lock().unwrap();
                *most = sum.max(*most);
            }
        }
    };
    join_all((0..6).map(hold)).await;
    assert!(*most.lock().unwrap() > TOTAL / 2, "{most:?}");
    for holder in 0..6 {
        let task = Task { fence: 30, ..parent(&format!("j-{holder}")) };
        assert_eq!(stores[0].hold(&task, 0, At::now()).await.unwrap(), 0);
    }
    let all = Task { fence: 31, ..parent("j-0") };
    assert_eq!(stores[0].hold(&all, 1_000, At::now()).await.unwrap(), TOTAL);
}

/// Has a task wait for a child with so many records.
fn open_records(task: &mut Task<Work>, count: u64) {
    let Requests::Children(children) = &mut task.requests else { return };
    let child = Child {
        size: count,
        after: None,
        up_to: None,
        counts: SyncCounts::default(),
        reason: None,
        expires_at: At::now(),
    };
    children.open.insert("000000".to_owned(), child);
}

#[tokio::test]
async fn a_bulk_of_five_hundred_long_keys_is_no_large_document() {
    let store = store(&database().await, &Limits::default()).await;
    let keys = (0..500).map(|it| format!("{it:064}")).collect();
    let job = "j-0198a2c4-7b1e-7c3d-9f00-0123456789ab";
    let mut task = bulk(&format!("{job}/accounts~12/000017"), keys);
    task.job_id = job.parse().unwrap();
    store.insert(&task).await.unwrap();
    let size = |it: &Document| serialize_to_vec(it).unwrap().len();
    let open = size(&raw(&store, task.id.as_str()).await);
    let Requests::Items(items) = &mut task.requests else { return };
    items.expired = std::mem::take(&mut items.open);
    store.update(&mut task).await.unwrap();
    let expired = size(&raw(&store, task.id.as_str()).await);
    assert!((32_000..=64 * 1_024).contains(&open), "{open}");
    assert!((32_000..=64 * 1_024).contains(&expired), "{expired}");
}

#[tokio::test]
async fn the_end_of_a_task_is_forgotten_some_day_and_is_not_looked_at_again() {
    let limits = Limits { tombstone_days: 3, ..Limits::default() };
    let store = store(&database().await, &limits).await;
    let mut task = parent("j-1");
    store.insert(&task).await.unwrap();
    let running = raw(&store, "j-1").await;
    assert!(running.contains_key("wake_at") && !running.contains_key("expire_at"), "{running}");
    assert_eq!(store.of_job(&task.job_id).await.unwrap(), [task.id.clone()]);
    let now = At::now();
    task = Task { fence: task.fence, ..task.unborn(now) };
    assert!(store.update(&mut task).await.unwrap());
    let ended = raw(&store, "j-1").await;
    assert!(!ended.contains_key("wake_at"), "{ended}");
    let expire_at = ended.get_datetime("expire_at").unwrap().timestamp_millis();
    assert_eq!(expire_at, now.0 + 3 * 86_400_000);
    assert_eq!(store.of_job(&task.job_id).await.unwrap(), []);
    assert_eq!(store.due(At(i64::MAX), 10).await.unwrap(), []);
    store.postpone(&task.id, At(7)).await.unwrap();
    assert!(!raw(&store, "j-1").await.contains_key("wake_at"));
    assert_eq!(store.find(&task.id).await.unwrap(), Some(task));
}

#[tokio::test]
async fn tasks_are_due_in_the_order_of_their_time() {
    let store = store(&database().await, &Limits::default()).await;
    for (id, wake_at) in [("j-1", 300), ("j-2", 100), ("j-3", 200), ("j-4", 400)] {
        let task = Task { wake_at: Some(At(wake_at)), ..parent(id) };
        store.insert(&task).await.unwrap();
    }
    let due = |now, limit| {
        let store = store.clone();
        async move {
            let due = store.due(At(now), limit).await.unwrap();
            due.iter().map(ToString::to_string).collect::<Vec<_>>()
        }
    };
    assert_eq!(due(300, 10).await, ["j-2", "j-3", "j-1"]);
    assert_eq!(due(1_000, 2).await, ["j-2", "j-3"]);
    store.postpone(&"j-2".parse().unwrap(), At(350)).await.unwrap();
    assert_eq!(due(300, 10).await, ["j-3", "j-1"]);
    // What is later anyway stays so.
    store.postpone(&"j-4".parse().unwrap(), At(5)).await.unwrap();
    assert_eq!(due(399, 10).await, ["j-3", "j-1", "j-2"]);
}

fn failure(job_id: &str, task_id: &str, key: &str, class: &str) -> Failure {
    Failure {
        job_id: job_id.parse().unwrap(),
        task_id: task_id.parse().unwrap(),
        key: key.to_owned(),
        class: class.to_owned(),
        reason: "$malformed".to_owned(),
        attempts: 1,
        at: At(1_700_000_000_000),
    }
}

#[tokio::test]
async fn failures_are_paged_grouped_counted_and_forgotten() {
    let database = database().await;
    let store = store(&database, &Limits::default()).await;
    let job: JobId = "j-1".parse().unwrap();
    let kept: Vec<Failure> = (0..25)
        .map(|it| {
            let class = if it % 5 == 0 { "409" } else { "422" };
            failure("j-1", "j-1/accounts/000000", &format!("d-{it:02}"), class)
        })
        .collect();
    store.keep_failures(&kept).await.unwrap();
    // The same once more changes nothing.
    store.keep_failures(&kept[3..9]).await.unwrap();
    store.keep_failures(&[failure("j-2", "j-2/a/0", "d-00", "500")]).await.unwrap();
    let failures = store.failures();

    let query = FailureQuery { limit: 10, ..FailureQuery::default() };
    let first = failures.page(&job, &query).await.unwrap();
    assert_eq!((&first.items[..], first.more), (&kept[..10], true));
    let after = first.items.last().map(|it| it.key.clone());
    let query = FailureQuery { after: after.clone(), limit: 15, ..FailureQuery::default() };
    let rest = failures.page(&job, &query).await.unwrap();
    assert_eq!((&rest.items[..], rest.more), (&kept[10..], false));
    let query = FailureQuery { class: Some("409".to_owned()), limit: 10, ..query };
    let of_class = failures.page(&job, &query).await.unwrap();
    let keys: Vec<_> = of_class.items.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["d-10", "d-15", "d-20"]);
    let up_to = Some("d-12".to_owned());
    let query = FailureQuery { after: after.clone(), up_to, limit: 10, class: None };
    assert_eq!(failures.page(&job, &query).await.unwrap().items, kept[10..=12]);
    assert_eq!(failures.count(&job, None).await.unwrap(), 25);
    assert_eq!(failures.count(&job, after.as_deref()).await.unwrap(), 15);
    let classes = failures.classes(&job).await.unwrap();
    let classes: Vec<_> = classes.iter().map(|it| (it.class.as_str(), it.count)).collect();
    assert_eq!(classes, [("422", 20), ("409", 5)]);

    // Another task's attempt counts.
    let again = failure("j-1", "j-1/accounts~1/000000", "d-01", "500");
    store.keep_failures(std::slice::from_ref(&again)).await.unwrap();
    let query = FailureQuery { class: Some("500".to_owned()), limit: 9, ..FailureQuery::default() };
    let found = failures.page(&job, &query).await.unwrap().items;
    assert_eq!(found, [Failure { attempts: 2, ..again }]);

    store.forget_failures(&job, &["d-01", "d-02", "d-99"]).await.unwrap();
    assert_eq!(failures.count(&job, None).await.unwrap(), 23);
    assert_eq!(failures.count(&"j-2".parse().unwrap(), None).await.unwrap(), 1);
}
