//! The two services: one has jobs, the other has accounts. They know each other over the bus alone.

use std::ops::Bound;

use async_task::{At, Child, NewChild, Next, Order, Result, Sent, Service, State, Task, Tasks};
use events::{JobId, RequestId, Revision, SyncReply, SyncStatus};

use crate::payload::{RECORD_REPLY, TASK_REPLY, Work};

use super::{
    backend::key_of,
    store::Handle,
    world::{Message, Shared, World},
};

/// Tasks of a process.
pub(super) type SimTasks = Tasks<Handle, Simulated>;

/// A process's part of its service.
#[derive(Clone, Debug)]
pub(super) struct Simulated {
    pub(super) world: Shared,
    pub(super) process: usize,
}

/// How the reason of a child begins that somebody paused.
const PAUSED: &str = "paused: ";

impl Simulated {
    async fn publish(&self, message: Message) -> Result<()> {
        self.world.call(self.process, |world| world.publish(message)).await
    }
}

impl Service for Simulated {
    type Payload = Work;

    fn now(&self) -> At {
        let world = self.world.lock();
        At(world.now + world.skew[self.process])
    }

    async fn next(&self, parent: &Task<Work>, room: u64) -> Result<Next> {
        self.world.call(self.process, |world| world.next_of(parent, room)).await
    }

    async fn remaining(&self, parent: &Task<Work>) -> Result<u64> {
        let remaining = |world: &mut World| world.behind(parent, u64::from(u32::MAX)).len() as u64;
        self.world.call(self.process, remaining).await
    }

    async fn ask(&self, parent: &Task<Work>, request_id: &RequestId, _: &Child) -> Result<()> {
        let (request_id, job_id) = (request_id.clone(), parent.job_id.clone());
        if !matches!(parent.payload, Work::Job { .. }) {
            return self.publish(Message::Bulk { request_id, job_id }).await;
        }
        self.publish(Message::Ask { request_id, job_id }).await?;
        match &parent.state {
            State::Paused { why } => self.pass_on(parent, &Order::Pause(why.clone())).await,
            State::Running | State::Cancelling { .. } | State::Ended { .. } => Ok(()),
        }
    }

    async fn bulk(&self, parent: &Task<Work>, child: &Child) -> Result<(Work, Vec<String>)> {
        let keys = |world: &mut World| {
            let up_to = child.up_to.clone().unwrap();
            world.keys_of(parent, child.after.as_deref(), &up_to)
        };
        let keys = self.world.call(self.process, keys).await?;
        Ok((Work::Bulk { again: matches!(parent.payload, Work::Again { .. }) }, keys))
    }

    async fn send(&self, bulk: &Task<Work>, keys: &[String], expires_at: At) -> Result<Sent> {
        let mut sent = Sent::default();
        let some = {
            let mut world = self.world.lock();
            world.ledger.note_attempt(&bulk.id, keys);
            world.rng.usize(0..=keys.len())
        };
        for keys in [&keys[..some], &keys[some..]] {
            let send = |world: &mut World| world.send(bulk, keys, expires_at, false, &mut sent);
            self.world.call(self.process, send).await?;
        }
        Ok(sent)
    }

    async fn overtaken(
        &self,
        bulk: &Task<Work>,
        held: &[(String, Revision)],
        expires_at: At,
    ) -> Result<Vec<String>> {
        let repair = |world: &mut World| {
            let keys = world.repair(held);
            world.ledger.note_attempt(&bulk.id, &keys);
            world.send(bulk, &keys, expires_at, true, &mut Sent::default());
            keys
        };
        self.world.call(self.process, repair).await
    }

    async fn reply(&self, task: &Task<Work>, reply: SyncReply) -> Result<()> {
        let tell = |world: &mut World| {
            if reply.status != SyncStatus::Running {
                world.ledger.told.insert(task.id.clone());
            }
            match &task.payload {
                // Nobody has asked for it, or who has asked reads it.
                Work::Job { .. } | Work::Walk { .. } => (),
                Work::Accounts { .. } | Work::Again { .. } => {
                    world.publish(Message::ToJob(reply));
                }
                Work::Bulk { .. } => world.publish(Message::ToParent(reply)),
            }
        };
        self.world.call(self.process, tell).await
    }

    async fn pass_on(&self, task: &Task<Work>, order: &Order) -> Result<()> {
        if !matches!(task.payload, Work::Job { .. }) {
            return Ok(());
        }
        let (job_id, order) = (task.job_id.clone(), order.clone());
        self.publish(Message::Control { job_id, order }).await
    }

    async fn ended(&self, task: &Task<Work>) -> Result<()> {
        self.world.call(self.process, |world| world.ledger.done.insert(task.id.clone())).await?;
        Ok(())
    }
}

impl World {
    fn next_of(&self, parent: &Task<Work>, room: u64) -> Next {
        let children = parent.children().unwrap();
        if matches!(parent.payload, Work::Job { .. }) {
            let key = match children.opened {
                _ if !children.open.is_empty() => return Next::Wait,
                0 => "first",
                1 => "accounts",
                _ => return Next::Nothing,
            };
            let key = Some(key.to_owned());
            return Next::Child(NewChild { key, size: 0, after: None, up_to: None });
        }
        let found = self.behind(parent, room);
        let Some(last) = found.last().cloned() else { return Next::Nothing };
        let after = children.cursor.clone();
        Next::Child(NewChild { key: None, size: found.len() as u64, after, up_to: Some(last) })
    }

