//! Which record runs next: a state machine that is fed records, asked for calls and told how they ended.
//!
//! It knows no broker, no runtime and no clock. Records of one key run one at a time and in order, those of
//! different keys side by side; what is done out of order is committed when everything before it is done.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};

use rdkafka::TopicPartitionList;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    assigned::{Assigned, Stuck, positions},
    call::{Aftermath, Call, CallId, Ended, Entry, Epoch, Few, Limits, Place},
    lines::{Line, Lines, Waiter},
    partition::{KeyId, KeyState, Keyed, Seq},
};
use crate::{
    Batch, Destination, Lane,
    destination::{Admission, Pass},
    registry::{Callback, Registered},
};

/// See the module.
pub(crate) struct Dispatcher<R> {
    limits: Limits,
    partitions: BTreeMap<Epoch, Assigned<R>>,
    last_epoch: Epoch,
    last_call: CallId,
    registered: BTreeMap<String, (Arc<Registered>, usize)>,
    lines: Lines,
    waiting: BinaryHeap<Reverse<(Instant, Epoch, KeyId)>>,
    /// Records that expire, with the number by which it is seen whether they still stand at the head.
    expiring: BinaryHeap<Reverse<(Instant, Epoch, KeyId, Seq)>>,
    in_flight: usize,
    done_since_commit: u64,
    /// The latest time that was told: who asks with an earlier one has waited for the lock.
    now: Option<Instant>,
}

