//! The backend, behind its gate: every call asks the gate first and tells it what it heard.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chassis::{CancellationToken, Probe};
use events::{DeviceId, DeviceKind, Revision};
use hs_admin::{Answer, HsAdmin, Mode};

use crate::domain::{
    Admission, Attempt, Body, Change, Counts, Gate, GateLimits, Later, Ticket, Verdict, WaitReason,
    resource_of,
};

/// The backend. Cheap to clone; clones share the gate.
#[derive(Clone, Debug)]
pub struct Backend(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    admin: HsAdmin,
    mode: Mode,
    gate: Mutex<Gate>,
    probe: Probe,
    /// What is wrong with the backend's own status, as far as it was heard.
    unwell: Mutex<Option<String>>,
}

/// What became of a call that was not put off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// The backend did it.
    Done {
        /// What it answered.
        http_status: u16,
    },
    /// A dry run.
    NotSent,
    /// The backend has something newer.
    Superseded,
    /// The record is wrong.
    Rejected {
        /// What the backend answered.
        http_status: Option<u16>,
        /// Why.
        reason: String,
    },
}

impl Backend {
    /// A backend behind an open gate; `probe` shows how it is.
    pub fn new(admin: HsAdmin, mode: Mode, limits: GateLimits, probe: Probe) -> Self {
        metrics::gauge!("rsadaptor_hs_misconfigured").set(0.0);
        let (gate, unwell) = (Mutex::new(Gate::new(limits)), Mutex::default());
        Self(Arc::new(Inner { admin, mode, gate, probe, unwell }))
    }

    /// Whether nothing is sent at all.
    pub fn is_dry_run(&self) -> bool {
        match self.0.mode {
            Mode::Rest => false,
            Mode::Log => true,
        }
    }

    /// Nothing while the gate is closed for this record.
    ///
    /// # Errors
    /// The gate is closed: the record waits.
    pub fn look(&self, id: &DeviceId) -> Result<(), Later> {
        match self.gate().look(id.as_str(), Instant::now()) {
            Some(WaitReason::Closed { after, detail }) => Err(closed(after, &detail)),
            Some(WaitReason::Trouble { .. } | WaitReason::Early { .. }) | None => Ok(()),
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
        let admission = self.gate().admit(id.as_str(), Instant::now());
        let ticket = match admission {
            Admission::Call(ticket) => ticket,
            Admission::Wait(reason) => return self.put_off(reason, attempt).await,
        };
        let mut pass = Pass { backend: self, ticket, heard: false };
        let answer = request.await;
        let (verdict, change) = pass.heard(&answer, attempt);
        drop(pass);
        if let Some(change) = change {
            self.changed(change, &answer);
        }
        match verdict {
            Verdict::Done { http_status } => Ok(Called::Done { http_status }),
            Verdict::NotSent => Ok(Called::NotSent),
            Verdict::Superseded => Ok(Called::Superseded),
            Verdict::Rejected { http_status, reason } => {
                Ok(Called::Rejected { http_status, reason })
            }
            Verdict::Wait(reason) => self.put_off(reason, attempt).await,
        }
    }

    async fn put_off(&self, reason: WaitReason, attempt: &Attempt) -> Result<Called, Later> {
        let backoff = eventbus::backoff(attempt.number);
        match reason {
            WaitReason::Closed { after, detail } => Err(closed(after, &detail)),
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

    fn changed(&self, change: Change, answer: &Answer) {
        match change {
            Change::Closed => {
                metrics::gauge!("rsadaptor_hs_misconfigured").set(1.0);
                tracing::error!(answer = describe(answer), "misconfigured: sending stopped");
            }
            Change::Opened => {
                metrics::gauge!("rsadaptor_hs_misconfigured").set(0.0);
                tracing::info!("a probe got through: sending again");
            }
        }
        self.show();
    }

    fn show(&self) {
        let closed = self.gate().closed_for().map(|it| format!("misconfigured: {it}"));
        match closed.or_else(|| lock(&self.0.unwell).clone()) {
            Some(reason) => self.0.probe.failing(reason),
            None => self.0.probe.ok(),
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        lock(&self.0.gate)
    }
}

/// A call that is under way. One that is given up gives its place at the gate back.
struct Pass<'a> {
    backend: &'a Backend,
    ticket: Ticket,
    heard: bool,
}

impl Pass<'_> {
    fn heard(&mut self, answer: &Answer, attempt: &Attempt) -> (Verdict, Option<Change>) {
        self.heard = true;
        self.backend.gate().heard(&self.ticket, answer, attempt, Instant::now())
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if !self.heard {
            self.backend.gate().abandon(&self.ticket);
        }
    }
}

fn closed(after: Duration, detail: &str) -> Later {
    // Those that wait come back one after the other.
    let after = after + Duration::from_millis(5) + eventbus::jitter(after / 4);
    Later { after, counted: false, reason: format!("misconfigured, waiting: {detail}") }
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
