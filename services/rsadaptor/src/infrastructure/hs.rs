//! The backend: every call tells the gate and the destination what it heard.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{CancellationToken, Probe};
use eventbus::{Change, Destination, Heard};
use events::{DeviceId, DeviceKind, Revision};
use hs_admin::{Answer, HsAdmin, Mode};
use tokio::time::Instant;

use crate::domain::{
    Attempt, Body, Call, Called, Circuit, Counts, Gate, GateLimits, Later, WaitReason, resource_of,
};

/// The backend. Cheap to clone; clones share the gate.
#[derive(Clone, Debug)]
pub struct Backend(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    admin: HsAdmin,
    mode: Mode,
    gate: Mutex<Gate>,
    destination: Destination,
    probe: Probe,
    /// What is wrong with the backend's own status, as far as it was heard.
    unwell: Mutex<Option<String>>,
}

impl Backend {
    /// A backend that is taken to work; `probe` shows how it is.
    pub fn new(
        admin: HsAdmin,
        mode: Mode,
        limits: GateLimits,
        destination: Destination,
        probe: Probe,
    ) -> Self {
        metrics::gauge!("rsadaptor_hs_misconfigured").set(0.0);
        let (gate, unwell) = (Mutex::new(Gate::new(limits)), Mutex::default());
        Self(Arc::new(Inner { admin, mode, gate, destination, probe, unwell }))
    }

    /// What protects it.
    pub fn destination(&self) -> &Destination {
        &self.0.destination
    }

    /// Whether nothing is sent at all.
    pub fn is_dry_run(&self) -> bool {
        match self.0.mode {
            Mode::Rest => false,
            Mode::Log => true,
        }
    }

    /// Creates or replaces a device or router.
    ///
    /// # Errors
    /// The record waits.
    pub async fn put(
        &self,
        id: &DeviceId,
        body: &Body,
        revision: Revision,
        attempt: &Attempt,
    ) -> Result<Called, Later> {
        let resource = resource_of(body.kind(), id);
        self.call(id, attempt, self.0.admin.put(&resource, body, revision)).await
    }

    /// Deletes a device or router; one that is not there is done.
    ///
    /// # Errors
    /// The record waits.
    pub async fn delete(
        &self,
        id: &DeviceId,
        kind: DeviceKind,
        revision: Revision,
        attempt: &Attempt,
    ) -> Result<Called, Later> {
        let resource = resource_of(kind, id);
        self.call(id, attempt, self.0.admin.delete(&resource, revision)).await
    }

    /// Asks the backend how it is, again and again, until `stop`.
    pub async fn watch(self, every: Duration, stop: CancellationToken) {
        if self.is_dry_run() {
            self.0.probe.ok();
            return;
        }
        let mut ticks = tokio::time::interval(every);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(heard) = stop.run_until_cancelled(self.0.admin.status()).await else { return };
            metrics::gauge!("rsadaptor_hs_up").set(if heard.is_ok() { 1.0 } else { 0.0 });
            *lock(&self.0.unwell) = heard.err().map(|it| describe(&it));
            self.show();
        }
    }

    async fn call(
        &self,
        id: &DeviceId,
        attempt: &Attempt,
        request: impl Future<Output = Answer>,
    ) -> Result<Called, Later> {
        let (key, began) = (id.as_str(), Instant::now());
        lock(&self.0.gate).began(key, began.into_std());
        let answer = request.await;
        let circuit = match self.0.destination.open_for() {
            Some(_) => Circuit::Open,
            None => Circuit::Closed,
        };
        let (call, now) = (Call { key, began: began.into_std(), attempt }, Instant::now());
        let called = lock(&self.0.gate).heard(&call, &answer, circuit, now.into_std());
        self.tell(began, &answer, &called);
        match called {
            Ok(called) => Ok(called),
            Err(reason) => self.put_off(reason, attempt).await,
        }
    }

    /// Tells the destination what an answer means for all records.
    fn tell(&self, began: Instant, answer: &Answer, called: &Result<Called, WaitReason>) {
        let heard = match answer {
            Answer::NotSent => return,
            Answer::Done { .. } | Answer::Stale | Answer::Wrong { .. } | Answer::Early { .. } => {
                Heard::Well
            }
            Answer::Trouble { http_status: Some(429 | 503), .. } => {
                Heard::Pressed(describe(answer))
            }
            Answer::Trouble { .. } => Heard::Trouble(describe(answer)),
            Answer::Misconfigured { .. } => match called {
                Err(WaitReason::Refused { .. }) => {
                    Heard::Refused(format!("misconfigured: {}", describe(answer)))
                }
                // It may be the fault of the record alone.
                Ok(_) | Err(WaitReason::Trouble { .. } | WaitReason::Early { .. }) => return,
            },
        };
        let misconfigured = if let Heard::Refused(_) = heard { 1.0 } else { 0.0 };
        match self.0.destination.heard(began, heard) {
            Some(Change::Opened(why)) => {
                metrics::gauge!("rsadaptor_hs_misconfigured").set(misconfigured);
                tracing::error!(why, "sending stopped, except for probes");
            }
            Some(Change::Closed) => {
                metrics::gauge!("rsadaptor_hs_misconfigured").set(0.0);
                tracing::info!("a probe got through: sending again");
            }
            None => return,
        }
        self.show();
    }

    async fn put_off(&self, reason: WaitReason, attempt: &Attempt) -> Result<Called, Later> {
        let backoff = eventbus::backoff(attempt.number);
        match reason {
            WaitReason::Refused { detail } => {
                // The next probe is another record's.
                let interval = self.0.destination.probe_interval();
                let after = interval + eventbus::jitter(interval / 4);
                let reason = format!("misconfigured, waiting: {detail}");
                Err(Later { after, counted: false, reason })
            }
            WaitReason::Early { left, detail } => {
                let after = backoff.max(Duration::from_millis(50)).min(left);
                Err(Later { after, counted: false, reason: format!("early: {detail}") })
            }
            WaitReason::Trouble { counts, http_status, retry_after, detail } => {
                let counted = match counts {
                    Counts::Yes => true,
                    Counts::No => false,
                    Counts::IfStatusIsWell => self.0.admin.status().await.is_ok(),
                };
                if counted && attempt.last_if_counted {
                    let reason = format!("failed while others did not: {detail}");
                    return Ok(Called::Rejected { http_status, reason });
                }
                let after = retry_after.unwrap_or_default() + backoff;
                Err(Later { after, counted, reason: format!("backend in trouble: {detail}") })
            }
        }
    }

    fn show(&self) {
        match self.0.destination.open_for().or_else(|| lock(&self.0.unwell).clone()) {
            Some(reason) => self.0.probe.failing(reason),
            None => self.0.probe.ok(),
        }
    }
}

fn describe(answer: &Answer) -> String {
    let status = |it: &Option<u16>| it.map_or_else(|| "no answer".to_owned(), |it| it.to_string());
    match answer {
        Answer::Done { http_status } => http_status.to_string(),
        Answer::NotSent => "not sent".to_owned(),
        Answer::Stale => "409 stale".to_owned(),
        Answer::Early { http_status, detail } | Answer::Wrong { http_status, detail } => {
            format!("{http_status}: {detail}")
        }
        Answer::Trouble { http_status, detail, .. }
        | Answer::Misconfigured { http_status, detail } => {
            format!("{}: {detail}", status(http_status))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
