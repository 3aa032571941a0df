//! Which documents this process is telling just now.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Most documents that are told at a time; what is changed beyond that is left to the next pass.
const AT_A_TIME_MAX: usize = 256;

/// Documents that are being told, each with whether it has changed meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Soon(Mutex<HashMap<String, bool>>);

impl Soon {
    /// Whether the caller is to tell this document; otherwise somebody is at it and looks once more, or there are too
    /// many.
    pub(crate) fn begins(&self, id: &str) -> bool {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(again) = under_way.get_mut(id) {
            *again = true;
            return false;
        }
        if under_way.len() >= AT_A_TIME_MAX {
            return false;
        }
        under_way.insert(id.to_owned(), false);
        true
    }

    /// Whether whoever has told this document is to do so once more, because it has changed meanwhile.
    pub(crate) fn goes_on(&self, id: &str) -> bool {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.get_mut(id) {
            Some(again) if *again => {
                *again = false;
                true
            }
            Some(_) | None => {
                under_way.remove(id);
                false
            }
        }
    }

    /// Leaves a document to the next pass.
    pub(crate) fn gives_up(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_document_that_is_being_told_are_told_once_afterwards() {
        let soon = Soon::default();
        assert!(soon.begins("a"));
        assert!(!soon.begins("a") && !soon.begins("a"));
        assert!(soon.begins("b"));
        assert!(soon.goes_on("a"));
        assert!(!soon.goes_on("a") && !soon.goes_on("b"));
        assert!(soon.begins("a"));
        soon.gives_up("a");
        assert!(soon.begins("a"));
    }

    #[test]
    fn there_is_an_end_to_what_is_told_at_a_time() {
        let soon = Soon::default();
        let begun = (0..1_000).filter(|n| soon.begins(&n.to_string())).count();
        assert_eq!(begun, AT_A_TIME_MAX);
    }
}
