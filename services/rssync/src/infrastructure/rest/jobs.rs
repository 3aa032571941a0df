//! Jobs: started, listed, shown, steered.

use auth::{Caller, SYNC_READ};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use events::JobId;
use openapi::{
    refusals::{Always, Conflict, Invalid, NotFound},
    schema::Id,
};
use problem::{Json, Kind, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{
    Asked, FailureQuery, JobOfPath, OrEmpty, PageQuery, StartBody, SteerBody, Steers,
    wants_representation,
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
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page {
    items: Vec<Job>,
    /// Where the next page begins, as `cursor`; nothing on the last one.
    next: Option<String>,
}

/// Starts a full sync.
///
/// Where one of the same scope runs already, `on_running` says what happens: it is returned, refused or replaced.
#[utoipa::path(
    post,
    path = "/subsystems/rs/full-sync",
    tag = "jobs",
    params((
        "Prefer" = Option<String>, Header,
        description = "With `return=representation`, the job is the answer's body (RFC 7240).",
    )),
    request_body(
        content = Option<StartBody>,
        description = "Without a body, or without a member, the defaults hold.",
        examples(
            ("an ISP" = (value = json!({"scope": {"isp_id": "isp-1"}}))),
            ("the routers of a model, gently" = (value = json!({
                "scope": {"isp_id": "isp-1", "model": "hg-8000"}, "mode": "delta", "window": 100,
                "rate_per_s": 10, "on_running": "replace",
            }))),
        ),
    ),
    responses(
        (status = 202, description = "It is started; the caller prefers to see it.", body = Job,
            headers(("Location" = String, description = "Where the job is."))),
        (status = 204, description = "It is started.",
            headers(("Location" = String, description = "Where the job is."))),
        Always, NotFound, Conflict, Invalid,
    ),
    security(("bearer" = ["sync:write"])),
)]
pub(super) async fn start(
    State(app): State<App>,
    Steers(caller): Steers,
    headers: HeaderMap,
    OrEmpty(body): OrEmpty<StartBody>,
) -> Result<Response, Problem> {
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

/// Lists jobs, the newest first.
#[utoipa::path(
    get,
    path = "/subsystems/rs/jobs",
    tag = "jobs",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Most items."),
        ("cursor" = Option<String>, Query, description = "What `next` said on the page before."),
    ),
    responses((status = 200, description = "A page of them.", body = Page), Always, Invalid),
    security(("bearer" = ["sync:read"])),
)]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Page>, Problem> {
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

/// Shows a job.
#[utoipa::path(
    get,
    path = "/subsystems/rs/jobs/{job_id}",
    tag = "jobs",
    params(("job_id" = Id, Path, description = "The job.")),
    responses((status = 200, description = "The job as it is.", body = Job), Always, NotFound),
    security(("bearer" = ["sync:read"])),
)]
pub(super) async fn show(
    State(app): State<App>,
    caller: Caller,
    JobOfPath(job_id): JobOfPath,
) -> Result<Json<Job>, Problem> {
    caller.require(SYNC_READ)?;
    let job = find_job(&app, &caller, &job_id).await.map_err(Failure::problem)?;
    Ok(Json(job_of(&job)))
}

/// Cancels, pauses or resumes a job, or sends once more what has failed of it.
#[utoipa::path(
    post,
    path = "/subsystems/rs/jobs/{job_id}",
    tag = "jobs",
    params(("job_id" = Id, Path, description = "The job.")),
    request_body(
        content = Option<SteerBody>,
        description = "An empty body cancels.",
        examples(
            ("pause" = (value = json!({"action": "pause"}))),
            ("resume" = (value = json!({"action": "resume"}))),
            ("cancel" = (value = json!({"action": "cancel"}))),
        ),
    ),
    responses(
        (status = 204, description = "It will be done."), Always, NotFound, Conflict, Invalid,
    ),
    security(("bearer" = ["sync:write"])),
)]
pub(super) async fn steer(
    State(app): State<App>,
    Steers(caller): Steers,
    JobOfPath(job_id): JobOfPath,
    OrEmpty(body): OrEmpty<SteerBody>,
) -> Result<StatusCode, Problem> {
    steer_job(&app, &caller, &job_id, body.action()).await.map_err(Failure::problem)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists what failed in a job, and how much of each class.
#[utoipa::path(
    get,
    path = "/subsystems/rs/jobs/{job_id}/failures",
    tag = "jobs",
    params(
        ("job_id" = Id, Path, description = "The job."),
        ("class" = Option<String>, Query, description = "Only those of this class, such as 422."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Most items."),
        ("cursor" = Option<String>, Query, description = "What `next` said on the page before."),
    ),
    responses(
        (status = 200, description = "A page of them.", body = FailurePage), Always, NotFound, Invalid,
    ),
    security(("bearer" = ["sync:read"])),
)]
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
