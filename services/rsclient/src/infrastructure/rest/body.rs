//! What callers send, read member by member.

pub(super) use problem::body::{Body, boolean, nullable, text};
