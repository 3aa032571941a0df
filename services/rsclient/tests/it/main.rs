//! What rsclient does, seen from outside: records in; published records and stored documents out.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod accounts;
mod actions;
mod bad_input;
mod concurrency;
mod configurations;
mod devices;
mod jobs;
mod provisions;
mod service;
mod sync;
mod sync_ends;
mod users;
