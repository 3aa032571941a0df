//! Who gets in, seen from outside: requests with tokens of every kind in; answers out.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod tokens;