impl<R: Keyed> Dispatcher<R> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            partitions: BTreeMap::new(),
            last_epoch: 0,
            last_call: 0,
            registered: BTreeMap::new(),
            lines: Lines::new(limits.sync_every),
            waiting: BinaryHeap::new(),
            expiring: BinaryHeap::new(),
            in_flight: 0,
            done_since_commit: 0,
            now: None,
        }
    }

    fn tick(&mut self, now: Instant) -> Instant {
        *self.now.insert(self.now.map_or(now, |it| it.max(now)))
    }

    /// From now on these callbacks handle their topics' records, and no others. Answers the destinations that are
    /// new.
    pub(crate) fn register(
        &mut self,
        all: impl IntoIterator<Item = Arc<Registered>>,
        now: Instant,
    ) -> Vec<Destination> {
        let mut ready: Vec<Waiter> = Vec::new();
        let lines = &mut self.lines;
        let known = lines.count();
        let placed = all.into_iter().map(|it| {
            let line = lines.of(it.registry.destination.as_ref());
            (it.registry.topic.clone(), (it, line))
        });
        self.registered = placed.collect();
        for (epoch, assigned) in &mut self.partitions {
            assigned.registered = self.registered.get(&*assigned.topic).cloned();
            ready.extend(assigned.records.ready_keys().map(|key| (*epoch, key)));
        }
        // Whatever line they stand in: it may not be theirs any more.
        let now = self.tick(now);
        ready.into_iter().for_each(|(epoch, key)| self.line_up(epoch, key, now));
        self.lines.destinations().skip(known).flatten().cloned().collect()
    }

    /// A partition is ours from now on.
    pub(crate) fn add(&mut self, topic: Arc<str>, partition: i32, now: Instant) -> Epoch {
        self.last_epoch += 1;
        let mut assigned = Assigned::new(topic, partition, now);
        assigned.registered = self.registered.get(&*assigned.topic).cloned();
        self.partitions.insert(self.last_epoch, assigned);
        self.last_epoch
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = (Epoch, &Assigned<R>)> {
        self.partitions.iter().map(|(epoch, it)| (*epoch, it))
    }

    /// Who handles the records of a partition.
    pub(crate) fn registered(&self, epoch: Epoch) -> Option<Arc<Registered>> {
        let (registered, _) = self.partitions.get(&epoch)?.registered.as_ref()?;
        Some(Arc::clone(registered))
    }

    /// How many more records of a partition may be taken.
    pub(crate) fn room(&mut self, epoch: Epoch) -> usize {
        // A share each, so that a partition whose records wait does not hold up the others.
        let share = (self.limits.bytes_max / self.partitions.len().max(1)).max(1);
        let Some(assigned) = self.partitions.get_mut(&epoch).filter(|it| !it.draining) else {
            return 0;
        };
        let room = match assigned.bytes < share {
            true => self.limits.window_max.saturating_sub(assigned.records.len()),
            false => 0,
        };
        assigned.full = room == 0;
        room
    }

    /// Takes in the broker's next record of a partition.
    pub(crate) fn take(&mut self, epoch: Epoch, offset: i64, entry: Entry<R>, now: Instant) {
        let now = self.tick(now);
        let Some(assigned) = self.partitions.get_mut(&epoch) else { return };
        let (bytes, expires_at) = (entry.bytes, entry.expires_at);
        let was_empty = assigned.records.len() == 0;
        let (key, is_ready) = assigned.records.push(offset, entry);
        assigned.bytes += bytes;
        if was_empty {
            assigned.front_moved(now);
        }
        let is_protected = assigned.registry().is_some_and(|it| it.destination.is_some());
        if let Some(at) = expires_at.filter(|_| is_protected) {
            let seq = assigned.records.last();
            self.expiring.push(Reverse((at, epoch, key, seq)));
            self.tidy();
        }
        if is_ready {
            self.line_up(epoch, key, now);
        }
    }

    /// Forgets the expiry of records that are done: now and then, so that it costs each of them next to nothing.
    fn tidy(&mut self) {
        let held: usize = self.partitions.values().map(|it| it.records.len()).sum();
        if self.expiring.len() > 2 * held + 1_000 {
            self.expiring.retain(|Reverse((_, epoch, _, seq))| {
                self.partitions.get(epoch).is_some_and(|it| it.records.holds(*seq))
            });
        }
    }

    /// Puts a ready key in line.
    fn line_up(&mut self, epoch: Epoch, key: KeyId, now: Instant) {
        let Some(assigned) = self.partitions.get_mut(&epoch) else { return };
        let Some((_, next)) = assigned.records.ready(key) else { return };
        // Where nobody handles it at the moment, it is lined up when somebody does.
        let Some((_, line)) = assigned.registered else { return };
        let lane = assigned.lane(key);
        let line = self.lines.get(line);
        match next.has_expired(now) && line.destination.is_some() {
            true => line.expired.push_back((epoch, key)),
            false => line.lane(lane).push_back((epoch, key)),
        }
    }

    /// Lines up the keys that have waited long enough, and the records that have expired.
    pub(crate) fn wake_due(&mut self, now: Instant) {
        let now = self.tick(now);
        self.lines.forget_due_refusals(now);
        while let Some(Reverse((due, epoch, key))) = self.waiting.peek().copied() {
            if due > now {
                break;
            }
            self.waiting.pop();
            let assigned = self.partitions.get_mut(&epoch);
            if assigned.is_some_and(|it| it.records.wake(key, KeyState::Waiting)) {
                self.line_up(epoch, key, now);
            }
        }
        while let Some(Reverse((due, epoch, key, seq))) = self.expiring.peek().copied() {
            if due > now {
                break;
            }
            self.expiring.pop();
            let assigned = self.partitions.get(&epoch);
            let next = assigned.and_then(|it| it.records.ready(key));
            // It stands in its lane too; whoever is taken out second is not ready any more.
            if next.is_some_and(|(it, _)| it == seq) {
                self.line_up(epoch, key, now);
            }
        }
    }

    /// When [`Self::wake_due`] or [`Self::next`] may have something that they do not have now.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let waiting = self.waiting.peek().map(|Reverse((due, ..))| *due);
        let expiring = self.expiring.peek().map(|Reverse((due, ..))| *due);
        [waiting, expiring, self.lines.not_before()].into_iter().flatten().min()
    }

    /// Whether [`Self::next`] is worth a try.
    pub(crate) fn has_work(&self) -> bool {
        self.in_flight < self.limits.in_flight_max && !self.lines.is_empty()
    }

    /// The next call, where one may start.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Call<R>> {
        if !self.has_work() {
            return None;
        }
        let now = self.tick(now);
        self.lines.forget_refusals();
        for (line, lane) in self.lines.order() {
            if let Some(call) = self.next_of(line, lane, now) {
                self.in_flight += 1;
                return Some(call);
            }
        }
        None
    }

    fn next_of(&mut self, line: usize, lane: Lane, now: Instant) -> Option<Call<R>> {
        let expired = |it: &Entry<R>| it.has_expired(now);
        // Nobody is in a hurry for them: live records go first.
        if lane == Lane::Sync
            && let Some(waiter) = self.first_of(line, |it| &mut it.expired, expired)
        {
            self.lines.get(line).expired.pop_front();
            self.lines.started(lane);
            return Some(self.begin(waiter, None, expired));
        }
        let waiter = self.first_of(line, |it| it.lane(lane), |_| true)?;
        let it = self.lines.get(line);
        let pass = match it.destination.as_ref().map(|it| it.admit(now, lane)) {
            None => None,
            Some(Admission::Go(pass)) => Some(pass),
            Some(Admission::NotBefore(at)) => {
                it.not_before = Some(at);
                return None;
            }
            Some(Admission::NotNow) => return None,
        };
        it.lane(lane).pop_front();
        self.lines.started(lane);
        let mut call = self.begin(waiter, pass, |_| true);
        if let Callback::Many(batch, _) = call.registered.registry.callback
            && !call.entries[0].alone
        {
            self.join(&mut call, line, lane, batch);
        }
        Some(call)
    }

    /// The first in a line who can start with a record that is `meant`; those before it are taken out of the line.
    fn first_of(
        &mut self,
        line: usize,
        queue: impl Fn(&mut Line) -> &mut VecDeque<Waiter>,
        meant: impl Fn(&Entry<R>) -> bool,
    ) -> Option<Waiter> {
        loop {
            let (epoch, key) = *queue(self.lines.get(line)).front()?;
            if let Some(assigned) = self.partitions.get_mut(&epoch).filter(|it| !it.draining)
                && assigned.records.ready(key).is_some_and(|(_, it)| meant(it))
                && assigned.registered.as_ref().is_some_and(|(_, its)| *its == line)
            {
                if assigned.records.may_start(key, self.limits.ahead_max) {
                    return Some((epoch, key));
                }
                assigned.records.hold(key);
                assigned.held.push_back(key);
            }
            queue(self.lines.get(line)).pop_front();
        }
    }

    /// Begins a call with a ready key; records behind its first one go with it if they are `meant`.
    fn begin(
        &mut self,
        (epoch, key): Waiter,
        pass: Option<Pass>,
        meant: impl Fn(&Entry<R>) -> bool,
    ) -> Call<R> {
        let assigned = self.partitions.get_mut(&epoch).expect("it was looked at just now");
        let (registered, _) = assigned.registered.as_ref().expect("it was looked at just now");
        let goes_alone = assigned.records.ready(key).is_some_and(|(_, it)| it.alone);
        let most = match registered.registry.callback {
            _ if goes_alone => 1,
            Callback::One(_) => 1,
            Callback::Many(batch, _) => batch.of_each_key(),
        };
        self.last_call += 1;
        let mut call = Call {
            id: self.last_call,
            registered: Arc::clone(registered),
            places: Few::new(),
            entries: Few::new(),
            pass,
        };
        start(assigned, (epoch, key), most.min(self.limits.room(assigned)), meant, &mut call);
        call
    }

    /// Adds further keys of the same topic to a call.
    fn join(&mut self, call: &mut Call<R>, line: usize, lane: Lane, batch: Batch) {
        while call.places.len() < batch.joined() {
            let Some(waiter) = self.first_of(line, |it| it.lane(lane), |_| true) else { break };
            let assigned = self.partitions.get_mut(&waiter.0).expect("it was looked at just now");
            let same = assigned.registered.as_ref();
            let goes_alone = assigned.records.ready(waiter.1).is_some_and(|(_, it)| it.alone);
            if goes_alone || !same.is_some_and(|(it, _)| Arc::ptr_eq(it, &call.registered)) {
                break;
            }
            self.lines.get(line).lane(lane).pop_front();
            let most = batch.of_each_key().min(batch.joined() - call.places.len());
            start(assigned, waiter, most.min(self.limits.room(assigned)), |_| true, call);
        }
    }

    /// A call takes its time. Answers by what it is broken off.
    pub(crate) fn slow(&mut self, call: CallId, places: &[Place]) -> CancellationToken {
        let token = CancellationToken::new();
        let mut is_ours = false;
        for place in places {
            if let Some(assigned) = self.partitions.get_mut(&place.epoch) {
                assigned.slow.insert(call, token.clone());
                is_ours = true;
            }
        }
        if !is_ours {
            token.cancel();
        }
        token
    }

    /// A call has ended, each of its records in its way. What belongs to an assignment that is over is dropped.
    pub(crate) fn complete(&mut self, call: Call<R>, ended: &[Ended], now: Instant) -> Aftermath {
        let now = self.tick(now);
        self.in_flight -= 1;
        let Call { id, places, entries, pass, .. } = call;
        // Before anything is lined up: it may be what the next one needs.
        drop(pass);
        let mut aftermath = Aftermath::default();
        // From the last to the first, so that what is not done stands in its old order again.
        let mut all = places.into_iter().zip(entries).zip(ended.iter().copied()).rev().peekable();
        let (mut state, mut due) = (KeyState::Ready, now);
        while let Some(((place, entry), ended)) = all.next() {
            let is_last_of_key = all
                .peek()
                .is_none_or(|((it, _), _)| (it.epoch, it.key) != (place.epoch, place.key));
            let Some(assigned) = self.partitions.get_mut(&place.epoch) else { continue };
            assigned.slow.remove(&id);
            assigned.running -= 1;
            match ended {
                Ended::Done => {
                    assigned.bytes -= entry.bytes;
                    assigned.records.finish(place.seq);
                    self.done_since_commit += 1;
                }
                Ended::Untouched => assigned.records.give_back(place.key, place.seq, entry),
                Ended::Retry { after } => {
                    (state, due) = (KeyState::Waiting, entry.due(now, after));
                    assigned.records.give_back(place.key, place.seq, entry);
                }
            }
            if is_last_of_key {
                let has_next = assigned.records.release(place.key, state);
                if state == KeyState::Waiting {
                    self.waiting.push(Reverse((due, place.epoch, place.key)));
                    aftermath.due = Some(aftermath.due.map_or(due, |it| it.min(due)));
                }
                self.settle(place.epoch, now, &mut aftermath);
                if has_next && state == KeyState::Ready {
                    self.line_up(place.epoch, place.key, now);
                }
                state = KeyState::Ready;
            }
        }
        aftermath
    }

    fn settle(&mut self, epoch: Epoch, now: Instant, aftermath: &mut Aftermath) {
        let Some(assigned) = self.partitions.get_mut(&epoch) else { return };
        aftermath.drained |= assigned.draining && assigned.running == 0;
        let Some(position) = assigned.records.advance() else { return };
        (assigned.position, assigned.uncommitted) = (Some(position), true);
        assigned.front_moved(now);
        let share = self.limits.bytes_max / self.partitions.len().max(1);
        let Some(assigned) = self.partitions.get_mut(&epoch) else { return };
        let half_empty =
            assigned.records.len() <= self.limits.window_max / 2 && assigned.bytes <= share / 2;
        if assigned.full && half_empty {
            assigned.full = false;
            aftermath.room = true;
        }
        let room = self.limits.ahead_max.saturating_sub(assigned.records.ahead());
        let mut free: Vec<KeyId> = Vec::new();
        let front =
            assigned.records.front().filter(|it| it.state == KeyState::Held).map(|it| it.id);
        free.extend(front);
        free.extend(assigned.held.drain(..room.min(assigned.held.len())));
        free.retain(|it| assigned.records.wake(*it, KeyState::Held));
        free.into_iter().for_each(|key| self.line_up(epoch, key, now));
    }

    /// Starts no record of these partitions any more.
    pub(crate) fn drain(&mut self, epochs: &[Epoch]) {
        for epoch in epochs {
            if let Some(assigned) = self.partitions.get_mut(epoch) {
                assigned.draining = true;
            }
        }
    }

    /// Whether no record of these partitions is running.
    pub(crate) fn is_idle(&self, epochs: &[Epoch]) -> bool {
        epochs.iter().filter_map(|it| self.partitions.get(it)).all(|it| it.running == 0)
    }

    /// Forgets a partition. What still runs is broken off; its records are delivered again. Answers how much that was.
    pub(crate) fn remove(&mut self, epoch: Epoch) -> usize {
        let Some(assigned) = self.partitions.remove(&epoch) else { return 0 };
        self.waiting.retain(|Reverse((_, it, _))| *it != epoch);
        self.expiring.retain(|Reverse((_, it, ..))| *it != epoch);
        assigned.slow.values().for_each(CancellationToken::cancel);
        assigned.running
    }

    /// The partitions that have stood still for longer than `limit`.
    pub(crate) fn stuck(&mut self, now: Instant, limit: Duration) -> Vec<Stuck> {
        self.partitions.values_mut().filter_map(|it| it.stuck(now, limit)).collect()
    }

    /// How many calls are under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many keys are ready and wait for their turn.
    pub(crate) fn lined_up(&self) -> usize {
        self.lines.len()
    }

    pub(crate) fn done_since_commit(&self) -> u64 {
        self.done_since_commit
    }

    /// The offsets that are not committed yet; `idle_only` leaves out partitions that have more to do.
    pub(crate) fn uncommitted(&self, idle_only: bool) -> TopicPartitionList {
        let wanted = |it: &&Assigned<R>| it.uncommitted && (!idle_only || it.records.len() == 0);
        positions(self.partitions.values().filter(wanted))
    }

    /// The offsets of these partitions, committed or not.
    pub(crate) fn positions(&self, epochs: &[Epoch]) -> TopicPartitionList {
        positions(epochs.iter().filter_map(|it| self.partitions.get(it)))
    }

    /// What is done is about to be committed.
    pub(crate) fn begin_commit(&mut self) {
        self.done_since_commit = 0;
    }

    /// These offsets are committed.
    pub(crate) fn mark_committed(&mut self, offsets: &TopicPartitionList) {
        for assigned in self.partitions.values_mut() {
            let committed = offsets.find_partition(&assigned.topic, assigned.partition);
            if committed.is_some_and(|it| it.offset().to_raw() == assigned.position) {
                assigned.uncommitted = false;
            }
        }
    }
}

fn start<R: Keyed>(
    assigned: &mut Assigned<R>,
    (epoch, key): Waiter,
    most: usize,
    meant: impl Fn(&Entry<R>) -> bool,
    call: &mut Call<R>,
) {
    let before = call.places.len();
    let may_join = |it: &Entry<R>| !it.alone && meant(it);
    assigned.records.start(key, most, may_join, |seq, entry| {
        call.places.push(Place { epoch, key, seq });
        call.entries.push(entry);
    });
    assigned.running += call.places.len() - before;
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
