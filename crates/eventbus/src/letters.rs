//! What was set aside: dead letters as they lie in their topics, and what became of them.
//!
//! - [`Letter`], [`Mark`]: what a record of a dead-letter topic is
//! - [`extent`], [`read`]: a topic from one end to the other
//! - [`DeadLetters`]: what became of one key, for a service that is asked

mod letter;
mod of_key;
mod reading;

pub use letter::{Entry, Header, Letter, Mark, Place, State};
pub use of_key::{DeadLetters, LettersOfKey, LookLimits};
pub use reading::{Extent, extent, read};
