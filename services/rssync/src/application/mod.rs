//! Use cases: one file, one function.

mod failure;
mod find_job;
mod list_failures;
mod list_jobs;
mod start_job;
mod steer_job;
mod take_replies;
mod tend_scopes;

pub use failure::Failure;
pub use find_job::find_job;
pub use list_failures::{FailureCursor, WantedFailures, list_failures};
pub use list_jobs::{FoundJobs, list_jobs};
pub use start_job::start_job;
pub use steer_job::{Action, steer_job};
pub use take_replies::take_replies;
pub use tend_scopes::{tend_scopes, tend_scopes_until};
