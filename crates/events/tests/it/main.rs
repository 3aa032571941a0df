//! Every event of every topic as it looks on the wire.

mod refusals;
mod registry;
mod snapshots;
