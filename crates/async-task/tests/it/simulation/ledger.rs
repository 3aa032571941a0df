//! What really happened, to be compared with what tasks say.

use std::collections::{BTreeMap, HashMap, HashSet};

use async_task::{At, Child, End, Items, Payload as _, Requests, State, Task};
use events::{JobId, ReplyStatus, RequestId, SyncCounts};
use mongodb::bson::{deserialize_from_slice, serialize_to_vec};

use crate::payload::Work;

use super::{
    plan::Plan,
    world::{CopyId, World},
};

pub(super) const APPLIED: u8 = 1;
pub(super) const UNCHANGED: u8 = 2;
pub(super) const SUPERSEDED: u8 = 4;
pub(super) const REJECTED: u8 = 8;
pub(super) const UNSENDABLE: u8 = 16;
pub(super) const GONE: u8 = 32;
pub(super) const EXPIRED: u8 = 64;

/// Most bytes of a document.
const BYTES_MAX: usize = 64 * 1_024;

/// The mark of an answer.
pub(super) fn bit_of(status: ReplyStatus) -> u8 {
    match status {
        ReplyStatus::Applied => APPLIED,
        ReplyStatus::Unchanged => UNCHANGED,
        ReplyStatus::Superseded => SUPERSEDED,
        ReplyStatus::Rejected => REJECTED,
        ReplyStatus::Expired => EXPIRED,
        ReplyStatus::NotSent => 0,
    }
}

/// What happened to the records of a bulk.
#[derive(Debug)]
pub(super) struct BulkLedger {
    job_id: JobId,
    parent: RequestId,
    entities: Vec<u32>,
    /// What was answered, by the record's place.
    pub(super) answers: Vec<u8>,
    /// How many copies were sent.
    copies: Vec<u16>,
    /// How many were to be sent: who was about to may have died.
    attempts: Vec<u16>,
    /// Writes of the task whose writer did not go on.
    cut: u32,
    /// Which of them the bulk has heard of.
    heard: Vec<u64>,
    /// When the last copy of all that were sent expires.
    expires_at: Vec<i64>,
    /// Whether that was a repair.
    repaired: Vec<bool>,
}

impl BulkLedger {
    pub(super) fn place(&self, entity: u32) -> Option<usize> {
        self.entities.binary_search(&entity).ok()
    }

    fn count(&self, of: impl Fn(usize) -> bool) -> u64 {
        (0..self.entities.len()).filter(|it| of(*it)).count() as u64
    }
}

/// How a task ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) reason: Option<String>,
    pub(super) counts: SyncCounts,
    pub(super) at: i64,
    pub(super) times: u32,
}

/// What really happened.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) bulks: Vec<BulkLedger>,
    pub(super) bulk_of: HashMap<RequestId, usize>,
    /// Tasks whose end was told, durably.
    pub(super) told: HashSet<RequestId>,
    /// Tasks whose service knows that they are done.
    pub(super) done: HashSet<RequestId>,
    pub(super) ended: BTreeMap<RequestId, Ended>,
    /// The sums of what bulks of a parent ended with.
    sums: HashMap<RequestId, SyncCounts>,
    /// Since when all of the tasks of a job are known to be cancelled.
    pub(super) cancelled_at: BTreeMap<JobId, i64>,
    /// Requests that each parent has open.
    open: BTreeMap<RequestId, u64>,
    /// Whether the backend told a job that it has an entity as it is, or newer.
    reached: HashMap<JobId, Vec<bool>>,
    /// When a walk sent an entity last.
    pub(super) walked_at: Vec<i64>,
    /// The last walk that was promised, by when it was asked for.
    pub(super) walk_from: Option<i64>,
    /// Whether nothing may be sent any more.
    pub(super) over: bool,
    writes: u64,
    pub(super) copies: u64,
    pub(super) open_most: u64,
    pub(super) bytes_most: usize,
    entities: usize,
}

impl Ledger {
    pub(super) fn new(plan: &Plan) -> Self {
        let entities = plan.entities as usize;
        Self { walked_at: vec![-1; entities], entities, ..Self::default() }
    }

