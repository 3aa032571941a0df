//! Jobs: started, listed, shown, steered.

use auth::{Caller, SYNC_READ, SYNC_WRITE};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use events::JobId;
use problem::{Json, Kind, Problem};
use serde::Serialize;

use super::body::{
    Asked, FailureQuery, JobOfPath, OrEmpty, PageQuery, StartBody, SteerBody, wants_representation,
};
use crate::{
    app::App,
    application::{
        Failure, WantedFailures, find_job, list_failures, list_jobs, start_job, steer_job,
    },
    domain::{Job, job_of},
    infrastructure::peers::FailurePage,
};

/// A page of a list.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

/// `POST /subsystems/rs/full-sync`
pub(super) async fn start(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    OrEmpty(body): OrEmpty<StartBody>,
) -> Result<Response, Problem> {
    caller.require(SYNC_WRITE)?;
    let wanted = body.start(&app.settings.jobs)?;
    let job = start_job(&app, &caller, wanted).await.map_err(Failure::problem)?;
    let job = job_of(&job);
    let place = location(&job.job_id);
    let mut response = match wants_representation(&headers) {
        true => (StatusCode::ACCEPTED, Json(job)).into_response(),
        false => StatusCode::NO_CONTENT.into_response(),
    };
    response.headers_mut().insert(header::LOCATION, place);
    Ok(response)
}

/// `GET /subsystems/rs/jobs`
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page<Job>>, Problem> {
    caller.require(SYNC_READ)?;
    let limit = query.limit()?;
    let before = match query.cursor.as_str() {
        "" => None,
        cursor => Some(cursor.parse::<JobId>().map_err(|_| not_a_cursor())?),
    };
    let found = list_jobs(&app, &caller, before, limit).await.map_err(Failure::problem)?;
    let items: Vec<Job> = found.jobs.iter().map(job_of).collect();
    let next = found.next.map(String::from);
    Ok(Json(Page { items, next }))
}

/// `GET /subsystems/rs/jobs/{job_id}`
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    JobOfPath(job_id): JobOfPath,
) -> Result<Json<Job>, Problem> {
    caller.require(SYNC_READ)?;
    let job = find_job(&app, &caller, &job_id).await.map_err(Failure::problem)?;
    Ok(Json(job_of(&job)))
}

/// `POST /subsystems/rs/jobs/{job_id}`
pub(super) async fn steer(
    State(app): State<App>,
    caller: Caller,
    JobOfPath(job_id): JobOfPath,
    OrEmpty(body): OrEmpty<SteerBody>,
) -> Result<StatusCode, Problem> {
    caller.require(SYNC_WRITE)?;
    steer_job(&app, &caller, &job_id, body.action()).await.map_err(Failure::problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /subsystems/rs/jobs/{job_id}/failures`
pub(super) async fn failures(
    State(app): State<App>,
    caller: Caller,
    JobOfPath(job_id): JobOfPath,
    Asked(query): Asked<FailureQuery>,
) -> Result<Json<FailurePage>, Problem> {
    caller.require(SYNC_READ)?;
    let wanted = WantedFailures {
        class: Some(query.class.clone()).filter(|it| !it.is_empty()),
        limit: query.limit()?,
        cursor: query.cursor.parse().map_err(|()| not_a_cursor())?,
    };
    let page = list_failures(&app, &caller, &job_id, &wanted).await.map_err(Failure::problem)?;
    Ok(Json(page))
}

fn not_a_cursor() -> Problem {
    Problem::new(Kind::Invalid, "cursor must be what `next` said")
}

fn location(job_id: &JobId) -> HeaderValue {
    HeaderValue::try_from(format!("/subsystems/rs/jobs/{job_id}"))
        .expect("an id has no characters that a header cannot have")
}
