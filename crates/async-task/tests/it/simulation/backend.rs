//! The simulated entities, and the backend that takes their records.

use async_task::{At, Failure, Sent, Task};
use events::{AppliedReply, JobId, ReplyStatus, RequestId, Revision};
use fastrand::Rng;

use crate::payload::Work;

use super::{
    ledger::{GONE, UNSENDABLE, bit_of},
    plan::{Change, Plan, SECOND, chance},
    world::{CopyId, Event, Message, World},
};

/// What the backend thinks of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Good,
    Bad,
    Unsendable,
}

/// One entity, in its service's store and at the backend.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    pub(super) alive: bool,
    pub(super) kind: Kind,
    /// Its revision in the service's store.
    pub(super) revision: u64,
    /// The one that the backend holds.
    pub(super) held: u64,
    /// When it appeared or vanished.
    pub(super) moved_at: Vec<i64>,
}

impl Entity {
    /// Whether it was there from one moment to another, and always.
    pub(super) fn was_there(&self, from: i64, to: i64) -> bool {
        let moves_since = self.moved_at.iter().filter(|it| **it > to).count();
        let moved = self.moved_at.iter().any(|it| (from..=to).contains(it));
        !moved && self.alive != (moves_since % 2 == 1)
    }
}

/// Records on their way to the backend, sent together.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    bulk: usize,
    id: RequestId,
    job_id: JobId,
    records: Vec<Record>,
    expires_at: i64,
    /// Whether they were there before.
    again: bool,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    entity: u32,
    place: usize,
    copy: u16,
    revision: u64,
}

/// All entities.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) entities: Vec<Entity>,
}

impl Backend {
    pub(super) fn new(plan: &Plan, rng: &mut Rng) -> Self {
        let entity = |number: u32| {
            let first = plan.changes.iter().filter(|it| it.1 == number).min_by_key(|it| it.0);
            let revision = rng.u64(100..200);
            let kind = match rng.f64() {
                luck if luck < plan.bad => Kind::Bad,
                luck if luck < plan.bad + plan.unsendable => Kind::Unsendable,
                _ => Kind::Good,
            };
            let held = if chance(rng, plan.set_back) { revision + rng.u64(1..10) } else { 0 };
            let alive = first.is_none_or(|it| it.2 != Change::Appears);
            Entity { alive, kind, revision, held, moved_at: Vec::new() }
        };
        Self { entities: (0..plan.entities).map(entity).collect() }
    }

    /// At most `room` living entities behind `cursor`, of those from one number to below another.
    pub(super) fn behind(&self, cursor: Option<&str>, range: (u32, u32), room: u64) -> Vec<u32> {
        let from = cursor.map_or(range.0, |it| (number_of(it) + 1).max(range.0));
        let living = (from..range.1).filter(|it| self.entities[*it as usize].alive);
        living.take(usize::try_from(room).unwrap()).collect()
    }
}

/// The key of an entity's record.
pub(super) fn key_of(entity: u32) -> String {
    format!("d{entity:07}")
}

/// The entity of a record's key.
pub(super) fn number_of(key: &str) -> u32 {
    key[1..].parse().unwrap()
}

impl World {
    /// An entity changes in its service's store; a live record tells the backend.
    pub(super) fn change(&mut self, number: u32, change: Change) {
        let now = self.now;
        let entity = &mut self.backend.entities[number as usize];
        match change {
            Change::Appears if entity.alive => return,
            Change::Vanishes if !entity.alive => return,
            Change::Appears | Change::Vanishes => {
                entity.alive = change == Change::Appears;
                entity.moved_at.push(now);
            }
            Change::Changes => (),
        }
        entity.revision += 1;
        if change == Change::Changes && entity.alive && self.plan.works_at(now) == now {
            entity.held = entity.held.max(entity.revision);
        }
    }

