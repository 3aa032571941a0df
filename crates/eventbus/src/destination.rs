//! What protects a destination, the backend behind callbacks: how many records are on their way to it at a time, how
//! many set out in a second, and a circuit breaker that holds all of them back while it is in trouble.

mod settings;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::{Counter, Gauge};
use tokio::time::Instant;

pub use self::settings::DestinationSettings;
use crate::Lane;

/// The longest random part of a probe interval, as a share of it: processes that opened together probe apart.
const PROBE_JITTER: f64 = 0.2;
/// What is left of the concurrency when the destination asks for less.
const DECREASE: f64 = 0.5;
/// So much of the concurrency is left to live records that may come, which would stand behind a whole sync otherwise.
const LEFT_TO_LIVE: f64 = 0.125;
/// How long after a live record others are expected.
const LIVE_FOLLOW: Duration = Duration::from_secs(1);
/// How much of a second's rate may leave at once.
const BURST_SECONDS: f64 = 0.1;

/// What records are on their way to. Cheap to clone; clones are the same destination.
#[derive(Clone)]
pub struct Destination(Arc<Inner>);

struct Inner {
    name: String,
    meters: Meters,
    state: Mutex<State>,
    watchers: Mutex<Vec<Watcher>>,
}

/// What is counted, looked up once.
struct Meters {
    heard: [Counter; 4],
    is_open: Gauge,
    concurrency: Gauge,
}

type Watcher = Box<dyn Fn() + Send + Sync>;

/// What one call of the destination has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It works, whatever it thinks of the record.
    Well,
    /// It asks for less; what it said.
    Pressed(String),
    /// It does not work; what went wrong.
    Trouble(String),
    /// It will have nothing from us, so that there is no point in sending; what it said.
    Refused(String),
}

/// What a call has changed for all records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// From now on nothing but probes is sent, for this reason. It is told once more where a destination in trouble
    /// turns out to refuse us.
    Opened(String),
    /// Records are sent again.
    Closed,
}

/// Whether one more record may set out.
#[derive(Debug)]
pub(crate) enum Admission<P = Pass> {
    /// It may, and holds a place until it is back.
    Go(P),
    /// Not before this time: the rate is used up, or the next probe is not due.
    NotBefore(Instant),
    /// All places are taken, or a probe is under way: who watches is told when that has changed.
    NotNow,
}

/// The place of a record that is on its way; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Pass {
    destination: Destination,
    place: Place,
}

impl Destination {
    /// A destination that is taken to work. Its metrics are told apart by `name`.
    pub fn new(name: impl Into<String>, settings: DestinationSettings) -> Self {
        let (name, state) = (name.into(), Mutex::new(State::new(settings, Instant::now())));
        let (meters, watchers) = (Meters::of(&name), Mutex::default());
        let it = Self(Arc::new(Inner { name, meters, state, watchers }));
        it.show(&it.state());
        it
    }

    /// Takes in what was heard of a call that began at `began`, and says what that has changed.
    pub fn heard(&self, began: Instant, heard: Heard) -> Option<Change> {
        self.0.meters.heard[heard.place()].increment(1);
        let mut state = self.state();
        let change = state.heard(began, heard, Instant::now());
        self.show(&state);
        self.tell(state);
        change
    }

    /// Why the circuit is open, if it is.
    pub fn open_for(&self) -> Option<String> {
        self.open_since().map(|(_, why)| why)
    }

    /// Since when the circuit is open, and why, if it is.
    pub fn open_since(&self) -> Option<(Instant, String)> {
        match &self.state().circuit {
            Circuit::Open(open) => Some((open.since, open.why.clone())),
            Circuit::Closed => None,
        }
    }

    /// How many records may be on their way at a time just now.
    pub fn concurrency(&self) -> usize {
        self.state().concurrency()
    }

    /// How long the open circuit waits for its next probe, before jitter.
    pub fn probe_interval(&self) -> Duration {
        self.state().probe_interval()
    }

    /// Lets one more record of this lane set out, or not.
    pub(crate) fn admit(&self, now: Instant, lane: Lane) -> Admission {
        let admission = self.state().admit(now, lane);
        match admission {
            Admission::Go(place) => Admission::Go(Pass { destination: self.clone(), place }),
            Admission::NotBefore(at) => Admission::NotBefore(at),
            Admission::NotNow => Admission::NotNow,
        }
    }

    /// Calls `changed` whenever asking again may have another answer than the last one. It must come back at once
    /// and not call the destination itself.
    pub(crate) fn watch(&self, changed: Watcher) {
        lock(&self.0.watchers).push(changed);
    }

    /// How long the circuit has been open since the beginning, all times together.
    pub(crate) fn open_time(&self, now: Instant) -> Duration {
        self.state().open_time(now)
    }

