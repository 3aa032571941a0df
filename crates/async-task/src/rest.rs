//! What failed in a job, over HTTP, for services of the fleet alone.

use auth::{Caller, INTERNAL, Verifier};
use axum::{
    Router,
    extract::{
        FromRef, Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    routing::get,
};
use events::JobId;
use problem::{Json, Kind, Problem, no_such_method, no_such_path};
use serde::{Deserialize, Serialize};

use crate::{Failure, FailureClass, FailureQuery, Failures, TaskError};

/// Items of a page where the caller does not say how many.
const PAGE_ITEMS: usize = 50;
/// The most that a caller may say.
const PAGE_ITEMS_MAX: usize = 500;

#[derive(Clone)]
struct Asked {
    failures: Failures,
    verifier: Verifier,
}

impl FromRef<Asked> for Verifier {
    fn from_ref(asked: &Asked) -> Self {
        asked.verifier.clone()
    }
}

/// `GET /tasks/{job_id}/failures`: the failures of a job in the order of their keys, page by page, and how many there
/// are of each class over all pages. A job that nobody knows has none.
pub fn failures_router(failures: Failures, verifier: Verifier) -> Router {
    Router::new()
        .route("/tasks/{job_id}/failures", get(list))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(Asked { failures, verifier })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    class: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listed {
    classes: Vec<FailureClass>,
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Item {
    task: String,
    key: String,
    class: String,
    reason: String,
    attempts: u32,
    at: String,
}

impl From<Failure> for Item {
    fn from(it: Failure) -> Self {
        Self {
            task: it.task_id.into(),
            key: it.key,
            class: it.class,
            reason: it.reason,
            attempts: it.attempts,
            at: it.at.timestamp().to_string(),
        }
    }
}

async fn list(
    State(asked): State<Asked>,
    caller: Caller,
    job_id: Result<Path<String>, PathRejection>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Listed>, Problem> {
    caller.require(INTERNAL)?;
    let not_found = || Problem::new(Kind::NotFound, Kind::NotFound.title());
    let Path(job_id) = job_id.map_err(|_| not_found())?;
    let job_id: JobId = job_id.parse().map_err(|_| not_found())?;
    let wanted = wanted.map_err(|it| Problem::new(Kind::Invalid, it.body_text()))?;
    let Query(Wanted { class, limit, cursor: after }) = wanted;
    let limit = limit.unwrap_or(PAGE_ITEMS);
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        let range = format!("limit must be from 1 to {PAGE_ITEMS_MAX}");
        return Err(Problem::new(Kind::Invalid, range));
    }
    let query = FailureQuery { class, after, up_to: None, limit };
    let (classes, page) =
        tokio::try_join!(asked.failures.classes(&job_id), asked.failures.page(&job_id, &query))
            .map_err(unavailable)?;
    let next = page.items.last().filter(|_| page.more).map(|it| it.key.clone());
    let items = page.items.into_iter().map(Item::from).collect();
    Ok(Json(Listed { classes, items, next }))
}

fn unavailable(error: TaskError) -> Problem {
    Problem::new(Kind::Unavailable, format!("{:#}", anyhow::Error::new(error)))
}
