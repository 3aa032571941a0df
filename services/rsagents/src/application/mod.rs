//! What the service can be asked and told: one use case, one file. Each may run twice from the top.

mod cancel_sync;
mod failure;
mod start_bulk;
mod start_sync;
mod steer_sync;

pub use cancel_sync::cancel_sync;
pub use failure::Failure;
pub use start_bulk::start_bulk;
pub use start_sync::start_sync;
pub use steer_sync::steer_sync;