    /// Whether both are the same destination.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let tell = state.must_tell();
        drop(state);
        if tell {
            lock(&self.0.watchers).iter().for_each(|changed| changed());
        }
    }

    fn show(&self, state: &State) {
        let is_open = matches!(state.circuit, Circuit::Open(_));
        self.0.meters.is_open.set(if is_open { 1.0 } else { 0.0 });
        self.0.meters.concurrency.set(state.concurrency() as f64);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = &*self.state();
        f.debug_tuple("Destination").field(&self.0.name).field(state).finish()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.destination.state();
        state.give_back(self.place);
        self.destination.tell(state);
    }
}

impl Heard {
    const NAMES: [&'static str; 4] = ["well", "pressed", "trouble", "refused"];

    /// Its place among the names.
    fn place(&self) -> usize {
        match self {
            Self::Well => 0,
            Self::Pressed(_) => 1,
            Self::Trouble(_) => 2,
            Self::Refused(_) => 3,
        }
    }
}

impl Meters {
    fn of(name: &str) -> Self {
        let name = name.to_owned();
        Self {
            heard: Heard::NAMES.map(|heard| {
                metrics::counter!("eventbus_destination_heard_total",
                    "destination" => name.clone(), "heard" => heard)
            }),
            is_open: metrics::gauge!("eventbus_destination_open", "destination" => name.clone()),
            concurrency: metrics::gauge!("eventbus_destination_concurrency",
                "destination" => name),
        }
    }
}

/// The rules, in a time that the caller tells.
#[derive(Clone, Debug)]
struct State {
    settings: DestinationSettings,
    /// How many records may be on their way; only the whole part counts.
    limit: f64,
    decreased_at: Option<Instant>,
    on_their_way: usize,
    /// Those of them that are of a sync, and how many of those there may be, by the last one that asked.
    sync_on_their_way: usize,
    sync_places: usize,
    /// When the last live record set out.
    live_at: Option<Instant>,
    /// In a row.
    failures: u32,
    circuit: Circuit,
    /// When it opened last: what began before says nothing new.
    opened_at: Option<Instant>,
    /// How long it was open before.
    open_before: Duration,
    probes: u64,
    tokens: f64,
    filled_at: Instant,
    /// A record of this lane, live before sync, was told to wait for a change and has not heard of one since.
    waiting: Option<Lane>,
}

#[derive(Clone, Debug)]
enum Circuit {
    Closed,
    Open(Open),
}

#[derive(Clone, Debug)]
struct Open {
    why: String,
    severity: Severity,
    since: Instant,
    next_probe_at: Instant,
    /// The probe that is under way.
    probe: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Trouble,
    Refusal,
}

/// What a record that is on its way holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    lane: Lane,
    /// Its number, where it is a probe.
    probe: Option<u64>,
}

impl State {
    fn new(settings: DestinationSettings, now: Instant) -> Self {
        let mut it = Self {
            settings,
            limit: settings.concurrency_max.max(1) as f64,
            decreased_at: None,
            on_their_way: 0,
            sync_on_their_way: 0,
            sync_places: 0,
            live_at: None,
            failures: 0,
            circuit: Circuit::Closed,
            opened_at: None,
            open_before: Duration::ZERO,
            probes: 0,
            tokens: 0.0,
            filled_at: now,
            waiting: None,
        };
        it.tokens = it.burst();
        it
    }

    fn concurrency(&self) -> usize {
        self.limit as usize
    }

    fn probe_interval(&self) -> Duration {
        Duration::from_secs_f64(self.settings.probe_interval_seconds)
    }

    fn admit(&mut self, now: Instant, lane: Lane) -> Admission<Place> {
        if let Circuit::Open(Open { next_probe_at, probe: None, .. }) = self.circuit
            && now < next_probe_at
        {
            self.wait(lane);
            return Admission::NotBefore(next_probe_at);
        }
        match lane {
            Lane::Live => self.live_at = Some(now),
            Lane::Sync => self.sync_places = self.places_of_sync(now),
        }
        if self.is_full(lane) {
            self.wait(lane);
            return Admission::NotNow;
        }
        if let Err(at) = self.take_token(now) {
            return Admission::NotBefore(at);
        }
        self.on_their_way += 1;
        self.sync_on_their_way += usize::from(lane == Lane::Sync);
        let Circuit::Open(open) = &mut self.circuit else {
            return Admission::Go(Place { lane, probe: None });
        };
        self.probes += 1;
        open.probe = Some(self.probes);
        Admission::Go(Place { lane, probe: open.probe })
    }

    fn wait(&mut self, lane: Lane) {
        self.waiting = match self.waiting {
            Some(Lane::Live) => Some(Lane::Live),
            Some(Lane::Sync) | None => Some(lane),
        };
    }

