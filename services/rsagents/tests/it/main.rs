//! What rsagents does, seen from outside: records and requests in; records, documents and answers out.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod adaptor;
mod backend;
mod bad_input;
mod cancelling;
mod defaults;
mod deleting;
mod documented;
mod failures;
mod jobs;
#[cfg(feature = "failpoints")]
mod kills;
mod listing;
mod packages;
mod resending;
mod rest;
mod rsclient;
mod service;
mod tenants;
