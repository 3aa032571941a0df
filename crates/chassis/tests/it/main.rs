//! What a service gets from the chassis, seen from outside.

#![allow(clippy::unwrap_used, reason = "a test ends where something cannot be unwrapped")]

mod actions;
mod http;
mod mongo;
mod process;
mod settings;
mod telemetry;
