//! The window that all tasks of a service share: who has how many requests open.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::At;

/// A holder that was silent for so long is gone.
const SILENT: Duration = Duration::from_secs(300);

/// Who has how many requests open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Everybody who wants any.
    pub holders: Vec<Holder>,
}

/// One task with open requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The task.
    pub task: String,
    /// How many it may have open.
    pub granted: u64,
    /// How many it would like to have.
    pub wanted: u64,
    /// When it said so.
    pub at: At,
    /// Which of its writes it had read then.
    #[serde(default)]
    pub fence: i64,
}

impl Window {
    /// Lets `task`, which has `open` requests open, have up to `wanted`, of `total` for all: its fair share, and what
    /// others leave of theirs. What it has open is not taken away; it shrinks as requests end. Nothing wanted and
    /// nothing open gives everything back.
    ///
    /// `fence` is that of the task as it was read. What was granted to the same reading may be on its way to be
    /// written, so it is not taken away; an older reading changes nothing, for its write will not win.
    pub fn grant(&mut self, task: (&str, i64), open: u64, wanted: u64, total: u64, now: At) -> u64 {
        let (task, fence) = task;
        let before = self.holders.iter().position(|it| it.task == task);
        let before = before.map(|it| self.holders.remove(it));
        self.holders.retain(|it| now.since(it.at) < SILENT);
        let promised = match before {
            Some(it) if it.fence > fence => {
                self.holders.push(it);
                return open;
            }
            Some(it) if it.fence == fence => it.granted,
            Some(_) | None => 0,
        };
        if open == 0 && wanted == 0 && promised == 0 {
            return 0;
        }
        let share = (total / (self.holders.len() as u64 + 1)).max(1);
        let granted: u64 = self.holders.iter().map(|it| it.granted).sum();
        let claimed: u64 = self.holders.iter().map(|it| it.granted.max(it.wanted.min(share))).sum();
        let fair = share.max(total.saturating_sub(claimed));
        let free = total.saturating_sub(granted);
        let may_have = open.max(wanted.min(fair).min(free));
        let granted = may_have.max(promised);
        self.holders.push(Holder { task: task.to_owned(), granted, wanted, at: now, fence });
        may_have
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// The fence of a reading that is newer than all before.
    fn newer() -> i64 {
        static LAST: AtomicI64 = AtomicI64::new(0);
        LAST.fetch_add(1, Ordering::Relaxed)
    }

    #[test]
    fn a_task_alone_has_all_and_two_have_half_each_as_the_first_shrinks() {
        let (mut window, now) = (Window::default(), At(1_000));
        assert_eq!(window.grant(("one", newer()), 0, 4_000, 4_000, now), 4_000);
        assert_eq!(window.grant(("two", newer()), 0, 4_000, 4_000, now), 0);
        assert_eq!(window.grant(("one", newer()), 3_000, 4_000, 4_000, now), 3_000);
        assert_eq!(window.grant(("two", newer()), 0, 4_000, 4_000, now), 1_000);
        assert_eq!(window.grant(("one", newer()), 1_500, 4_000, 4_000, now), 2_000);
        assert_eq!(window.grant(("two", newer()), 1_000, 4_000, 4_000, now), 2_000);
    }

    #[test]
    fn what_one_does_not_want_others_may_have() {
        let (mut window, now) = (Window::default(), At(1_000));
        assert_eq!(window.grant(("small", newer()), 0, 100, 4_000, now), 100);
        assert_eq!(window.grant(("large", newer()), 0, 4_000, 4_000, now), 3_900);
    }

    #[test]
    fn nobody_is_granted_more_than_there_is() {
        let (mut window, mut random) = (Window::default(), fastrand::Rng::with_seed(7));
        let mut open = [0_u64; 5];
        for step in 0..10_000 {
            let task = random.usize(0..5);
            open[task] = random.u64(0..=open[task]);
            let wanted = random.u64(0..3_000);
            let name = task.to_string();
            open[task] = window.grant((&name, newer()), open[task], wanted, 4_000, At(step));
            assert!(open.iter().sum::<u64>() <= 4_000, "step {step}: {open:?}");
        }
    }

    #[test]
    fn a_holder_that_is_gone_holds_nothing() {
        let mut window = Window::default();
        assert_eq!(window.grant(("gone", newer()), 0, 4_000, 4_000, At(0)), 4_000);
        assert_eq!(window.grant(("here", newer()), 0, 4_000, 4_000, At(299_999)), 0);
        assert_eq!(window.grant(("here", newer()), 0, 4_000, 4_000, At(300_000)), 4_000);
    }

    #[test]
    fn what_a_reading_was_granted_is_not_taken_away_before_a_newer_one() {
        let (mut window, now) = (Window::default(), At(1_000));
        assert_eq!(window.grant(("one", 5), 0, 4_000, 4_000, now), 4_000);
        assert_eq!(window.grant(("two", 1), 0, 4_000, 4_000, now), 0);
        assert_eq!(window.grant(("one", 5), 0, 4_000, 4_000, now), 2_000);
        assert_eq!(window.grant(("one", 4), 7, 100, 4_000, now), 7);
        assert_eq!(window.grant(("one", 4), 0, 0, 4_000, now), 0);
        assert_eq!(window.grant(("one", 5), 0, 0, 4_000, now), 0);
        assert_eq!(window.grant(("two", 1), 0, 4_000, 4_000, now), 0);
        assert_eq!(window.grant(("one", 6), 0, 4_000, 4_000, now), 2_000);
        assert_eq!(window.grant(("two", 1), 0, 4_000, 4_000, now), 2_000);
    }
}
