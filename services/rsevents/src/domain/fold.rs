//! Which events of a batch stand for others: of what devices say of their activity, one in a window is told.
//!
//! A window opens when a device's activity is told. What comes while it is open is held, and what gathers behind it
//! meanwhile is told as one: the newest. What is held is not done, so that nothing is lost with the process.

use std::time::Duration;

/// An event, as far as folding goes.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its record's key: those of one key stand side by side in a batch, in order.
    pub key: Option<&'a str>,
    /// Its device.
    pub device: &'a str,
    /// When it happened, where it is about activity and counts.
    pub active_at: Option<jiff::Timestamp>,
    /// It is not done now, whatever else happens: nothing of its key may pass it.
    pub stays: bool,
}

/// What is done about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// What it causes is said.
    Go,
    /// Another one stands for it, which is newer.
    Folded,
    /// It is held for so long.
    Hold(Duration),
    /// It stands behind one of its key that is not done.
    Behind,
}

/// A device's open window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// So long it stays open.
    pub rest: Duration,
    /// When that happened which was told when it opened.
    pub told: jiff::Timestamp,
}

/// Works out a step for each event of a batch. `open` knows the open windows.
pub fn fold(batch: &[Candidate<'_>], open: impl Fn(&str) -> Option<Window>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(batch.len());
    for run in batch.chunk_by(|one, next| one.key == next.key) {
        let begin = steps.len();
        steps.resize(begin + run.len(), Step::Go);
        fold_run(run, &mut steps[begin..], &open);
    }
    steps
}

/// The events of one key, mostly of one device.
fn fold_run(run: &[Candidate<'_>], steps: &mut [Step], open: impl Fn(&str) -> Option<Window>) {
    let end = run.iter().position(|it| it.stays).unwrap_or(run.len());
    // For each device the newest so far, and its window.
    let mut newest: Vec<(usize, jiff::Timestamp, Option<Window>)> = Vec::new();
    for (at, event) in run[..end].iter().enumerate() {
        let Some(moment) = event.active_at else { continue };
        let known = newest.iter().position(|it| run[it.0].device == event.device);
        let Some(known) = known else {
            let window = open(event.device);
            match window.is_some_and(|it| moment < it.told) {
                true => steps[at] = Step::Folded,
                false => newest.push((at, moment, window)),
            }
            continue;
        };
        let (best, best_moment, _) = &mut newest[known];
        // Of the same moment, the one that was said last.
        let older = if moment >= *best_moment { std::mem::replace(best, at) } else { at };
        *best_moment = moment.max(*best_moment);
        steps[older] = Step::Folded;
    }
    let held = newest.iter().filter_map(|it| Some((it.0, it.2?.rest)));
    let first_held = held.min_by_key(|it| it.0);
    if let Some((at, rest)) = first_held {
        steps[at] = Step::Hold(rest);
    }
    let last = first_held.map_or(end, |it| it.0);
    steps.iter_mut().skip(last + 1).for_each(|it| *it = Step::Behind);
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(2);

    /// Events as `key/device`, `@second` where they are about activity, `!` where they stay.
    fn parse(text: &str) -> Candidate<'_> {
        let (stays, text) = (text.ends_with('!'), text.trim_end_matches('!'));
        let (name, second) = text.split_once('@').unwrap_or((text, ""));
        let (key, device) = name.split_once('/').unwrap_or((name, name));
        let active_at = second.parse().ok().map(|it| jiff::Timestamp::from_second(it).unwrap());
        Candidate { key: Some(key), device, active_at, stays }
    }

    /// The steps of a batch; the window of `open` was opened by what happened in second 10.
    fn steps(batch: &str) -> String {
        let batch: Vec<Candidate<'_>> = batch.split(' ').map(parse).collect();
        let told = jiff::Timestamp::from_second(10).unwrap();
        let open =
            |device: &str| device.starts_with("open").then_some(Window { rest: WINDOW, told });
        let steps = fold(&batch, open);
        let shown = steps.into_iter().map(|it| match it {
            Step::Go => "go",
            Step::Folded => "folded",
            Step::Hold(_) => "hold",
            Step::Behind => "behind",
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_newest_of_each_device_is_told_and_stands_for_the_others() {
        assert_eq!(steps("a@1 a@2 a@3 b@1 b@2"), "folded folded go folded go");
        assert_eq!(steps("a@3 a@1 a@2"), "go folded folded");
        assert_eq!(steps("a@3 a@3"), "folded go");
    }

    #[test]
    fn other_events_are_told_each() {
        assert_eq!(steps("a a@1 a a@2 a"), "go folded go go go");
    }

    #[test]
    fn while_a_window_is_open_the_newest_is_held_with_what_is_behind_it() {
        assert_eq!(steps("open@11 open open@12 open b@1"), "folded go hold behind go");
        assert_eq!(steps("open open"), "go go");
    }

    #[test]
    fn what_is_older_than_what_was_told_needs_no_telling() {
        assert_eq!(steps("open@9 open"), "folded go");
        assert_eq!(steps("open@9 open@10"), "folded hold");
    }

    #[test]
    fn nothing_passes_what_stays_and_it_stands_for_nothing() {
        assert_eq!(steps("a@1 a! a@2"), "go go behind");
        assert_eq!(steps("a@1! a@2 b@1"), "go behind go");
        assert_eq!(steps("open@11 open! open@12"), "hold behind behind");
    }

    #[test]
    fn of_several_devices_under_one_key_each_is_folded_by_itself() {
        assert_eq!(steps("k/a@1 k/b@1 k/a@2 k/b@2"), "folded folded go go");
        assert_eq!(steps("k/a@1 k/open@11 k/a@2"), "folded hold behind");
    }
}
