//! The bus on a real broker, seen from outside.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bus;
mod committing;
mod dead_letters;
mod membership;
mod ordering;
mod security;
mod wire;