    pub(super) fn note_answer(&mut self, bulk: usize, entity: u32, status: ReplyStatus) {
        if bit_of(status) & (APPLIED | UNCHANGED | SUPERSEDED) != 0 {
            let (job, count) = (&self.bulks[bulk].job_id, self.entities);
            if !self.reached.contains_key(job) {
                self.reached.insert(job.clone(), vec![false; count]);
            }
            self.reached.get_mut(job).unwrap()[entity as usize] = true;
        }
    }

    pub(super) fn has_reached(&self, job: &JobId, entity: usize) -> bool {
        self.reached.get(job).is_some_and(|it| it[entity])
    }

    /// Records of a bulk are about to be sent.
    pub(super) fn note_attempt(&mut self, bulk: &RequestId, keys: &[String]) {
        let Some(bulk) = self.bulk_of.get(bulk).map(|it| &mut self.bulks[*it]) else { return };
        for key in keys {
            if let Some(place) = bulk.place(super::backend::number_of(key)) {
                bulk.attempts[place] += 1;
            }
        }
    }

    /// A task was written, and who wrote it may die before it goes on: then `goes_on` is never told.
    pub(super) fn note_write(&mut self, task: &RequestId, goes_on: bool) {
        let Some(bulk) = self.bulk_of.get(task).map(|it| &mut self.bulks[*it]) else { return };
        match goes_on {
            false => bulk.cut += 1,
            true => bulk.cut -= 1,
        }
    }

    pub(super) fn note_heard(&mut self, copy: CopyId) {
        self.bulks[copy.bulk].heard[copy.place] |= 1 << copy.copy.min(63);
    }
}

impl World {
    /// Looks at a write of a task for what must not be.
    pub(super) fn look_at_write(&mut self, before: Option<&Task<Work>>, after: &Task<Work>) {
        let id = &after.id;
        let is_walk = matches!(after.payload, Work::Walk { .. });
        if before.is_some_and(Task::has_ended) && !after.has_ended() && !is_walk {
            self.wrong(format!("{id} had ended and goes on"));
        }
        let begins = before.is_none() && !after.has_ended();
        if let (Requests::Items(items), None) = (&after.requests, before) {
            self.ledger.open_bulk(after, &items.open);
        }
        if after.is_tombstone() && before.is_some_and(|it| !it.is_tombstone()) {
            self.look_at_tombstone(after);
        }
        self.look_at_window(after);
        if after.has_ended() && !before.is_some_and(Task::has_ended) {
            self.look_at_end(after);
        }
        if after.counts.settled() > after.counts.total && !begins {
            self.wrong(format!("{id} counts more than there are: {:?}", after.counts));
        }
        self.weigh(after);
    }

    fn weigh(&mut self, task: &Task<Work>) {
        self.ledger.writes += 1;
        if !self.ledger.writes.is_multiple_of(self.plan.weigh_every) {
            return;
        }
        let bytes = serialize_to_vec(task).unwrap();
        self.ledger.bytes_most = self.ledger.bytes_most.max(bytes.len());
        if bytes.len() > BYTES_MAX {
            self.wrong(format!("{} has {} bytes", task.id, bytes.len()));
        }
        let read: Task<Work> = deserialize_from_slice(&bytes).unwrap();
        if read != *task {
            self.wrong(format!("{} is read otherwise than it was written", task.id));
        }
    }

    /// Only who is known to have heard is not told again.
    fn look_at_tombstone(&mut self, task: &Task<Work>) {
        if !task.payload.parent_is_here() {
            if !self.ledger.told.contains(&task.id) {
                self.wrong(format!("{} counts as heard before it was told", task.id));
            }
            return;
        }
        let parent = task.id.task_id().parse().ok();
        let parent = parent.and_then(|it: RequestId| self.stores[1].tasks.get(&it));
        if parent.is_some_and(|it| it.holds_open(&task.id)) {
            self.wrong(format!("{} counts as heard while its parent waits", task.id));
        }
    }

