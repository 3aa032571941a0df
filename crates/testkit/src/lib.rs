//! Real servers, whole fleets and fixtures for tests, the demo and nothing else.
//!
//! - [`servers`]: a mongod and a broker, found, downloaded or taken from the environment;
//! - [`fleet`]: the services as processes of their own, killed, restarted and waited for;
//! - [`jobs`], [`isp`], [`tokens`]: jobs over REST, what ISPs set, and what their callers sign;
//! - [`topics`], [`records`], [`bulk`]: the registry's topics on a broker, records in and out of them, few or very many;
//! - [`simulator`]: what the simulated HomeSecure backend holds and how it misbehaves;
//! - [`store`]: what mongod itself says, databases copied;
//! - [`documents`]: OpenAPI documents, and answers held against them;
//! - [`certificates`]: a certificate authority with a server and a client;
//! - [`eventually`]: waiting for a condition, with a deadline.

mod environment;
mod wait;

pub mod bulk;
pub mod certificates;
pub mod documents;
pub mod fleet;
pub mod isp;
pub mod jobs;
pub mod records;
pub mod servers;
pub mod settled;
pub mod simulator;
pub mod store;
pub mod tokens;
pub mod topics;

pub use environment::{kafka, mongo_uri, unique, variable};
pub use wait::{eventually, within};
