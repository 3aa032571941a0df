//! The simulator through a socket.

mod batch;
mod bodies;
mod client;
mod faults;
mod order;
mod service;
mod strictness;
