//! rsadaptor from outside: records in; calls of the backend, rows, replies and dead letters out.
#![allow(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod backend;
mod service;

mod answers;
mod applying;
mod batches;
mod flags;
mod gate;
mod gathering;
mod histories;
mod packages;
mod replies;
mod resources;
mod system;
mod wire;
