//! What the service can be told: one use case, one file, one function.
//!
//! Each writes what it was told, then publishes the devices that this touches; each may run twice from the top.

mod associate_package;
mod change_router_protection;
mod change_system;
mod count_rollout;
mod drive_rollouts;
mod explain_device;
mod failure;
mod publish_devices;
mod read;
mod release_package;
mod remove_account;
mod remove_device;
mod remove_user;
mod save_account;
mod save_agents;
mod save_configuration;
mod save_device;
mod save_provision;
mod save_report;
mod save_user;
mod send_devices;
mod send_system;
mod start_rollout;
mod steer_rollout;
mod sync;
mod trace_device;

pub use associate_package::{
    associate_package, find_association, tell_routers_due, tell_routers_until,
};
pub use change_router_protection::{change_router_protection, find_router_protection};
pub use change_system::{change_system, find_system};
pub use drive_rollouts::{drive_rollouts, drive_rollouts_until};
pub use explain_device::{Explanation, explain_device};
pub use failure::Failure;
pub use publish_devices::{publish_devices, publish_devices_of};
pub use release_package::release_package;
pub use remove_account::remove_account;
pub use remove_device::remove_device;
pub use remove_user::remove_user;
pub use save_account::save_account;
pub use save_agents::{remove_package, save_agents, save_default_agents, save_package};
pub use save_configuration::save_configuration;
pub use save_device::save_device;
pub use save_provision::save_provision;
pub use save_report::save_report;
pub use save_user::save_user;
pub use send_devices::{repair_devices, send_devices};
pub use send_system::{repair_system, send_system};
pub use start_rollout::{WantedRollout, start_rollout};
pub use steer_rollout::{RolloutPage, find_rollout, list_rollouts, steer_rollout};
pub use sync::{
    cancel_sync, control_sync, sync_accounts, sync_accounts_bulk, sync_system, walk_isp,
    walk_routers,
};
pub use trace_device::trace_device;

/// What a use case was asked with.
#[derive(Clone, Debug)]
pub struct Cause {
    /// The id of the message, from which the ids of the messages that it causes are derived.
    pub message_id: String,
}

/// Whether what was told has any effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It has, or had at an earlier attempt.
    Applied,
    /// Something newer is known.
    Superseded,
}
