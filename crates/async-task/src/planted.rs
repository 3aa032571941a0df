//! Bugs for the simulation of the protocol to find. They are not built into a service: the feature `planted` is one of
//! tests.

use std::cell::Cell;

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An end counts as heard before the parent was told.
    HeardBeforeTold,
    /// What a child tells once more when it ends is counted once more.
    ReplyFoldedTwice,
    /// How a record ended is counted as often as it is told.
    ResultFoldedTwice,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in this thread, in place of the one before.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted in this thread.
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
