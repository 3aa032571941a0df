//! What was rejected lately, in memory: for people who ask why a resource is not what it should be.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use events::Revision;
use jiff::Timestamp;

/// Of so many resources the last rejection is remembered; the ones that were first rejected go first.
const RESOURCES_MAX: usize = 10_000;

/// A record that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Its revision; 0 where the record cannot be read.
    pub revision: Revision,
    /// What the backend answered, where it was asked.
    pub http_status: Option<u16>,
    /// Why.
    pub error: String,
    /// When.
    pub at: Timestamp,
}

/// The last rejection of each resource. Cheap to clone; clones share what they remember.
#[derive(Clone, Debug, Default)]
pub struct Rejections(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    last: HashMap<String, Rejection>,
    /// The resources in the order in which they came in.
    order: VecDeque<String>,
}

impl Rejections {
    /// Remembers the rejection of a record about `resource`.
    pub fn note(&self, resource: &str, rejection: Rejection) {
        let mut it = self.remembered();
        if it.last.insert(resource.to_owned(), rejection).is_some() {
            return;
        }
        it.order.push_back(resource.to_owned());
        if it.order.len() > RESOURCES_MAX
            && let Some(oldest) = it.order.pop_front()
        {
            it.last.remove(&oldest);
        }
    }

    /// The last rejection of a record about `resource`.
    pub fn of(&self, resource: &str) -> Option<Rejection> {
        self.remembered().last.get(resource).cloned()
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_of_each_resource_is_remembered_for_so_many_resources() {
        let rejections = Rejections::default();
        let note = |resource: &str, error: &str| {
            let (revision, at) = (Revision::default(), Timestamp::UNIX_EPOCH);
            let error = error.to_owned();
            rejections.note(resource, Rejection { revision, http_status: None, error, at });
        };
        note("d-0", "first");
        note("d-0", "second");
        assert_eq!(rejections.of("d-0").map(|it| it.error).as_deref(), Some("second"));
        (1..RESOURCES_MAX).for_each(|it| note(&format!("d-{it}"), "one of many"));
        assert!(rejections.of("d-0").is_some());
        note("one more", "one of many");
        assert_eq!(rejections.of("d-0"), None);
        assert!(rejections.of("d-1").is_some());
    }
}
