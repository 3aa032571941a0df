//! The bus on a real broker, seen from outside.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod batches;
mod breaker;
mod bus;
mod churn;
mod committing;
mod dead_letters;
mod destination;
mod gate;
mod kills;
mod lanes;
mod membership;
mod ordering;
mod restarts;
mod rounds;
mod security;
mod waiting;
mod watchdog;
mod wire;
mod wrong_records;