    /// Whether no record of this lane may set out until somebody is back or something is heard.
    fn is_full(&self, lane: Lane) -> bool {
        let probing = matches!(self.circuit, Circuit::Open(Open { probe: Some(_), .. }));
        let its_own_are_taken = match lane {
            Lane::Live => false,
            Lane::Sync => self.sync_on_their_way >= self.sync_places,
        };
        probing || its_own_are_taken || self.on_their_way >= self.concurrency()
    }

    /// How many records of syncs may be on their way: at least one.
    fn places_of_sync(&self, now: Instant) -> usize {
        let live_follow =
            self.live_at.is_some_and(|it| now.saturating_duration_since(it) < LIVE_FOLLOW);
        let left = if live_follow { self.settings.live_share } else { LEFT_TO_LIVE };
        let places = self.concurrency();
        let left = (places as f64 * left.max(LEFT_TO_LIVE)).floor() as usize;
        places.saturating_sub(left).max(1)
    }

    fn give_back(&mut self, Place { lane, probe: number }: Place) {
        self.on_their_way -= 1;
        self.sync_on_their_way -= usize::from(lane == Lane::Sync);
        // A probe of which nothing was heard leaves its time to the next one.
        if let Circuit::Open(Open { probe, .. }) = &mut self.circuit
            && number.is_some()
            && *probe == number
        {
            *probe = None;
        }
    }

    fn heard(&mut self, began: Instant, heard: Heard, now: Instant) -> Option<Change> {
        if self.opened_at.is_some_and(|it| began <= it) {
            return None;
        }
        let why = match heard {
            Heard::Well => return self.well(now),
            Heard::Refused(why) => return self.open(Severity::Refusal, why, now),
            Heard::Pressed(why) => {
                self.decrease(began, now);
                why
            }
            Heard::Trouble(why) => why,
        };
        self.failures = self.failures.saturating_add(1);
        let why = match self.circuit {
            Circuit::Closed if self.failures < self.settings.open_after_failures => return None,
            Circuit::Closed => format!("{} failures in a row: {why}", self.failures),
            Circuit::Open(_) => why,
        };
        self.open(Severity::Trouble, why, now)
    }

    /// By one for each time that as many as are allowed got through.
    fn well(&mut self, now: Instant) -> Option<Change> {
        self.limit =
            (self.limit + 1.0 / self.limit).min(self.settings.concurrency_max.max(1) as f64);
        self.failures = 0;
        self.open_before = self.open_time(now);
        match std::mem::replace(&mut self.circuit, Circuit::Closed) {
            Circuit::Open(_) => Some(Change::Closed),
            Circuit::Closed => None,
        }
    }

    /// Opens the circuit; where it is open, the next probe has to wait for a whole interval.
    fn open(&mut self, severity: Severity, why: String, now: Instant) -> Option<Change> {
        let jitter = 1.0 + PROBE_JITTER * fastrand::f64();
        let next_probe_at = now + self.probe_interval().mul_f64(jitter);
        let (since, probe) = match &mut self.circuit {
            Circuit::Open(open) if severity <= open.severity => {
                open.next_probe_at = next_probe_at;
                return None;
            }
            Circuit::Open(open) => (open.since, open.probe),
            Circuit::Closed => {
                self.opened_at = Some(now);
                (now, None)
            }
        };
        let open = Open { why: why.clone(), severity, since, next_probe_at, probe };
        self.circuit = Circuit::Open(open);
        Some(Change::Opened(why))
    }

    /// Once for all calls that were under way together.
    fn decrease(&mut self, began: Instant, now: Instant) {
        if self.decreased_at.is_some_and(|it| began <= it) {
            return;
        }
        let least = self.settings.concurrency_min.clamp(1, self.settings.concurrency_max.max(1));
        self.limit = (self.limit * DECREASE).max(least as f64);
        self.decreased_at = Some(now);
    }

    /// Answers when there is a token again where there is none.
    fn take_token(&mut self, now: Instant) -> Result<(), Instant> {
        let rate = self.settings.rate_per_second;
        if rate <= 0.0 {
            return Ok(());
        }
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + rate * passed).min(self.burst());
        self.filled_at = self.filled_at.max(now);
        if self.tokens < 1.0 {
            // A little more, so that what is lost in rounding asks nobody to come twice.
            let missing = Duration::from_secs_f64((1.0 - self.tokens) / rate);
            return Err(now + missing + Duration::from_micros(1));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    fn burst(&self) -> f64 {
        (self.settings.rate_per_second * BURST_SECONDS).max(1.0)
    }

    fn open_time(&self, now: Instant) -> Duration {
        match &self.circuit {
            Circuit::Open(open) => self.open_before + now.saturating_duration_since(open.since),
            Circuit::Closed => self.open_before,
        }
    }

    /// Whether those who wait are to ask again.
    fn must_tell(&mut self) -> bool {
        let tells = self.waiting.is_some_and(|it| !self.is_full(it));
        tells && self.waiting.take().is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "destination_tests.rs"]
mod tests;
