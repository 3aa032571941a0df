//! What the service can be asked and told: one use case, one file. Each may run twice from the top.

mod cancel_sync;
mod change_package;
mod create_package;
mod delete_package;
mod failure;
mod find_package;
mod set_defaults;
mod settle_isp;
mod start_bulk;
mod start_sync;
mod steer_sync;
mod take_replies;

pub use cancel_sync::cancel_sync;
pub use change_package::change_package;
pub use create_package::create_package;
pub use delete_package::{delete_package, finish_deletions, finish_deletions_until};
pub use failure::Failure;
pub use find_package::{find_package, list_packages};
pub use set_defaults::{find_defaults, set_defaults};
pub use settle_isp::settle_isp;
pub use start_bulk::start_bulk;
pub use start_sync::start_sync;
pub use steer_sync::steer_sync;
pub use take_replies::take_package_replies;
