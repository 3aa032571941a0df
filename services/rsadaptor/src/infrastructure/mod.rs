//! What the service speaks with: Kafka, MongoDB, the backend, and whoever asks what it knows.

mod gather;
pub mod hs;
pub mod kafka;
pub mod problems;
pub mod rejections;
pub mod rest;
pub mod store;
