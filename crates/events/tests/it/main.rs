//! Every event of every topic as it looks on the wire.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod refusals;
mod registry;
mod schedules;
mod snapshots;
