//! The tasks in which callbacks run. Each asks the dispatcher for calls, makes them, tells how they ended, and asks
//! again.
//!
//! A call that ends at once costs no task of its own. One that takes its time keeps the runner that began it, and
//! another runner goes on with what is ready. So there are as many runners as slow calls, and a few more: one that
//! looks for work where calls end at once, one for each core where they compute for long.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use futures_util::{FutureExt, poll};
use slab::Slab;
use smallvec::smallvec;
use tokio::{runtime::Handle, time::Instant};

use super::{
    call::{Aftermath, Call, Ended, Few},
    client::Waker,
    dispatcher::Dispatcher,
    handling::{Handling, Tried},
};

/// After so many calls that ended at once, a runner begins several together …
const STREAK: u32 = 64;
/// … namely so many: then the lock is taken once for all of them.
const TOGETHER: usize = 16;
/// After it was given calls so many times, a runner lets the other tasks of the runtime have their turn. One that is
/// moved to another core too often finds its records in no cache.
const TURN: u32 = 128;
/// A call that ended at once but took longer than this has computed. Where two in a row have, other cores help: one
/// alone may just have been interrupted.
const LONG: Duration = Duration::from_micros(100);
/// Where no call has begun for so long, another runner looks whether one can.
const QUIET: Duration = Duration::from_millis(5);
/// How long a key waits whose attempt panicked outside of its callback.
const PAUSE: Duration = Duration::from_secs(1);

type Held = Box<Tried>;

/// Everything that the runners share.
pub(crate) struct Runners {
    state: Mutex<State>,
    pub(crate) handling: Handling,
    runtime: Handle,
    waker: Waker,
    /// Most runners that look for work at a time.
    active_max: usize,
    commit_every_records: u64,
}

pub(crate) struct State {
    pub(crate) dispatcher: Dispatcher<Held>,
    /// What the runners have begun together and not told yet.
    bundles: Slab<Arc<Mutex<Bundle>>>,
    /// Runners that look for work: those that wait for a slow call do not.
    active: usize,
    /// When a call began last.
    begun_at: Instant,
    /// When the consumer's thread looks next by itself.
    pub(crate) wakes_at: Option<Instant>,
}

/// Calls that a runner has begun together. Where one of them blocks its thread, the others are taken away from it.
#[derive(Default)]
struct Bundle {
    next: VecDeque<Call<Held>>,
    ended: Vec<(Call<Held>, Few<Ended>)>,
    /// Its runner is one of those who look for work.
    is_active: bool,
    /// How many of its calls were made, and how many when that was looked at last.
    made: u64,
    made_before: Option<u64>,
}

/// One task.
struct Runner {
    all: Arc<Runners>,
    bundle: Arc<Mutex<Bundle>>,
    place: usize,
    /// Calls in a row that ended at once.
    streak: u32,
    /// Calls in a row that computed for long; a helper begins with those of whom it helps.
    computed: u32,
    /// It has just called somebody to help.
    has_called: bool,
}

