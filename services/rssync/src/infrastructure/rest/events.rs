//! Live progress: one event for each change of a job, until it ends.

use std::{convert::Infallible, time::Duration};

use auth::{Caller, SYNC_READ};
use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use events::JobId;
use futures_util::stream;
use openapi::{
    refusals::{Always, NotFound},
    schema::Id,
};
use problem::{Kind, Problem};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};

use super::body::JobOfPath;
use crate::{
    app::App,
    application::{Failure, find_job},
    domain::{Job, job_of},
};

/// A stream that has nothing to say says so this often, so that nobody on the way takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Somebody who watches a job.
struct Watch {
    app: App,
    caller: Caller,
    job_id: JobId,
    /// What was said last.
    said: Option<Job>,
    looks: tokio::time::Interval,
    ends_at: Instant,
    /// The place among those who may watch; given back at the end.
    _place: OwnedSemaphorePermit,
}

/// Watches a job until it ends.
///
/// Server-sent events of the name `job`, each with the whole job: one at once, one for each change, the last when the job
/// has ended. Comments come in between, so that a silent stream is known to live.
#[utoipa::path(
    get,
    path = "/subsystems/rs/jobs/{job_id}/events",
    tag = "jobs",
    params(("job_id" = Id, Path, description = "The job.")),
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream"),
        Always, NotFound,
    ),
    security(("bearer" = ["sync:read"])),
)]
pub(super) async fn watch(
    State(app): State<App>,
    caller: Caller,
    JobOfPath(job_id): JobOfPath,
) -> Result<Response, Problem> {
    caller.require(SYNC_READ)?;
    find_job(&app, &caller, &job_id).await.map_err(Failure::problem)?;
    let place = app.watchers.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::new(Kind::Unavailable, "too many watch jobs"))?;
    let limits = app.settings.streams;
    let mut looks = interval(Duration::from_millis(limits.look_every_ms.max(1)));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ends_at = Instant::now() + Duration::from_secs(limits.limit_seconds);
    let watch = Watch { app, caller, job_id, said: None, looks, ends_at, _place: place };
    let events = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok::<_, Infallible>(event), watch))
    });
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies hold answers back that they do not know to be streams.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}

impl Watch {
    /// The next change; nothing after the end of the job, of the time or of the service.
    async fn next(&mut self) -> Option<Event> {
        if self.said.as_ref().is_some_and(|it| it.state.has_ended()) {
            return None;
        }
        let stop = self.app.stop.clone();
        let changed = stop.run_until_cancelled(timeout_at(self.ends_at, self.change()));
        let job = changed.await?.ok()?;
        let event = Event::default().event("job").json_data(&job);
        self.said = Some(job);
        // A job has members that all have a form in JSON.
        event.ok()
    }

    async fn change(&mut self) -> Job {
        loop {
            self.looks.tick().await;
            match find_job(&self.app, &self.caller, &self.job_id).await {
                Ok(found) => {
                    let job = job_of(&found);
                    if self.said.as_ref().is_none_or(|it| is_news(it, &job)) {
                        return job;
                    }
                }
                // The store may be away for a moment; a stream that has begun has no status left to say so.
                Err(error) => tracing::debug!(%error, "a job that is watched could not be read"),
            }
        }
    }
}

/// Whether anything has changed but the time at which somebody looked after the job.
fn is_news(said: &Job, now: &Job) -> bool {
    *said != Job { updated_at: said.updated_at, ..now.clone() }
}
