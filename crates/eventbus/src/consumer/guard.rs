//! The breaker before the dead letters: a bad deploy must not empty a topic into them.

use std::collections::VecDeque;

/// Over how many records the share of dead letters is taken.
const SAMPLE: usize = 1_000;

/// How many dead letters are too many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuardLimits {
    /// So many without a record between them that was handled.
    pub(crate) run_max: u32,
    /// This share of the last thousand records.
    pub(crate) share_max: f64,
}

/// Counts how records end; stops the consumer when too many of them are dead letters.
#[derive(Debug)]
pub(crate) struct Guard {
    limits: GuardLimits,
    run: u32,
    /// The last records, those that became dead letters marked.
    recent: VecDeque<bool>,
    dead: usize,
    stopped: Option<String>,
}

impl Guard {
    pub(crate) fn new(limits: GuardLimits) -> Self {
        Self { limits, run: 0, recent: VecDeque::with_capacity(SAMPLE), dead: 0, stopped: None }
    }

    /// Why nothing is handled, where that is so.
    pub(crate) fn stopped(&self) -> Option<&str> {
        self.stopped.as_deref()
    }

    /// A record was handled.
    pub(crate) fn handled(&mut self) {
        self.run = 0;
        self.note(false);
    }

    /// Whether one more record may become a dead letter. Where not, the consumer stops.
    pub(crate) fn may_set_aside(&mut self) -> bool {
        if self.stopped.is_some() {
            return false;
        }
        let share = (self.dead + 1).min(SAMPLE) as f64 / SAMPLE as f64;
        if self.run >= self.limits.run_max {
            self.stopped = Some(format!("{} records in a row became dead letters", self.run));
        } else if share > self.limits.share_max {
            let (dead, of) = (self.dead, self.recent.len());
            self.stopped = Some(format!("{dead} of the last {of} records became dead letters"));
        } else {
            self.run += 1;
            self.note(true);
        }
        self.stopped.is_none()
    }

    /// Counts anew. Answers whether it had stopped.
    pub(crate) fn resume(&mut self) -> bool {
        std::mem::replace(self, Self::new(self.limits)).stopped.is_some()
    }

    fn note(&mut self, is_dead: bool) {
        if self.recent.len() == SAMPLE && self.recent.pop_front() == Some(true) {
            self.dead -= 1;
        }
        self.recent.push_back(is_dead);
        self.dead += usize::from(is_dead);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        Guard::new(GuardLimits { run_max: 3, share_max: 0.1 })
    }

    #[test]
    fn a_run_of_dead_letters_stops_until_somebody_resumes() {
        let mut guard = guard();
        assert!((0..3).all(|_| guard.may_set_aside()));
        assert_eq!(guard.stopped(), None);
        assert!(!guard.may_set_aside());
        assert_eq!(guard.stopped(), Some("3 records in a row became dead letters"));
        guard.resume();
        assert!(guard.may_set_aside());
    }

    #[test]
    fn a_share_of_dead_letters_stops_though_others_get_through() {
        let mut guard = guard();
        let set_aside = (0..1_000).take_while(|_| {
            (0..4).for_each(|_| guard.handled());
            guard.may_set_aside()
        });
        assert_eq!(set_aside.count(), 100);
        assert_eq!(guard.stopped(), Some("100 of the last 504 records became dead letters"));
    }

    #[test]
    fn few_dead_letters_among_many_records_never_stop() {
        let mut guard = guard();
        for _ in 0..1_000 {
            (0..99).for_each(|_| guard.handled());
            assert!(guard.may_set_aside());
        }
    }
}