impl Runners {
    pub(crate) fn new(
        dispatcher: Dispatcher<Held>,
        handling: Handling,
        runtime: Handle,
        waker: Waker,
        commit_every_records: u64,
    ) -> Arc<Self> {
        let active_max = runtime.metrics().num_workers().max(1);
        let state = Mutex::new(State {
            dispatcher,
            bundles: Slab::new(),
            active: 0,
            begun_at: Instant::now(),
            wakes_at: None,
        });
        Arc::new(Self { state, handling, runtime, waker, active_max, commit_every_records })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that somebody works on what is ready.
    pub(crate) fn rouse(self: &Arc<Self>, state: &mut State, now: Instant) {
        if state.active < self.wanted(state, now) && state.dispatcher.has_work() {
            self.spawn(state, VecDeque::new(), 1);
        }
    }

    /// How many runners should look for work: while calls end at once, more would only wait for each other.
    fn wanted(&self, state: &State, now: Instant) -> usize {
        match now.saturating_duration_since(state.begun_at) > QUIET {
            true => self.active_max,
            false => 1,
        }
    }

    /// A callback that blocks its thread keeps its runner from looking for work, and from what it has begun: a runner
    /// that has not moved since this was asked last does not count any more, and what it has begun is taken over.
    pub(crate) fn rouse_in_spite_of_the_blocked(self: &Arc<Self>, state: &mut State, now: Instant) {
        let mut next = VecDeque::new();
        let bundles: Vec<_> = state.bundles.iter().map(|(_, it)| Arc::clone(it)).collect();
        for bundle in bundles {
            let mut bundle = lock(&bundle);
            if bundle.made_before == Some(bundle.made) {
                state.active -= usize::from(std::mem::take(&mut bundle.is_active));
                next.append(&mut bundle.next);
                self.tell(state, &mut bundle.ended, now);
            }
            bundle.made_before = Some(bundle.made);
        }
        match next.is_empty() {
            true => self.rouse(state, now),
            false => self.spawn(state, next, 0),
        }
    }

    fn spawn(self: &Arc<Self>, state: &mut State, next: VecDeque<Call<Held>>, computed: u32) {
        state.active += 1;
        let bundle = Bundle { next, is_active: true, ..Bundle::default() };
        let bundle = Arc::new(Mutex::new(bundle));
        let place = state.bundles.insert(Arc::clone(&bundle));
        let all = Arc::clone(self);
        let runner = Runner { all, bundle, place, streak: 0, computed, has_called: false };
        self.runtime.spawn(runner.run());
    }

    /// Tells the dispatcher how calls have ended.
    fn tell(&self, state: &mut State, all: &mut Vec<(Call<Held>, Few<Ended>)>, now: Instant) {
        let done_before = state.dispatcher.done_since_commit();
        let mut concerns_the_thread = false;
        for (call, ended) in all.drain(..) {
            let Aftermath { room, drained, due } = state.dispatcher.complete(call, &ended, now);
            let is_earlier = |it: Instant| state.wakes_at.is_none_or(|planned| it < planned);
            concerns_the_thread |= room || drained || due.is_some_and(is_earlier);
        }
        let due = state.dispatcher.done_since_commit() >= self.commit_every_records;
        if concerns_the_thread || (due && done_before < self.commit_every_records) {
            self.waker.wake();
        }
    }
}

impl Runner {
    async fn run(mut self) {
        let mut turn = 0;
        loop {
            let mut began = Instant::now();
            while let Some(call) = self.next() {
                began = self.make(call, began).await;
            }
            if !self.refill() {
                break;
            }
            turn += 1;
            // Whom it has called may stand behind it on its own core.
            if std::mem::take(&mut self.has_called) || turn % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn next(&self) -> Option<Call<Held>> {
        let mut bundle = lock(&self.bundle);
        bundle.made += 1;
        bundle.next.pop_front()
    }

    /// Makes a call. Answers when it ended.
    async fn make(&mut self, mut call: Call<Held>, began: Instant) -> Instant {
        let (registered, records) = (Arc::clone(&call.registered), call.places.len());
        let all = Arc::clone(&self.all);
        let ended = {
            let attempt = all.handling.attempt(&registered, &mut call.entries, began);
            // Whatever panics, the call is told to have ended: its keys would stand still for ever.
            let mut attempt = pin!(AssertUnwindSafe(attempt).catch_unwind());
            match poll!(attempt.as_mut()) {
                Poll::Ready(ended) => Some(ended),
                Poll::Pending => {
                    let broken_off = {
                        let mut state = self.step_aside();
                        state.dispatcher.slow(call.id, &call.places)
                    };
                    broken_off.run_until_cancelled(attempt).await
                }
            }
        };
        let ended = match ended {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => smallvec![Ended::Retry { after: PAUSE }; records],
            None => smallvec![Ended::Untouched; records],
        };
        let now = Instant::now();
        let ended_at_once = {
            let mut bundle = lock(&self.bundle);
            bundle.ended.push((call, ended));
            bundle.is_active
        };
        let was_long = now - began > LONG;
        self.computed = if ended_at_once && was_long { self.computed + 1 } else { 0 };
        self.streak = if ended_at_once && self.computed < 2 { self.streak + 1 } else { 0 };
        now
    }

    /// A call takes its time: somebody else goes on with what was begun together with it.
    fn step_aside(&mut self) -> MutexGuard<'_, State> {
        let all = &self.all;
        let mut state = all.state();
        let now = Instant::now();
        let mut bundle = lock(&self.bundle);
        state.active -= usize::from(std::mem::take(&mut bundle.is_active));
        let next = std::mem::take(&mut bundle.next);
        all.tell(&mut state, &mut bundle.ended, now);
        match next.is_empty() {
            true => all.rouse(&mut state, now),
            false => all.spawn(&mut state, next, 0),
        }
        drop(bundle);
        state
    }

    /// Tells what has ended and begins what is next. Answers whether this runner goes on.
    fn refill(&mut self) -> bool {
        let now = Instant::now();
        let mut state = self.all.state();
        let mut bundle = lock(&self.bundle);
        self.all.tell(&mut state, &mut bundle.ended, now);
        let wanted = match self.computed >= 2 {
            true => self.all.active_max,
            false => self.all.wanted(&state, now),
        };
        state.active += usize::from(!std::mem::replace(&mut bundle.is_active, true));
        if state.active <= wanted && self.all.handling.guard().stopped().is_none() {
            let most = if self.streak >= STREAK { TOGETHER } else { 1 };
            let next = std::iter::from_fn(|| state.dispatcher.next(now)).take(most);
            bundle.next.extend(next);
        }
        if bundle.next.is_empty() {
            state.active -= 1;
            state.bundles.remove(self.place);
            return false;
        }
        state.begun_at = now;
        let next = state.dispatcher.next_wake();
        if next.is_some_and(|it| state.wakes_at.is_none_or(|planned| it < planned)) {
            self.all.waker.wake();
        }
        if state.active < wanted && state.dispatcher.has_work() {
            self.all.spawn(&mut state, VecDeque::new(), self.computed);
            self.has_called = true;
        }
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
