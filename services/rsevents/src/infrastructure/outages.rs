//! When the store or the broker failed last: what waits for something to become known does not lose its time by that.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Outages(Arc<Mutex<Option<Instant>>>);

impl Outages {
    /// Something has failed just now.
    pub fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// For how long nothing has failed.
    pub fn over_for(&self) -> Duration {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map_or(Duration::MAX, |it| it.elapsed())
    }
}
