//! What a job is, how it goes on, and which jobs exclude each other: no I/O, no clock.

mod job;
mod scope;
mod start;
mod sync_all;

pub use job::{Job, JobState, Step};
pub use scope::{Opening, overlap};
pub use start::{OnRunning, Start};
pub use sync_all::{
    JobPayload, JobTask, Part, SyncAll, can_be_redriven, contradicts, hold_back, job_of, let_go,
    next_step, redrive, sync_request, task_id,
};
