//! What rsclient does, seen from outside: records and requests in; published records and stored documents out.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod accounts;
mod actions;
mod agents;
mod bad_input;
mod concurrency;
mod configurations;
mod devices;
mod documented;
mod effective;
mod face;
mod jobs;
#[cfg(feature = "failpoints")]
mod kills;
mod provenance;
mod provisions;
mod rest;
#[cfg(feature = "failpoints")]
mod rollout_kills;
mod rollout_requests;
mod rollouts;
mod routers;
mod service;
mod sync;
mod sync_ends;
mod sync_system;
mod system;
mod tenants;
mod trace;
mod users;
