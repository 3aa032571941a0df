//! What holds for a device, and what is said about it. Pure.

mod account;
mod builders;
mod configuration;
mod device;
mod effective;
mod sync;
mod user;
mod work;

pub use account::{Account, AccountState};
pub use builders::{Publication, changed_user, publication};
pub use configuration::Configuration;
pub use device::{Device, DeviceState, Published};
pub use effective::{Inputs, effective_device};
pub use sync::{FLAGS, flags_again, said_again, split_key};
pub use user::{User, UserState};
pub use work::{Manner, Source, SyncAccounts, SyncAccountsBulk, SyncSystem, Walk, Work};
