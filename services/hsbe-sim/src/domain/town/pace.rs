//! When the next event of a device is due.

use std::time::Duration;

use super::Plan;

/// How much happens in each hour of a day, beside the others.
const HOURS: [u32; 24] =
    [4, 3, 2, 2, 2, 3, 6, 9, 8, 7, 7, 8, 10, 9, 8, 8, 10, 13, 16, 19, 21, 18, 12, 7];

/// The hour in which a town begins: whoever takes its events sees the most of them early.
const FIRST_HOUR: usize = 18;

/// When the next event of a device is due, in seconds since the town began.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    per_s: f64,
    day_s: Option<f64>,
    next_s: f64,
    left: Option<u64>,
}

impl Pace {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut pace = Self {
            per_s: plan.events_per_s,
            day_s: plan.day_seconds,
            next_s: 0.0,
            left: plan.events,
        };
        pace.next_s += pace.gap_s();
        pace
    }

    /// How many there are still to be, where there is an end.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Duration> {
        if self.left == Some(0) {
            return None;
        }
        // Without events the next one is infinitely far.
        Duration::try_from_secs_f64(self.next_s).ok()
    }

    /// The next one is over; it counts where it has happened.
    pub(super) fn pass(&mut self, happened: bool) {
        self.next_s += self.gap_s();
        if happened {
            self.left = self.left.map(|it| it.saturating_sub(1));
        }
    }

    /// Nothing happens before this.
    pub(super) fn wait_until(&mut self, at: Duration) {
        self.next_s = self.next_s.max(at.as_secs_f64());
    }

    fn gap_s(&self) -> f64 {
        let gap = 1.0 / self.per_s;
        let Some(day) = self.day_s else { return gap };
        let hours = HOURS.len() as f64;
        let mean = f64::from(HOURS.iter().sum::<u32>()) / hours;
        let hour = FIRST_HOUR + (self.next_s.rem_euclid(day) / day * hours) as usize;
        gap * mean / f64::from(HOURS[hour % HOURS.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(events_per_s: f64, day_seconds: Option<f64>, events: Option<u64>) -> Plan {
        let plan = serde_json::json!({
            "homes": 1, "events_per_s": events_per_s, "day_seconds": day_seconds, "events": events,
        });
        serde_json::from_value(plan).expect("a plan")
    }

    fn due_within(mut pace: Pace, seconds: u64) -> Vec<Duration> {
        let mut all = Vec::new();
        while let Some(next) = pace.next().filter(|it| *it <= Duration::from_secs(seconds)) {
            all.push(next);
            pace.pass(true);
        }
        all
    }

    #[test]
    fn so_many_are_due_a_second_until_there_are_no_more() {
        let even = due_within(Pace::new(&plan(4.0, None, None)), 10);
        assert_eq!(even.len(), 40);
        assert_eq!(even[1], Duration::from_millis(500));
        assert_eq!(due_within(Pace::new(&plan(4.0, None, Some(7))), 10).len(), 7);
        assert_eq!(due_within(Pace::new(&plan(0.0, None, None)), 10).len(), 0);
    }

    #[test]
    fn an_evening_has_more_than_a_night_and_a_day_as_many_as_the_mean_says() {
        let day = due_within(Pace::new(&plan(100.0, Some(240.0), None)), 240);
        assert!((23_900..=24_100).contains(&day.len()), "{}", day.len());
        let hour = |of: u64| day.iter().filter(|it| (18 + it.as_secs() / 10) % 24 == of).count();
        assert!(hour(20) > 8 * hour(3), "{} and {}", hour(20), hour(3));
    }
}
