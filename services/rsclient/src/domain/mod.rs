//! What holds for a device, and what is said about it. Pure.

mod account;
mod addresses;
mod agents;
mod builders;
mod configuration;
mod device;
mod effective;
mod sync;
mod system;
mod system_keys;
mod user;
mod work;

pub use account::{Account, AccountState};
pub use addresses::{network, server_address};
pub use agents::{
    Agents, Association, DefaultsOfModels, Group, ListedAgents, Package, SaidPackage, Software,
    target_package,
};
pub use builders::{Publication, changed_user, publication};
pub use configuration::Configuration;
pub use device::{Device, DeviceState, Published, ToldFlags};
pub use effective::{Inputs, effective_device};
pub use sync::{FLAGS, changed_flags, flags_again, said_again, split_key};
pub use system::{Expected, ProtectionChange, RouterProtection, SystemChange, SystemConfiguration};
pub use system_keys::{SystemDocument, entity_of_key};
pub use user::{User, UserState};
pub use work::{Manner, Source, SyncAccounts, SyncAccountsBulk, SyncSystem, Walk, Which, Work};
