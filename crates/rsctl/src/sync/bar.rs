//! A job that is followed, for people: a bar on a terminal, single lines elsewhere, both on standard error.

use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    job::{Known, State},
    pace::Pace,
};
use crate::shown::line;

/// How often single lines tell of mere progress.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// What a person sees of a job.
pub(crate) struct View {
    bar: ProgressBar,
    pace: Pace,
    /// The last single line: when, and what stood still in it.
    line: Option<(Instant, String)>,
    json: bool,
}

impl View {
    /// With `json` there is nothing to see but notes.
    pub(crate) fn new(json: bool) -> Self {
        let style = ProgressStyle::with_template("{prefix}\n{wide_bar} {msg}");
        let style = style.expect("the template is well-formed");
        let target = if json { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target).with_style(style);
        Self { bar, pace: Pace::default(), line: None, json }
    }

    pub(crate) fn show(&mut self, job: &Known, now: Instant) {
        self.pace.look(now, job.ended());
        let (title, progress) = (title(job), progress(job, &self.pace));
        if !self.bar.is_hidden() {
            self.bar.set_length(job.counts.total.max(job.ended()).max(1));
            self.bar.set_position(job.ended());
            self.bar.set_prefix(title);
            self.bar.set_message(progress);
            return;
        }
        let is_news = self
            .line
            .as_ref()
            .is_none_or(|(at, told)| *told != title || now.duration_since(*at) >= BETWEEN_LINES);
        if is_news {
            eprintln!("{title}: {progress}");
            self.line = Some((now, title));
        }
    }

    /// Something about the watching itself.
    pub(crate) fn note(&self, text: &str) {
        if self.json || self.bar.is_hidden() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn title(job: &Known) -> String {
    let step = job.step.as_deref().map(|it| format!(" {}", line(it.as_bytes()).replace('_', " ")));
    format!("{}{}: {}", job.job_id, step.unwrap_or_default(), job.state_and_reason())
}

fn progress(job: &Known, pace: &Pace) -> String {
    let counts = &job.counts;
    let ended = job.ended();
    let total = match counts.total {
        0 => "…".to_owned(),
        total => HumanCount(total).to_string(),
    };
    let mut parts = vec![format!("{}/{total}", HumanCount(ended))];
    if matches!(job.state, State::Running | State::Cancelling) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is positive and small"
        )]
        parts.extend(pace.per_s().map(|it| format!("{}/s", HumanCount(it.round() as u64))));
        let left = pace.left(counts.total.saturating_sub(ended));
        let left = left.filter(|_| counts.total > ended);
        parts.extend(left.map(|it| format!("{:#} left", HumanDuration(it))));
    }
    parts.push(format!("{} failed", HumanCount(counts.failed())));
    if counts.not_sent > 0 {
        parts.push(format!("{} not sent", HumanCount(counts.not_sent)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::sync::job::Job;

    fn job(state: &str, reason: Option<&str>, counts: serde_json::Value) -> Known {
        let told = json!({"job_id": "j-1", "state": state, "reason": reason, "step": "agent_packages",
            "scope": {}, "mode": "force", "counts": counts});
        Job::try_from(told).unwrap().is
    }

    #[test]
    fn what_is_seen_says_how_far_how_fast_and_why_not() {
        let counts = |total: u64, applied: u64, rejected: u64, not_sent: u64| {
            json!({"total": total,
            "applied": applied, "unchanged": 0, "superseded": 0, "gone": 0, "rejected": rejected,
            "not_sent": not_sent, "unknown": 0})
        };
        let begin = Instant::now();
        let mut pace = Pace::default();
        let mut shown = String::new();
        let jobs = [
            job("running", None, counts(0, 0, 0, 0)),
            job("running", None, counts(50_000, 9_998, 2, 0)),
            job("paused", Some("10 in a row\u{1b}"), counts(50_000, 10_000, 10, 0)),
            job("cancelled", None, counts(50_000, 10_000, 10, 39_990)),
        ];
        for (at, job) in (0..).zip(&jobs) {
            pace.look(begin + Duration::from_secs(at), job.ended());
            shown += &format!("{}: {}\n", title(job), progress(job, &pace));
        }
        expect![[r#"
            j-1 agent packages: running: 0/…, 0 failed
            j-1 agent packages: running: 10,000/50,000, 10,000/s, 4s left, 2 failed
            j-1 agent packages: paused (10 in a row�): 10,010/50,000, 10 failed
            j-1 agent packages: cancelled: 50,000/50,000, 10 failed, 39,990 not sent
        "#]]
        .assert_eq(&shown);
    }
}