    /// The parents of a service never have more open than the window.
    fn look_at_window(&mut self, task: &Task<Work>) {
        let Some(children) = task.children() else { return };
        if matches!(task.payload, Work::Job { .. }) {
            return;
        }
        if children.open.len() > self.plan.limits.children_max {
            self.wrong(format!("{} has {} children", task.id, children.open.len()));
        }
        let open = self.really_open(task);
        self.ledger.open.insert(task.id.clone(), open);
        let parents: Vec<_> = self.ledger.open.keys().cloned().collect();
        for parent in parents {
            let Some(stored) = self.stores[1].tasks.get(&parent) else { continue };
            if parent != task.id {
                let open = self.really_open(stored);
                self.ledger.open.insert(parent, open);
            }
        }
        self.ledger.open.retain(|_, open| *open > 0);
        let open = self.ledger.open.values().sum::<u64>();
        self.ledger.open_most = self.ledger.open_most.max(open);
        if open > self.plan.limits.window_total + self.plan.appearing() {
            let of = &self.ledger.open;
            self.wrong.push(format!("at {} ms: {open} records are open: {of:?}", self.now));
        }
    }

    /// How many records of a parent's children have not come to an end, or were not sent yet.
    fn really_open(&self, parent: &Task<Work>) -> u64 {
        let open_of = |(key, child): (&String, &Child)| match self.stores[1]
            .tasks
            .get(&parent.request_id(key))
        {
            None => child.size,
            Some(bulk) => bulk.items().map_or(0, Items::len) as u64,
        };
        parent.children().map_or(0, |it| it.open.iter().map(open_of).sum())
    }

    fn look_at_end(&mut self, task: &Task<Work>) {
        let State::Ended { end, reason, .. } = &task.state else { return };
        let (id, counts, now) = (&task.id, task.counts, self.now);
        let ended = self.ledger.ended.entry(id.clone()).or_insert_with(|| Ended {
            end: *end,
            reason: reason.clone(),
            counts,
            at: now,
            times: 0,
        });
        (ended.end, ended.counts, ended.times) = (*end, counts, ended.times + 1);
        if ended.times > 1 && !matches!(task.payload, Work::Walk { .. }) {
            self.wrong(format!("{id} has ended twice"));
        }
        if counts.total != counts.settled() {
            self.wrong(format!("{id} ends with other counts than its total: {counts:?}"));
        }
        match &task.payload {
            Work::Bulk { .. } => self.look_at_bulk_end(task, *end, reason.as_deref()),
            Work::Job { .. } | Work::Accounts { .. } | Work::Again { .. } => {
                self.look_at_sum(task, *end, reason.as_deref());
            }
            Work::Walk { .. } => (),
        }
    }

    /// Every record of a bulk is counted once, as something that was really answered.
    fn look_at_bulk_end(&mut self, task: &Task<Work>, end: End, reason: Option<&str>) {
        let counts = task.counts;
        let bulk = &self.ledger.bulks[self.ledger.bulk_of[&task.id]];
        let can_be = |bits: u8| bulk.count(|it| bulk.answers[it] & bits != 0);
        let must_be = |bits: u8| {
            bulk.count(|it| {
                bulk.answers[it] & !EXPIRED != 0 && bulk.answers[it] & !EXPIRED & !bits == 0
            })
        };
        let unsent = bulk.count(|it| bulk.copies[it] == 0 || bulk.answers[it] & EXPIRED != 0);
        let unheard = bulk.count(|it| {
            let heard = bulk.heard[it].count_ones();
            bulk.cut > 0 || bulk.attempts[it] == 0 || u32::from(bulk.attempts[it]) > heard
        });
        let mut wrong = Vec::new();
        let cut_off = end == End::Cancelled || reason.is_some();
        for (name, count, bits) in [
            ("applied", counts.applied, APPLIED),
            ("unchanged", counts.unchanged, UNCHANGED),
            ("superseded", counts.superseded, SUPERSEDED),
            ("rejected", counts.rejected, REJECTED | UNSENDABLE),
            ("gone", counts.gone, GONE),
        ] {
            let least = if cut_off { 0 } else { must_be(bits) };
            if !(least..=can_be(bits)).contains(&count) {
                wrong.push(format!("{count} {name}, really {least} to {}", can_be(bits)));
            }
        }
        let (unsent, unheard) = if cut_off { (unsent, unheard) } else { (0, 0) };
        if counts.not_sent > unsent || counts.unknown > unheard {
            wrong.push(format!("{unsent} were not sent, {unheard} not heard of"));
        }
        if counts.total != bulk.entities.len() as u64 {
            wrong.push(format!("it has {} records", bulk.entities.len()));
        }
        let parent = bulk.parent.clone();
        let mine = |it: &&async_task::Failure| it.task_id == task.id;
        let kept = self.stores[1].failures.values().filter(mine).count() as u64;
        if self.plan.entities < 1_000 && kept < counts.rejected {
            wrong.push(format!("{kept} failures are kept"));
        }
        if !wrong.is_empty() {
            self.wrong(format!("{} ends as {counts:?}: {}", task.id, wrong.join("; ")));
        }
        let sum = self.ledger.sums.entry(parent).or_default();
        *sum = sum.plus(counts);
    }

