//! Agent packages, what is said of them, and the tasks that say it again.

mod package;
mod task;

pub use package::{Package, package_event};
pub use task::{
    AgentTask, SyncAgentPackages, SyncAgentPackagesBulk, is_job_task, redrive_of, sync_request,
    sync_task_id,
};
