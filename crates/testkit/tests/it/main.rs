//! The servers and what surrounds them, by using them.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod processes;
mod records;
