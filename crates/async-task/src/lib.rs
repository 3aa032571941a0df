//! Work that outlives a message: tasks that open requests, count what becomes of them, and come to an end whatever
//! fails in between.
//!
//! Read it in this order:
//!
//! - [`Task`], what is stored: its payload, its open requests, the counts of those that were answered
//! - [`Children`] and [`Items`], the two kinds of requests: other tasks, opened little by little, and records, all sent
//!   at once; their methods are the transitions, which are pure
//! - [`TaskStore`] and [`Service`], what a task needs of the world
//! - [`Tasks`], the driver: reads a task, makes a transition, writes it where nobody else has meanwhile, and only then
//!   tells others
//! - [`AsyncTasks`], the store on MongoDB
//!
//! | the documents' name | here |
//! | --- | --- |
//! | `AsyncTask.start` | [`Tasks::start`], [`Tasks::start_bulk`] |
//! | `AsyncTask.dispatch_event` | [`on_answers`], [`Tasks::dispatch_replies`], [`Tasks::dispatch_results`] |
//! | `AsyncTask.validate_event_type` | [`Payload::validate_event_type`] |
//! | `AsyncTask.publish_requests` | [`Tasks::publish_requests`] |
//! | `AsyncTaskResult` | [`TaskResult`] |
//! | `AsyncTaskManager.insert_async_task`, `find_async_task_by_request`, `update_async_task`, `delete_async_task` | [`TaskStore::insert`], [`TaskStore::find_by_request`], [`TaskStore::update`], [`TaskStore::delete`] |
//! | `cancel_async_tasks` | [`Tasks::cancel`] |
//!
//! # Rules
//!
//! - The id of a task that was asked for is the id of the request that asked, so the task of a reply is found by its
//!   primary key: `<task id>/<key>`.
//! - Every transition is one write of one document, conditional on its `fence`, a counter that every write raises. Who
//!   was overtaken begins again with what is there now; who has won acts.
//! - A document holds open requests only. An answered one becomes a count, so a reply that comes again, too late or for
//!   nothing finds no request and changes nothing.
//! - Every unfinished task has a next wake-up, see [`Tasks::recover`]. Who moves it in the write that precedes an act
//!   holds it until then: the lease is `wake_at`, its token the `fence`.
//! - A finished task tells its parent until the parent is known to have heard, then stays as a tombstone.

mod answers;
mod children;
mod driver;
mod failures;
mod items;
mod limits;
mod orders;
#[cfg(feature = "planted")]
pub mod planted;
mod recovery;
mod rest;
mod store;
mod task;
mod wake;
mod window;
mod world;

pub use answers::{Answer, Answers, on_answers};
pub use children::{Child, Children, NewChild};
pub use driver::Tasks;
pub use failures::{FailureClass, FailurePage, FailureQuery, Failures};
pub use items::{Items, Parent};
pub use limits::{Budget, Limits};
pub use recovery::recover_until;
pub use rest::failures_router;
pub use store::AsyncTasks;
pub use task::{
    At, End, OVER_BUDGET, PAUSED, Payload, Requests, STALLED, State, Task, TaskResult, TaskType,
};
pub use window::{Holder, Window};
pub use world::{Failure, Next, Order, Result, Sent, Service, TaskError, TaskStore};
