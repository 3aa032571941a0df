//! The tasks in which callbacks run. Each asks the dispatcher for a call, makes it, tells how it ended, and asks
//! again.
//!
//! A call that ends at once costs no task of its own. One that takes its time keeps the runner that began it, and
//! another runner goes on with what is ready. So there are as many runners as slow calls, and a few more: one that
//! looks for work where calls end at once, one for each core where they compute for long.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use futures_util::{FutureExt, poll};
use tokio::{runtime::Handle, time::Instant};

use super::{
    call::{Aftermath, Call, Ended},
    client::Waker,
    dispatcher::Dispatcher,
    handling::{Handling, Tried},
};

/// After so many calls that ended at once, the other tasks of the runtime have their turn.
const STREAK: u32 = 64;
/// A call that ended at once but took longer than this has computed: another core can help.
const LONG: Duration = Duration::from_micros(100);
/// How long a key waits whose attempt panicked outside of its callback.
const PAUSE: Duration = Duration::from_secs(1);

type Held = Box<Tried>;

/// Names a count of those who look for work.
type Count = u64;

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
    /// Runners that look for work: those that wait for a slow call do not.
    active: usize,
    /// How often they were counted anew.
    count: Count,
    /// Calls that were begun.
    begun: u64,
    /// When the last one began.
    begun_at: Instant,
    begun_before: u64,
    /// When the consumer's thread looks next by itself.
    pub(crate) wakes_at: Option<Instant>,
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
        let state = State {
            dispatcher,
            active: 0,
            count: 0,
            begun: 0,
            begun_at: Instant::now(),
            begun_before: 0,
            wakes_at: None,
        };
        let state = Mutex::new(state);
        Arc::new(Self { state, handling, runtime, waker, active_max, commit_every_records })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that somebody works on what is ready.
    pub(crate) fn rouse(self: &Arc<Self>, state: &mut State, now: Instant) {
        if state.active < self.wanted(state, now) && state.dispatcher.has_work() {
            self.spawn(state);
        }
    }

    /// How many runners should look for work: while calls end at once, more would only wait for each other.
    fn wanted(&self, state: &State, now: Instant) -> usize {
        match now.saturating_duration_since(state.begun_at) > LONG {
            true => self.active_max,
            false => 1,
        }
    }

    /// A callback that blocks its thread keeps its runner from looking for work: where no call has begun since this
    /// was asked last though one could, those who look are counted anew.
    pub(crate) fn rouse_in_spite_of_the_blocked(self: &Arc<Self>, state: &mut State) {
        let stands_still = state.begun == state.begun_before;
        state.begun_before = state.begun;
        if stands_still && state.dispatcher.has_work() {
            state.count += 1;
            state.active = 0;
            self.spawn(state);
        }
    }

    fn spawn(self: &Arc<Self>, state: &mut State) {
        state.active += 1;
        self.runtime.spawn(Arc::clone(self).run(state.count));
    }

    async fn run(self: Arc<Self>, count: Count) {
        let (mut counted, mut streak) = (Some(count), 0);
        let mut next = self.begin(&mut self.state(), Instant::now(), counted);
        while let Some((call, began)) = next {
            streak += 1;
            if streak % STREAK == 0 {
                tokio::task::yield_now().await;
            }
            next = self.make(call, began, &mut counted).await;
        }
    }

    /// Makes a call. Answers the next one, where this runner shall go on. `counted` is the count in which the runner
    /// is one of those who look for work.
    async fn make(
        self: &Arc<Self>,
        mut call: Call<Held>,
        began: Instant,
        counted: &mut Option<Count>,
    ) -> Option<(Call<Held>, Instant)> {
        let (registered, records) = (Arc::clone(&call.registered), call.places.len());
        let ended = {
            let attempt = self.handling.attempt(&registered, &mut call.entries);
            // Whatever panics, the call is told to have ended: its keys would stand still for ever.
            let mut attempt = pin!(AssertUnwindSafe(attempt).catch_unwind());
            match poll!(attempt.as_mut()) {
                Poll::Ready(ended) => Some(ended),
                Poll::Pending => {
                    let broken_off = {
                        let mut state = self.state();
                        state.active -= usize::from(*counted == Some(state.count));
                        *counted = None;
                        self.rouse(&mut state, Instant::now());
                        state.dispatcher.slow(call.id, &call.places)
                    };
                    broken_off.run_until_cancelled(attempt).await
                }
            }
        };
        let ended = match ended {
            Some(Ok(ended)) => ended,
            Some(Err(_)) => vec![Ended::Retry { after: PAUSE }; records],
            None => vec![Ended::Untouched; records],
        };
        self.end(call, &ended, began, counted)
    }

    fn end(
        self: &Arc<Self>,
        call: Call<Held>,
        ended: &[Ended],
        began: Instant,
        counted: &mut Option<Count>,
    ) -> Option<(Call<Held>, Instant)> {
        let now = Instant::now();
        let mut state = self.state();
        let done_before = state.dispatcher.done_since_commit();
        let aftermath = state.dispatcher.complete(call, ended, now);
        if self.concerns_the_thread(&state, done_before, aftermath) {
            self.waker.wake();
        }
        let has_computed = counted.is_some() && now - began > LONG;
        let wanted = if has_computed { self.active_max } else { self.wanted(&state, now) };
        state.active += usize::from(*counted != Some(state.count));
        *counted = Some(state.count);
        if state.active > wanted {
            state.active -= 1;
            return None;
        }
        if state.active < wanted && state.dispatcher.has_work() {
            self.spawn(&mut state);
        }
        self.begin(&mut state, now, *counted)
    }

    /// The next call. A runner that gets none ends.
    fn begin(
        &self,
        state: &mut State,
        now: Instant,
        counted: Option<Count>,
    ) -> Option<(Call<Held>, Instant)> {
        let next = match self.handling.guard().stopped() {
            Some(_) => None,
            None => state.dispatcher.next(now),
        };
        match next {
            Some(_) => (state.begun, state.begun_at) = (state.begun + 1, now),
            None => state.active -= usize::from(counted == Some(state.count)),
        }
        next.map(|it| (it, now))
    }

    fn concerns_the_thread(&self, state: &State, done_before: u64, after: Aftermath) -> bool {
        let due = state.dispatcher.done_since_commit() >= self.commit_every_records;
        let commit_is_due = due && done_before < self.commit_every_records;
        let is_earlier = |it: Instant| state.wakes_at.is_none_or(|planned| it < planned);
        after.room || after.drained || commit_is_due || after.due.is_some_and(is_earlier)
    }
}
