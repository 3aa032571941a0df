//! The command as operators run it, on a real broker and against a server that plays rssync.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bytes;
mod dropping;
mod mailbox;
mod replaying;
mod rollouts;
mod rssync;
mod sync_jobs;
mod sync_refusals;
mod sync_watch;
mod usage;
mod why;
