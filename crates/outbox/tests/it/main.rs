//! The relay on a real store and a real broker: whatever fails in between, what was written is told in the end.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod fixture;
mod relaying;