    /// What is behind the cursor of a parent.
    fn behind(&self, parent: &Task<Work>, room: u64) -> Vec<String> {
        let cursor = parent.children().and_then(|it| it.cursor.as_deref());
        let range = match parent.payload {
            Work::Job { .. } | Work::Bulk { .. } => return Vec::new(),
            Work::Accounts { from, to, .. } => (from, to),
            Work::Walk { to, .. } => (0, to),
            Work::Again { .. } => {
                let keys = self.failures_behind(&parent.job_id, cursor);
                return keys.take(usize::try_from(room).unwrap()).cloned().collect();
            }
        };
        self.backend.behind(cursor, range, room).into_iter().map(key_of).collect()
    }

    fn failures_behind<'a>(
        &'a self,
        job_id: &'a JobId,
        cursor: Option<&'a str>,
    ) -> impl Iterator<Item = &'a String> {
        let from = (job_id.clone(), cursor.unwrap_or_default().to_owned());
        let behind = self.stores[1].failures.range((Bound::Excluded(from), Bound::Unbounded));
        behind.map(|it| it.0).take_while(move |it| it.0 == *job_id).map(|it| &it.1)
    }

    fn keys_of(&self, parent: &Task<Work>, after: Option<&str>, up_to: &str) -> Vec<String> {
        let (from, to) = match parent.payload {
            Work::Again { .. } => {
                let keys = self.failures_behind(&parent.job_id, after);
                return keys.take_while(|it| it.as_str() <= up_to).cloned().collect();
            }
            Work::Accounts { from, to, .. } => (from, to),
            Work::Walk { to, .. } => (0, to),
            Work::Job { .. } | Work::Bulk { .. } => return Vec::new(),
        };
        let to = to.min(super::backend::number_of(up_to) + 1);
        let found = self.backend.behind(after, (from, to), u64::from(u32::MAX));
        found.into_iter().map(key_of).collect()
    }

    /// A new task for a request of a job, or for a walk.
    pub(super) fn task(&self, id: &RequestId, job_id: &JobId, now: At) -> Task<Work> {
        let plan = &self.plan;
        let (window, rate_per_s) = (plan.window, plan.rate_per_s);
        let payload = match id.key() {
            "" if id.as_str() == "walk" => Work::Walk { to: plan.entities, window },
            "" => Work::Job { window },
            "first" => Work::Accounts { from: 0, to: plan.border, window, rate_per_s },
            "accounts" => {
                Work::Accounts { from: plan.border, to: plan.entities, window, rate_per_s }
            }
            _ => Work::Again { window },
        };
        Task::parent(id.clone(), job_id.clone(), payload, now, &plan.limits)
    }
}

/// The requests that a job may make of the other service.
pub(super) fn requests_of(job_id: &JobId) -> Vec<RequestId> {
    let keys = ["first", "accounts"].iter();
    keys.map(|it| format!("{job_id}/{it}").parse().unwrap()).collect()
}

/// Handles messages of one queue, as the consumers of the services do.
pub(super) async fn handle(
    service: Simulated,
    tasks: SimTasks,
    messages: Vec<Message>,
) -> Result<()> {
    let new = |id: &RequestId, job_id: &JobId| {
        let now = service.now();
        service.world.lock().task(id, job_id, now)
    };
    let mut replies = Vec::new();
    let mut results = Vec::new();
    let mut to_job = false;
    for message in messages {
        match message {
            Message::Ask { request_id, job_id } => {
                tasks.start(new(&request_id, &job_id)).await?;
            }
            Message::Bulk { request_id, job_id } => {
                tasks.start_bulk(&request_id, &job_id).await?;
            }
            Message::Control { job_id, order: Order::Cancel } => {
                let unborn = requests_of(&job_id).iter().map(|it| new(it, &job_id)).collect();
                tasks.cancel(&job_id, unborn).await?;
                let mut world = service.world.lock();
                let now = world.now;
                world.ledger.cancelled_at.entry(job_id).or_insert(now);
            }
            Message::Control { job_id, order } => {
                for id in requests_of(&job_id) {
                    tasks.order(&id, &order).await?;
                }
            }
            Message::ToJob(reply) => {
                to_job = true;
                replies.push(reply);
            }
            Message::ToParent(reply) => replies.push(reply),
            Message::Result(reply, copy) => results.push((reply, copy)),
        }
    }
    if let Some(last) = replies.last() {
        let task_id = last.request_id.task_id().parse().unwrap();
        tasks.dispatch_replies(&task_id, TASK_REPLY, &replies).await?;
        if to_job {
            contradict(&service, &task_id, last).await?;
        }
    }
    if let Some((last, _)) = results.last() {
        let task_id = last.request_id.task_id().parse().unwrap();
        let (replies, copies): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        tasks.dispatch_results(&task_id, RECORD_REPLY, &replies).await?;
        let mut world = service.world.lock();
        copies.into_iter().for_each(|it| world.ledger.note_heard(it));
    }
    Ok(())
}

/// A step that does not do what was ordered did not hear of it.
async fn contradict(service: &Simulated, job: &RequestId, reply: &SyncReply) -> Result<()> {
    let task = service.world.lock().stores[0].tasks.get(job).cloned();
    let Some(task) = task else { return Ok(()) };
    if reply.status != SyncStatus::Running {
        return Ok(());
    }
    let reason = reply.reason.as_deref().and_then(|it| it.strip_prefix(PAUSED));
    let order = match &task.state {
        State::Running if reason.is_some_and(|it| !it.starts_with("too many")) => Order::Resume,
        State::Paused { why } if reason.is_none() => Order::Pause(why.clone()),
        State::Running | State::Paused { .. } | State::Cancelling { .. } | State::Ended { .. } => {
            return Ok(());
        }
    };
    service.pass_on(&task, &order).await
}
