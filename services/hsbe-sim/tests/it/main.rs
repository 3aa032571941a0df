//! The simulator through a socket.

mod batch;
mod bodies;
mod client;
mod faults;
mod kafka;
mod order;
mod service;
mod strictness;
mod tls;
mod town;
