//! Tasks in a simulated world, and their store on a real server.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod answers;
mod payload;
mod recovery;
mod simulation;
mod store;
