//! The window that all tasks of a service share: who has how many requests open.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::At;

/// A holder that was silent for so long is gone.
const SILENT: Duration = Duration::from_secs(60);

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
}

impl Window {
    /// Lets `task`, which has `open` requests open, have up to `wanted`, of `total` for all: its fair share, and what
    /// others leave of theirs. What it has open is not taken away; it shrinks as requests end. Nothing wanted and
    /// nothing open gives everything back.
    pub fn grant(&mut self, task: &str, open: u64, wanted: u64, total: u64, now: At) -> u64 {
        self.holders.retain(|it| it.task != task && now.since(it.at) < SILENT);
        if open == 0 && wanted == 0 {
            return 0;
        }
        let share = (total / (self.holders.len() as u64 + 1)).max(1);
        let granted: u64 = self.holders.iter().map(|it| it.granted).sum();
        let claimed: u64 = self.holders.iter().map(|it| it.granted.max(it.wanted.min(share))).sum();
        let fair = share.max(total.saturating_sub(claimed));
        let free = total.saturating_sub(granted);
        let granted = open.max(wanted.min(fair).min(free));
        self.holders.push(Holder { task: task.to_owned(), granted, wanted, at: now });
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_alone_has_all_and_two_have_half_each_as_the_first_shrinks() {
        let (mut window, now) = (Window::default(), At(1_000));
        assert_eq!(window.grant("one", 0, 4_000, 4_000, now), 4_000);
        assert_eq!(window.grant("two", 0, 4_000, 4_000, now), 0);
        assert_eq!(window.grant("one", 3_000, 4_000, 4_000, now), 3_000);
        assert_eq!(window.grant("two", 0, 4_000, 4_000, now), 1_000);
        assert_eq!(window.grant("one", 1_500, 4_000, 4_000, now), 2_000);
        assert_eq!(window.grant("two", 1_000, 4_000, 4_000, now), 2_000);
    }

    #[test]
    fn what_one_does_not_want_others_may_have() {
        let (mut window, now) = (Window::default(), At(1_000));
        assert_eq!(window.grant("small", 0, 100, 4_000, now), 100);
        assert_eq!(window.grant("large", 0, 4_000, 4_000, now), 3_900);
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
            open[task] = window.grant(&name, open[task], wanted, 4_000, At(step));
            assert!(open.iter().sum::<u64>() <= 4_000, "step {step}: {open:?}");
        }
    }

    #[test]
    fn a_holder_that_is_gone_holds_nothing() {
        let mut window = Window::default();
        assert_eq!(window.grant("gone", 0, 4_000, 4_000, At(0)), 4_000);
        assert_eq!(window.grant("here", 0, 4_000, 4_000, At(59_999)), 0);
        assert_eq!(window.grant("here", 0, 4_000, 4_000, At(60_000)), 4_000);
    }
}
