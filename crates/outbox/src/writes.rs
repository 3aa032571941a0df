//! What the write of a change sets beside the change itself.

use mongodb::bson::{DateTime, Document, doc};

/// The members that raise the revision and mark the document as untold, for a `$set` stage of the one write that changes
/// it. The revision becomes the highest of its successor, the time in milliseconds and `at_least`.
pub fn raised(at_least: i64) -> Document {
    let next = doc! { "$add": [{ "$ifNull": ["$revision", 0_i64] }, 1_i64] };
    let now = DateTime::now();
    doc! {
        "revision": { "$max": [next, now.timestamp_millis(), at_least] },
        "told": { "$ifNull": ["$told", 0_i64] },
        "untold": true,
        "untold_since": { "$ifNull": ["$untold_since", now] },
    }
}
