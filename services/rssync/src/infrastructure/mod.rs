//! The outside world: REST, Kafka in and out, MongoDB, the services that are asked over HTTP.

pub mod kafka;
pub mod peers;
pub mod problems;
pub mod rest;
pub mod services;
pub mod store;
