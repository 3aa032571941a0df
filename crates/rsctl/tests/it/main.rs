//! The command as operators run it, on a real broker.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bytes;
mod dropping;
mod mailbox;
mod replaying;
mod usage;
