//! rsevents from outside, on a real store and a real broker.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod activity;
mod bad_input;
mod events;
mod kills;
mod places;
mod process;
mod service;
