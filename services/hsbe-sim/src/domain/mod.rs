//! What a backend holds and how it answers, without a network.

mod backend;
mod document;
mod fault;
mod refusal;
mod town;

pub use backend::{Backend, Change, Entry, Page, Stale, Summary, Write};
pub use document::{Checked, Document};
pub use fault::{Action, Blow, Fault, FaultState, Faults, When};
pub use refusal::Refusal;
pub use town::{
    Bad, BadShares, Counts, Installing, Mix, Move, Plan, Resident, Role, Router, Sending, Town,
    TownState,
};
