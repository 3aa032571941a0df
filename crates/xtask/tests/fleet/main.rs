//! The whole fleet as processes on real servers: what it must withstand.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod agents;
mod bad_input;
mod full_sync;
mod golden;
mod histories;
mod history;
mod kills;
mod outage;
mod replay;
mod world;
