//! Probes: what a service says about the parts that it needs.
//!
//! A *readiness* probe failing means that the service cannot do its work now; a *detail* probe is
//! shown in `/healthz` only. A service that has registered no readiness probe is not ready yet.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// How often a watched part is asked whether it works.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// All probes of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Health {
    probes: Arc<Mutex<BTreeMap<String, Entry>>>,
    stop: CancellationToken,
}

/// The hand that reports the state of one part. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Probe {
    name: String,
    health: Health,
}

/// What a probe counts for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Purpose {
    Readiness,
    Detail,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum State {
    NotChecked,
    Ok,
    Failing(String),
}

#[derive(Clone, Debug)]
struct Entry {
    purpose: Purpose,
    state: State,
    since: Instant,
    since_time: SystemTime,
}

/// The answer of `/healthz`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `ok`, `degraded` (a probe fails) or `draining`.
    pub status: &'static str,
    /// By name.
    pub probes: BTreeMap<String, ProbeReport>,
}

/// One probe in [`Report`].
#[derive(Debug, Serialize)]
pub struct ProbeReport {
    purpose: Purpose,
    /// `ok`, `failing` or `not checked`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Unix time of the last change, in seconds.
    since: u64,
    /// Seconds since then.
    for_seconds: u64,
}

impl Health {
    /// No probes yet; draining from the moment that `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { probes: Arc::default(), stop }
    }

    /// A part without which the service cannot do its work. Not ready until it is told `ok`.
    pub fn readiness(&self, name: impl Into<String>) -> Probe {
        self.register(name.into(), Purpose::Readiness)
    }

    /// A part whose trouble is worth showing and does not make the service unready.
    pub fn detail(&self, name: impl Into<String>) -> Probe {
        self.register(name.into(), Purpose::Detail)
    }

    /// Why the service is not ready, a line each; empty when it is.
    pub fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stop.is_cancelled() {
            reasons.push("draining".to_owned());
        }
        let probes = self.lock();
        if !probes.values().any(|entry| entry.purpose == Purpose::Readiness) {
            reasons.push("starting".to_owned());
        }
        for (name, entry) in probes.iter().filter(|(_, it)| it.purpose == Purpose::Readiness) {
            match &entry.state {
                State::Ok => {}
                State::NotChecked => reasons.push(format!("{name}: not checked yet")),
                State::Failing(reason) => reasons.push(format!("{name}: {reason}")),
            }
        }
        reasons
    }

    /// Everything that is known.
    pub fn report(&self) -> Report {
        let probes: BTreeMap<_, _> =
            self.lock().iter().map(|(name, entry)| (name.clone(), entry.report())).collect();
        let failing = probes.values().any(|probe| probe.status == "failing");
        let status = match (self.stop.is_cancelled(), failing) {
            (true, _) => "draining",
            (false, true) => "degraded",
            (false, false) => "ok",
        };
        Report { status, probes }
    }

    fn register(&self, name: String, purpose: Purpose) -> Probe {
        let (since, since_time) = (Instant::now(), SystemTime::now());
        let entry = Entry { purpose, state: State::NotChecked, since, since_time };
        self.lock().insert(name.clone(), entry);
        Probe { name, health: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe {
    /// The part works.
    pub fn ok(&self) {
        self.set(State::Ok);
    }

    /// The part does not work, for `reason`: a short text without ids, secrets or personal data.
    pub fn failing(&self, reason: impl Into<String>) {
        self.set(State::Failing(reason.into()));
    }

    /// Asks twice a second whether the part works, or why it does not, until `stop`.
    pub async fn watch<F, E>(&self, stop: &CancellationToken, works: impl Fn() -> F)
    where
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        let mut ticks = tokio::time::interval(WATCH_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match stop.run_until_cancelled(works()).await {
                Some(Ok(())) => self.ok(),
                Some(Err(reason)) => self.failing(reason.to_string()),
                None => return,
            }
        }
    }

    fn set(&self, state: State) {
        metrics::gauge!("probe_ok", "probe" => self.name.clone()).set(if state == State::Ok {
            1.0
        } else {
            0.0
        });
        let mut probes = self.health.lock();
        let Some(entry) = probes.get_mut(&self.name) else { return };
        if entry.state == state {
            return;
        }
        // "Since" is when it began to work or to fail, not when the reason last changed.
        if !matches!((&entry.state, &state), (State::Failing(_), State::Failing(_))) {
            (entry.since, entry.since_time) = (Instant::now(), SystemTime::now());
            match &state {
                State::Ok => tracing::info!(probe = self.name, "probe is ok"),
                State::Failing(reason) => {
                    tracing::warn!(probe = self.name, reason, "probe fails");
                }
                State::NotChecked => {}
            }
        }
        entry.state = state;
    }
}

impl Entry {
    fn report(&self) -> ProbeReport {
        let (status, reason) = match &self.state {
            State::NotChecked => ("not checked", None),
            State::Ok => ("ok", None),
            State::Failing(reason) => ("failing", Some(reason.clone())),
        };
        let since = self.since_time.duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        let for_seconds = self.since.elapsed().as_secs();
        ProbeReport { purpose: self.purpose, status, reason, since, for_seconds }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_service_is_ready_when_it_has_said_what_it_needs_and_all_of_that_works() {
        let stop = CancellationToken::new();
        let health = Health::new(stop.clone());
        let mut log = vec![health.unready()];
        let (kafka, mongo) = (health.readiness("kafka"), health.readiness("mongo"));
        let backend = health.detail("hs-be");
        log.push(health.unready());
        kafka.ok();
        mongo.ok();
        backend.failing("answers 503");
        log.push(health.unready());
        kafka.failing("no broker answers");
        log.push(health.unready());
        stop.cancel();
        log.push(health.unready());
        expect![[r#"
            [
                [
                    "starting",
                ],
                [
                    "kafka: not checked yet",
                    "mongo: not checked yet",
                ],
                [],
                [
                    "kafka: no broker answers",
                ],
                [
                    "draining",
                    "kafka: no broker answers",
                ],
            ]
        "#]]
        .assert_debug_eq(&log);
    }

    #[test]
    fn a_failing_detail_degrades_the_report_and_nothing_else() {
        let health = Health::new(CancellationToken::new());
        health.readiness("kafka").ok();
        let backend = health.detail("hs-be");
        assert_eq!(health.report().status, "ok");
        backend.failing("answers 503");
        let report = health.report();
        assert_eq!((report.status, health.unready().len()), ("degraded", 0));
        assert_eq!(report.probes["hs-be"].reason.as_deref(), Some("answers 503"));
    }

    #[tokio::test]
    async fn a_part_that_is_watched_says_why_it_does_not_work() {
        let stop = CancellationToken::new();
        let health = Health::new(stop.clone());
        let probe = health.readiness("kafka");
        let failed = std::cell::Cell::new(false);
        let works = || {
            // The second look ends it.
            if failed.replace(true) {
                stop.cancel();
            }
            std::future::ready(Err(format!("stopped after {} dead letters", 100)))
        };
        probe.watch(&stop, works).await;
        assert_eq!(health.unready(), ["draining", "kafka: stopped after 100 dead letters"]);
    }
}
