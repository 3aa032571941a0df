//! Agent packages, what is said of them and of whole ISPs, and the tasks that say it again. Pure.

mod of_isp;
mod package;
mod task;

pub use of_isp::{AgentList, DefaultOfModel, Defaults, OfIsp};
pub use package::{
    BackendWord, Changed, Deleting, Package, PackageChange, State, Unchangeable, signed_text,
};
pub use task::{
    AgentTask, SyncAgentPackages, SyncAgentPackagesBulk, is_job_task, redrive_of, sync_request,
    sync_task_id,
};
