//! What holds for a device, and what is said about it. Pure.

mod account;
mod addresses;
mod agents;
mod builders;
mod configuration;
mod decisions;
mod device;
mod effective;
mod provenance;
mod rollout;
mod share;
mod sync;
mod system;
mod system_keys;
mod target;
mod trace;
mod user;
mod work;

pub use account::{Account, AccountState};
pub use addresses::{network, server_address};
pub use agents::{
    Agents, Association, DefaultsOfModels, Group, Led, ListedAgents, Package, SaidPackage,
};
pub use builders::{Publication, changed_user, publication};
pub use configuration::Configuration;
pub use decisions::{Decider, Decisions, Leaf, Switch};
pub use device::{Device, DeviceState, LastPublished, Published, ToldFlags};
pub use effective::{Absence, Inputs, Live, UserAbsence, effective_device};
pub use provenance::{
    Because, Explained, ExplainedRule, FilteringNow, LeafValue, LevelSaid, Overruled, Provenance,
    explained,
};
pub use rollout::{
    Act, Counts, Fact, Forgiven, Look, Plan, RefusedSteer, Rollout, RolloutEnd, RolloutState,
    Steer, Walked, WaveDone, WrongPlan,
};
pub use share::{Share, WHOLE_PER_MILLE, place};
pub use sync::{FLAGS, changed_flags, flags_again, puts_flags_in_doubt, said_again, split_key};
pub use system::{Expected, ProtectionChange, RouterProtection, SystemChange, SystemConfiguration};
pub use system_keys::{SystemDocument, entity_of_key};
pub use target::{Moved, Software, Target};
pub use trace::{
    Applied, Backend, Circuit, DeadLetter, Headline, Pending, PublishedAt, Rejected, Said,
    SetAside, Stored, SyncPart, SyncPartState, Trace, Verdict, WaitingRecord, trace,
};
pub use user::{User, UserState};
pub use work::{
    Manner, RolloutStep, Source, SyncAccounts, SyncAccountsBulk, SyncSystem, Walk, Which, Work,
};

use decisions::{act_rules, sorted};
