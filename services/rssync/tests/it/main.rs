//! What rssync does, seen from outside: requests and replies in; answers, published records and live events out.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod crashes;
mod documented;
mod failures;
mod peers;
mod process;
mod service;
mod starting;
mod steering;
mod steps;
mod tenants;
mod watching;
