//! How fast a job goes, as it went in the last seconds.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What is older says nothing about how fast it goes now.
const WINDOW: Duration = Duration::from_secs(15);
/// A rate of less is a guess.
const SPAN_MIN: Duration = Duration::from_millis(500);

/// Looks at a job: when, and how many of its entities had ended.
#[derive(Debug, Default)]
pub(crate) struct Pace(VecDeque<(Instant, u64)>);

impl Pace {
    pub(crate) fn look(&mut self, at: Instant, ended: u64) {
        // A redrive begins anew.
        if self.0.back().is_some_and(|it| it.1 > ended) {
            self.0.clear();
        }
        self.0.push_back((at, ended));
        while self.0.len() > 2 && self.0.front().is_some_and(|it| at - it.0 > WINDOW) {
            self.0.pop_front();
        }
    }

    /// Entities that end in a second.
    pub(crate) fn per_s(&self) -> Option<f64> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let span = last.0 - first.0;
        #[allow(clippy::cast_precision_loss, reason = "a rate is shown with few digits")]
        let ended = (last.1 - first.1) as f64;
        (span >= SPAN_MIN).then(|| ended / span.as_secs_f64())
    }

    /// How long `open` entities take.
    pub(crate) fn left(&self, open: u64) -> Option<Duration> {
        let per_s = self.per_s().filter(|it| *it > 0.0)?;
        #[allow(clippy::cast_precision_loss, reason = "a time is shown with few digits")]
        let seconds = open as f64 / per_s;
        Duration::try_from_secs_f64(seconds.ceil()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        pace.look(at(0), 0);
        assert_eq!((pace.per_s(), pace.left(10)), (None, None));
        pace.look(at(10), 1_000);
        assert_eq!(pace.per_s(), Some(100.0));
        assert_eq!(pace.left(150), Some(Duration::from_secs(2)));
        pace.look(at(20), 11_000);
        assert_eq!(pace.per_s(), Some(1_000.0));
        pace.look(at(40), 11_000);
        assert_eq!((pace.per_s(), pace.left(150)), (Some(0.0), None));
        pace.look(at(41), 5);
        assert_eq!(pace.per_s(), None);
        pace.look(at(42), 25);
        assert_eq!(pace.per_s(), Some(20.0));
    }
}
