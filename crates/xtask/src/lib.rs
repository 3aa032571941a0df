//! What a developer runs: the demo, every check, what is generated and what is covered.
//!
//! - [`demo`]: the whole fleet on real servers, fed, watched and compared with its source;
//! - [`checks`]: everything that CI runs, with the time of each stage;
//! - [`mod@bench`]: the event bus, the full sync and events from the homes under load, against their bars;
//! - [`chaos`]: a full sync or a rollout among processes that are killed;
//! - [`soak`]: a day of a small town, sent through the whole fleet;
//! - [`servers`]: a broker and a mongod for tests that are run by hand;
//! - [`generate`]: files that are made from the registry and the services' defaults;
//! - [`coverage`]: which names of the design have code and a test that ran.

pub mod bench;
pub mod chaos;
pub mod checks;
pub mod coverage;
pub mod demo;
mod full_sync;
pub mod generate;
mod rollouts;
pub mod servers;
pub mod soak;
mod tools;