    /// What a parent counts is what its children ended with.
    fn look_at_sum(&mut self, task: &Task<Work>, end: End, reason: Option<&str>) {
        let sum = self.ledger.sums.get(&task.id).copied().unwrap_or_default();
        let mut counts = task.counts;
        let cut_off = end == End::Failed || reason.is_some();
        if end == End::Cancelled && !cut_off {
            // What was never opened is no child's.
            let rest = counts.not_sent.saturating_sub(sum.not_sent);
            (counts.not_sent, counts.total) = (counts.not_sent - rest, counts.total - rest);
        }
        if counts != sum && !cut_off {
            self.wrong(format!("{} ends as {counts:?}, its children as {sum:?}", task.id));
        }
        if !matches!(task.payload, Work::Job { .. }) {
            let parent = task.id.task_id().parse().unwrap();
            let sum = self.ledger.sums.entry(parent).or_default();
            *sum = sum.plus(task.counts);
        }
    }

    /// A task went away that was not wanted any more.
    pub(super) fn look_at_deletion(&mut self, task: &Task<Work>) {
        let parent = task.id.task_id().parse().ok();
        let parent = parent.and_then(|it: RequestId| self.stores[1].tasks.get(&it));
        if parent.is_some_and(|it| it.holds_open(&task.id)) {
            self.wrong(format!("{} goes away while its parent waits", task.id));
        }
    }

    /// A cancelled job sends nothing more.
    pub(super) fn look_at_sending(&mut self, bulk: usize, task: &Task<Work>) {
        let job = &self.ledger.bulks[bulk].job_id;
        let cancelled_at = self.ledger.cancelled_at.get(job).copied().unwrap_or(i64::MAX);
        if self.current.1 > cancelled_at {
            self.wrong(format!("{} sends, cancelled at {cancelled_at} ms", task.id));
        }
        if self.ledger.over {
            self.wrong(format!("{} sends after the end: {task:?}", task.id));
        }
    }

    /// Nothing is sent again before its last copy has expired. Answers the number of the copy.
    pub(super) fn look_at_copy(
        &mut self,
        bulk: usize,
        place: usize,
        until: At,
        repair: bool,
    ) -> u16 {
        let now = self.now;
        self.ledger.copies += 1;
        let bulk = &mut self.ledger.bulks[bulk];
        let (entity, before) = (bulk.entities[place], bulk.expires_at[place]);
        bulk.expires_at[place] = before.max(until.0);
        // A repair that nobody noted, because who sent it died, is not known of.
        let repair = std::mem::replace(&mut bulk.repaired[place], repair) || repair;
        bulk.copies[place] += 1;
        let copy = bulk.copies[place] - 1;
        let is_walk = bulk.parent.as_str() == "walk";
        if is_walk {
            self.ledger.walked_at[entity as usize] = now;
        }
        // Who stalled before it sent does no harm: its copies have expired.
        if now <= before && now <= until.0 && !repair {
            self.wrong(format!("{entity} is sent again, its last copy expires at {before} ms"));
        }
        copy
    }
}

impl Ledger {
    fn open_bulk(&mut self, task: &Task<Work>, keys: &[String]) {
        let count = keys.len();
        let bulk = BulkLedger {
            job_id: task.job_id.clone(),
            parent: task.id.task_id().parse().unwrap(),
            entities: keys.iter().map(|it| super::backend::number_of(it)).collect(),
            answers: vec![0; count],
            copies: vec![0; count],
            attempts: vec![0; count],
            cut: 0,
            heard: vec![0; count],
            expires_at: vec![-1; count],
            repaired: vec![false; count],
        };
        self.bulk_of.insert(task.id.clone(), self.bulks.len());
        self.bulks.push(bulk);
    }
}
