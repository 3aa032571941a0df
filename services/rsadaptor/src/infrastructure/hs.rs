//! The backend: every call tells the gate and the destination what it heard.

mod batch;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{CancellationToken, Probe};
use eventbus::{Change, Destination, Heard, Lane};
use events::Revision;
use hs_admin::{Answer, HsAdmin, Mode, Resource};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use batch::{Batches, Question, Told};

use crate::domain::{
    Attempt, Call, Called, Circuit, Counts, Gate, GateLimits, Json, Later, WaitReason,
};

pub use batch::BatchLimits;

/// The backend. Cheap to clone; clones share the gate.
#[derive(Clone, Debug)]
pub struct Backend(Arc<Inner>);

/// A call of the backend for a record.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// What tells the record from others that are under way.
    pub key: &'a str,
    /// What it is about.
    pub resource: &'a Resource,
    /// The record's revision.
    pub revision: Revision,
    /// How urgent the record is.
    pub lane: Lane,
    /// After this nothing is sent any more.
    pub expires_at: Option<jiff::Timestamp>,
    /// The attempt that it belongs to.
    pub attempt: &'a Attempt,
}

#[derive(Debug)]
struct Inner {
    admin: HsAdmin,
    mode: Mode,
    /// One for each connection.
    slots: Arc<Semaphore>,
    /// Those that records of a sync may take: a few are left to live ones, which would stand behind them.
    sync_slots: Arc<Semaphore>,
    /// Where devices of syncs are put together, if they are.
    batches: Option<Batches>,
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
        settings: &hs_admin::Settings,
        limits: GateLimits,
        batch: Option<BatchLimits>,
        destination: Destination,
        probe: Probe,
    ) -> Self {
        metrics::gauge!("rsadaptor_hs_misconfigured").set(0.0);
        let (gate, unwell) = (Mutex::new(Gate::new(limits)), Mutex::default());
        let (mode, connections) = (settings.mode, settings.connections);
        let slots = Arc::new(Semaphore::new(connections.max(1)));
        let of_sync = (connections - connections.div_ceil(8)).max(1);
        let sync_slots = Arc::new(Semaphore::new(of_sync));
        let batches = batch.filter(|_| mode == Mode::Rest).map(|limits| {
            let slots = [Arc::clone(&sync_slots), Arc::clone(&slots)];
            Batches::new(limits, of_sync, admin.clone(), slots, destination.clone())
        });
        Self(Arc::new(Inner {
            admin,
            mode,
            slots,
            sync_slots,
            batches,
            gate,
            destination,
            probe,
            unwell,
        }))
    }

    /// What protects it.
    pub fn destination(&self) -> &Destination {
        &self.0.destination
    }

    /// Since when nothing but probes is sent, and why, if that is so.
    pub fn stopped_since(&self) -> Option<(Instant, String)> {
        self.0.destination.open_since()
    }

    /// Whether nothing is sent at all.
    pub fn is_dry_run(&self) -> bool {
        match self.0.mode {
            Mode::Rest | Mode::Kafka => false,
            Mode::Log => true,
        }
    }

    /// Creates or replaces a resource.
    ///
    /// # Errors
    /// The record waits.
    pub async fn put(&self, errand: &Errand<'_>, body: &Json) -> Result<Called, Later> {
        if let Some(batches) = self.0.batches.as_ref().filter(|_| self.goes_with_others(errand)) {
            return self.put_with_others(batches, errand, body).await;
        }
        self.call(errand, self.send(errand, body)).await
    }

    /// Replaces a resource that may have gone together with what it belongs to: then this is done.
    ///
    /// # Errors
    /// The record waits.
    pub async fn put_if_there(&self, errand: &Errand<'_>, body: &Json) -> Result<Called, Later> {
        let answer = async {
            let answer = self.send(errand, body).await;
            let is_gone = matches!(&answer, Answer::Early { http_status: 404, .. });
            if is_gone { Answer::Done { http_status: 404 } } else { answer }
        };
        self.call(errand, answer).await
    }

    /// Deletes a resource; one that is not there is done.
    ///
    /// # Errors
    /// The record waits.
    pub async fn delete(&self, errand: &Errand<'_>) -> Result<Called, Later> {
        self.call(errand, self.0.admin.delete(errand.resource, errand.revision)).await
    }

    fn send(&self, errand: &Errand<'_>, body: &Json) -> impl Future<Output = Answer> {
        self.0.admin.put_json(errand.resource, body.bytes(), errand.revision)
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

    /// Whether a record may go in one call with others. One that has failed goes by itself, so that it is seen which
    /// of them was at fault, and so does a probe.
    fn goes_with_others(&self, errand: &Errand<'_>) -> bool {
        let is_device = matches!(errand.resource, Resource::Device(_));
        is_device
            && errand.lane == Lane::Sync
            && errand.attempt.number == 1
            && !self.is_dry_run()
            && self.0.destination.open_for().is_none()
    }

    async fn put_with_others(
        &self,
        batches: &Batches,
        errand: &Errand<'_>,
        body: &Json,
    ) -> Result<Called, Later> {
        let began = Instant::now();
        lock(&self.0.gate).began(errand.key, began.into_std());
        let Errand { revision, expires_at, .. } = *errand;
        let told = batches.ask(Question::new(revision, body.bytes(), expires_at)).await;
        match told {
            Told::Answered(answer) => self.conclude(errand, began, &answer).await,
            Told::NotSent => {
                let reason =
                    "it was not sent with the others: it has expired, or sending was stopped";
                Err(Later { after: Duration::ZERO, counted: false, reason: reason.to_owned() })
            }
            Told::Trouble { answer, speaks, retry_after } => {
                // Which of the records was at fault, if one was, is not known: it counts for none of them.
                if speaks {
                    self.tell(began, &answer, &Ok(Called::NotSent));
                }
                let after = retry_after.unwrap_or_default() + eventbus::backoff(1);
                let reason = format!("backend in trouble: {}", describe(&answer));
                Err(Later { after, counted: false, reason })
            }
            // Nothing is said of the record: it goes by itself.
            Told::Refused => self.call(errand, self.send(errand, body)).await,
        }
    }

    async fn call(
        &self,
        errand: &Errand<'_>,
        request: impl Future<Output = Answer>,
    ) -> Result<Called, Later> {
        let _slot = self.slot(errand).await?;
        let began = Instant::now();
        lock(&self.0.gate).began(errand.key, began.into_std());
        let answer = request.await;
        self.conclude(errand, began, &answer).await
    }

    /// What an answer means for the record, and for all others.
    async fn conclude(
        &self,
        &Errand { key, attempt, .. }: &Errand<'_>,
        began: Instant,
        answer: &Answer,
    ) -> Result<Called, Later> {
        let circuit = match self.0.destination.open_for() {
            Some(_) => Circuit::Open,
            None => Circuit::Closed,
        };
        let (call, now) = (Call { key, began: began.into_std(), attempt }, Instant::now());
        let called = lock(&self.0.gate).heard(&call, answer, circuit, now.into_std());
        self.tell(began, answer, &called);
        match called {
            Ok(called) => Ok(called),
            Err(reason) => self.put_off(reason, attempt).await,
        }
    }

    /// A connection for the call. What is worth it no more when its turn has come is tried anew, or ends.
    async fn slot(&self, errand: &Errand<'_>) -> Result<[Option<SemaphorePermit<'_>>; 2], Later> {
        let Inner { slots, sync_slots, destination, .. } = &*self.0;
        let was_open = destination.open_for().is_some();
        let of_sync = match errand.lane {
            Lane::Live => None,
            Lane::Sync => Some(sync_slots.acquire().await.expect("it is never closed")),
        };
        let slot = Some(slots.acquire().await.expect("it is never closed"));
        let put_off =
            |after, reason: &str| Err(Later { after, counted: false, reason: reason.to_owned() });
        if errand.expires_at.is_some_and(|it| it <= jiff::Timestamp::now()) {
            return put_off(Duration::ZERO, "it has expired while it waited for a connection");
        }
        // A probe finds the circuit open when it comes.
        if !was_open && destination.open_for().is_some() {
            let after = eventbus::backoff(errand.attempt.number);
            return put_off(after, "sending was stopped while it waited for a connection");
        }
        Ok([of_sync, slot])
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
