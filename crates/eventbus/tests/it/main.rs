//! The bus on a real broker, seen from outside.

mod bus;
mod committing;
mod dead_letters;
mod membership;
mod ordering;
mod security;
mod wire;
