//! What rsagents does, seen from outside: records and requests in; records, documents and answers out.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod adaptor;
mod bad_input;
mod cancelling;
mod failures;
mod jobs;
mod resending;
mod service;
