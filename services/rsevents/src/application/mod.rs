//! What the service is told: one use case, one file. Each may run twice from the top.

mod failure;
mod remove_account;
mod remove_device;
mod save_account;
mod save_devices;
mod save_provision;
mod take_events;

pub use failure::Failure;
pub use remove_account::remove_account;
pub use remove_device::remove_device;
pub use save_account::save_account;
pub use save_devices::save_devices;
pub use save_provision::save_provision;
pub use take_events::{Arrived, Fate, take_events};

/// What came of something that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It took effect.
    Applied,
    /// Something newer is known.
    Superseded,
}
