//! Jobs by page, newest first.

use auth::Caller;
use events::JobId;

use super::Failure;
use crate::{app::App, domain::JobTask, infrastructure::store::PageOfJobs};

/// A page of jobs.
#[derive(Clone, Debug)]
pub struct FoundJobs {
    /// The jobs.
    pub jobs: Vec<JobTask>,
    /// Behind which job the next page begins; none where this is the last.
    pub next: Option<JobId>,
}

/// Those jobs of the caller that are older than `before`, at most `limit` of them.
///
/// # Errors
/// The store does not answer.
pub async fn list_jobs(
    app: &App,
    caller: &Caller,
    before: Option<JobId>,
    limit: u32,
) -> Result<FoundJobs, Failure> {
    // One more than wanted says whether there is another page.
    let wanted = PageOfJobs { isp_id: caller.isp_id.clone(), before, limit: limit + 1 };
    let mut jobs = app.store.jobs.page(&wanted).await?;
    let is_last = jobs.len() <= limit as usize;
    jobs.truncate(limit as usize);
    let next = jobs.last().filter(|_| !is_last).map(|it| it.job_id.clone());
    Ok(FoundJobs { jobs, next })
}
