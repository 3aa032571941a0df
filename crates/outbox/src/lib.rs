//! What a person or a timer has changed is told to others, whatever becomes of the process that took the change.
//!
//! A request has no redelivery. So the write that changes a document marks it as untold, in the same write
//! ([`raised`]), and a relay ([`Outbox`]) tells others its present state and takes the mark away:
//!
//! | member | what it says |
//! | --- | --- |
//! | `revision` | order between two states, raised by every change |
//! | `told` | the last revision that the broker has acknowledged; 0 where nothing was ever told |
//! | `untold` | `true` while they differ, otherwise absent |
//! | `untold_since` | since when they differ |
//!
//! No message is stored and nothing is leased: two relays at once, or one that dies between the broker's
//! acknowledgement and the mark, only repeat a message that has the same id. The process that wrote tells at once
//! ([`Outbox::tell_soon`]); what it could not tell, a periodic pass of any process finds ([`Outbox::relay_until`]).

mod outbox;
mod soon;
mod writes;

pub use outbox::{Backlog, Outbox, TellError};
pub use writes::raised;