    /// Publishes records of a bulk, and notes those that there is nothing to send of.
    pub(super) fn send(
        &mut self,
        bulk: &Task<Work>,
        keys: &[String],
        expires_at: At,
        repair: bool,
        sent: &mut Sent,
    ) {
        let Some(index) = self.ledger.bulk_of.get(&bulk.id).copied() else {
            return self.wrong(format!("{} sends and is not there", bulk.id));
        };
        self.look_at_sending(index, bulk);
        let mut records = Vec::new();
        for key in keys {
            let number = number_of(key);
            let Some(place) = self.ledger.bulks[index].place(number) else {
                return self.wrong(format!("{} sends {key}, which it has not", bulk.id));
            };
            let entity = &self.backend.entities[number as usize];
            if !entity.alive {
                self.ledger.bulks[index].answers[place] |= GONE;
                sent.gone.push(key.clone());
            } else if entity.kind == Kind::Unsendable {
                self.ledger.bulks[index].answers[place] |= UNSENDABLE;
                let (class, why) = ("unsendable", "it cannot be built");
                let failure = Failure::unsendable((&bulk.job_id, &bulk.id), key, class, why);
                sent.failures.push(Failure { at: At(self.now), ..failure });
            } else {
                let revision = entity.revision;
                let copy = self.look_at_copy(index, place, expires_at, repair);
                records.push(Record { entity: number, place, copy, revision });
            }
        }
        for records in records.chunks(self.plan.chunk) {
            let delay = match chance(&mut self.rng, self.plan.faults.slow) {
                true => self.rng.i64(SECOND..60 * SECOND),
                false => self.rng.i64(5..150),
            };
            let chunk = Chunk {
                bulk: index,
                id: bulk.id.clone(),
                job_id: bulk.job_id.clone(),
                records: records.to_vec(),
                expires_at: expires_at.0,
                again: false,
            };
            self.at(self.now + delay, Event::Backend(chunk));
        }
    }

    /// The backend looks at records, and answers.
    pub(super) fn take_records(&mut self, chunk: Chunk) {
        let late = self.now > chunk.expires_at;
        if !late && self.plan.works_at(self.now) > self.now {
            let again = self.plan.works_at(self.now).min(chunk.expires_at + self.rng.i64(1..1_800));
            return self.at(again, Event::Backend(chunk));
        }
        for record in &chunk.records {
            let (status, held) = self.take(*record, late);
            self.ledger.bulks[chunk.bulk].answers[record.place] |= bit_of(status);
            self.ledger.note_answer(chunk.bulk, record.entity, status);
            let key = key_of(record.entity);
            let reply = AppliedReply {
                request_id: format!("{}/{key}", chunk.id).parse().unwrap(),
                job_id: Some(chunk.job_id.clone()),
                resource: key.try_into().unwrap(),
                revision: Revision::try_from(record.revision).unwrap(),
                held_revision: held.map(|it| Revision::try_from(it).unwrap()),
                status,
                http_status: (status == ReplyStatus::Rejected).then_some(422),
                error: (status == ReplyStatus::Rejected).then(|| "malformed".to_owned()),
            };
            let copy = CopyId { bulk: chunk.bulk, place: record.place, copy: record.copy };
            self.publish(Message::Result(reply, copy));
        }
        if !chunk.again && chance(&mut self.rng, self.plan.faults.repeat) {
            let at = self.now + self.rng.i64(0..60 * SECOND);
            self.at(at, Event::Backend(Chunk { again: true, ..chunk }));
        }
    }

    fn take(&mut self, record: Record, late: bool) -> (ReplyStatus, Option<u64>) {
        let entity = &mut self.backend.entities[record.entity as usize];
        let held = (entity.held > 0).then_some(entity.held);
        if late {
            return (ReplyStatus::Expired, held);
        }
        if entity.kind == Kind::Bad {
            return (ReplyStatus::Rejected, held);
        }
        if record.revision < entity.held {
            return (ReplyStatus::Superseded, held);
        }
        let unchanged = record.revision == entity.held;
        entity.held = record.revision;
        match unchanged {
            true => (ReplyStatus::Unchanged, Some(record.revision)),
            false => (ReplyStatus::Applied, Some(record.revision)),
        }
    }

    /// The backend holds more than was sent: where the store was set back, it is raised. Answers those keys.
    pub(super) fn repair(&mut self, held: &[(String, Revision)]) -> Vec<String> {
        let set_back = held.iter().filter(|(key, held)| {
            let entity = &mut self.backend.entities[number_of(key) as usize];
            let is_set_back = entity.alive && entity.revision < held.get();
            if is_set_back {
                entity.revision = held.get() + 1;
            }
            is_set_back
        });
        set_back.map(|it| it.0.clone()).collect()
    }
}
