//! The simulated world: time, chance, processes that die, messages on their way.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    task::{Poll, Waker},
};

use async_task::{Order, Result, Task, TaskError};
use events::{AppliedReply, JobId, RequestId, SyncReply};
use fastrand::Rng;

use crate::payload::Work;

use super::{
    backend::{Backend, Chunk},
    ledger::Ledger,
    plan::{Change, Ordered, Plan, SECOND, chance},
    store::Store,
};

/// Two processes of the service that has jobs, then two of the one that has accounts.
pub(super) const PROCESSES: usize = 4;

/// The service of a process: 0 has jobs, 1 has accounts.
pub(super) fn side(process: usize) -> usize {
    process / 2
}

/// What happens at its time.
#[derive(Debug)]
pub(super) enum Event {
    /// What an activity waits for is over.
    Poll(u64),
    /// Messages of a queue arrive.
    Deliver(usize),
    /// One that was there before comes again.
    Late(Message),
    /// The backend looks at records.
    Backend(Chunk),
    /// A process looks for tasks whose time has come.
    Tick(usize),
    /// A process is there again.
    Restart(usize),
    /// Somebody starts a job.
    Start(usize),
    /// Somebody asks for a walk.
    Walk,
    /// Somebody orders something of a job.
    Order(usize, Ordered),
    /// An entity changes.
    Change(u32, Change),
}

/// What travels over the bus.
#[derive(Clone, Debug)]
pub(super) enum Message {
    /// A job asks for a step.
    Ask { request_id: RequestId, job_id: JobId },
    /// A parent asks for a bulk.
    Bulk { request_id: RequestId, job_id: JobId },
    /// A job is steered.
    Control { job_id: JobId, order: Order },
    /// A step tells its job.
    ToJob(SyncReply),
    /// A bulk tells its parent.
    ToParent(SyncReply),
    /// The backend tells a bulk; with the copy that is answered.
    Result(AppliedReply, CopyId),
}

/// One copy of a record that was sent: the bulk, its place in it, its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct CopyId {
    pub(super) bulk: usize,
    pub(super) place: usize,
    pub(super) copy: u16,
}

/// Messages of one topic and key, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) messages: VecDeque<Message>,
    /// Whether some are being handled, or are about to.
    pub(super) busy: bool,
}

#[derive(Debug)]
struct Due {
    at: i64,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// Everything that is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) now: i64,
    pub(super) rng: Rng,
    due: BinaryHeap<Due>,
    number: u64,
    pub(super) queues: Vec<Queue>,
    queue_of: HashMap<(u8, String), usize>,
    /// One store for each service.
    pub(super) stores: [Store; 2],
    /// What each process remembers.
    pub(super) remembered: [HashMap<RequestId, Arc<Task<Work>>>; PROCESSES],
    pub(super) dead: [bool; PROCESSES],
    pub(super) skew: [i64; PROCESSES],
    pub(super) next_tick: [i64; PROCESSES],
    /// The activity that is polled now, and when it began.
    pub(super) current: (u64, i64),
    wakers: BTreeMap<u64, Vec<Waker>>,
    pub(super) backend: Backend,
    pub(super) ledger: Ledger,
    /// What must not be, with its time.
    pub(super) wrong: Vec<String>,
    pub(super) crashes: u64,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let mut rng = Rng::with_seed(plan.seed ^ 0x5eed);
        let skew = plan.faults.skew;
        Self {
            now: 0,
            due: BinaryHeap::new(),
            number: 0,
            queues: Vec::new(),
            queue_of: HashMap::new(),
            stores: <[Store; 2]>::default(),
            remembered: <[HashMap<_, _>; PROCESSES]>::default(),
            dead: [false; PROCESSES],
            skew: std::array::from_fn(|_| rng.i64(0..=skew)),
            next_tick: [0; PROCESSES],
            current: (0, 0),
            wakers: BTreeMap::new(),
            backend: Backend::new(&plan, &mut rng),
            ledger: Ledger::new(&plan),
            wrong: Vec::new(),
            crashes: 0,
            rng,
            plan,
        }
    }

    /// Notes what must not be.
    pub(super) fn wrong(&mut self, what: String) {
        self.wrong.push(format!("at {} ms: {what}", self.now));
    }

    pub(super) fn at(&mut self, at: i64, event: Event) {
        self.number += 1;
        self.due.push(Due { at: at.max(self.now), number: self.number, event });
    }

    pub(super) fn later(&mut self, event: Event) {
        let delay = match chance(&mut self.rng, self.plan.faults.delay) {
            true => self.rng.i64(100..20 * SECOND),
            false => self.rng.i64(1..30),
        };
        self.at(self.now + delay, event);
    }

    /// The next event, time moved on to it.
    pub(super) fn next(&mut self) -> Option<Event> {
        let due = self.due.pop()?;
        self.now = due.at;
        Some(due.event)
    }

    /// Whether anything is on its way.
    pub(super) fn is_quiet(&self) -> bool {
        self.queues.iter().all(|it| it.messages.is_empty() && !it.busy)
            && self.stores.iter().all(|it| it.due.is_empty())
    }

    /// Brings the next look of each process of a service forward, to `at`.
    pub(super) fn tick_by(&mut self, side: usize, at: i64) {
        for process in [2 * side, 2 * side + 1] {
            let at = at.max(self.now) + self.rng.i64(0..250);
            if !self.dead[process] && at < self.next_tick[process] {
                self.next_tick[process] = at;
                self.at(at, Event::Tick(process));
            }
        }
    }

    /// Puts a message on the bus; it may come more than once.
    pub(super) fn publish(&mut self, message: Message) {
        if chance(&mut self.rng, self.plan.faults.repeat) {
            let at = self.now + self.rng.i64(0..90 * SECOND);
            self.at(at, Event::Late(message.clone()));
        }
        let key = match &message {
            Message::Ask { job_id, .. } => (0, job_id.to_string()),
            Message::Control { job_id, .. } => (1, job_id.to_string()),
            Message::Bulk { request_id, .. } => (2, request_id.task_id().to_owned()),
            Message::ToJob(reply) => (3, reply.request_id.task_id().to_owned()),
            Message::ToParent(reply) => (4, reply.request_id.task_id().to_owned()),
            Message::Result(reply, _) => (5, reply.request_id.task_id().to_owned()),
        };
        let count = self.queues.len();
        let queue = *self.queue_of.entry(key).or_insert(count);
        if queue == count {
            self.queues.push(Queue::default());
        }
        self.queues[queue].messages.push_back(message);
        if !self.queues[queue].busy {
            self.queues[queue].busy = true;
            self.later(Event::Deliver(queue));
        }
    }

    /// What an activity waited for is over.
    pub(super) fn wakers_of(&mut self, activity: u64) -> Vec<Waker> {
        self.wakers.remove(&activity).unwrap_or_default()
    }

    /// A process dies, and knows nothing any more.
    fn die(&mut self, process: usize) {
        self.dead[process] = true;
        self.remembered[process].clear();
        self.crashes += 1;
        self.next_tick[process] = i64::MAX;
        let away = self.rng.i64(100..15 * SECOND);
        self.at(self.now + away, Event::Restart(process));
    }
}

/// The world, as every process sees it.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<World>>);

/// What becomes of a call.
enum Fate {
    Passes,
    Fails,
    Never,
    Waits(i64),
}

impl Shared {
    pub(super) fn new(plan: Plan) -> Self {
        Self(Arc::new(Mutex::new(World::new(plan))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A call of a process to something outside of it: it may die before or behind, or others may act meanwhile.
    pub(super) async fn call<R>(
        &self,
        process: usize,
        act: impl FnOnce(&mut World) -> R + Send,
    ) -> Result<R> {
        self.pass(process).await?;
        let answer = act(&mut self.lock());
        self.pass(process).await?;
        Ok(answer)
    }

    pub(super) async fn pass(&self, process: usize) -> Result<()> {
        let until = match self.fate(process) {
            Fate::Passes => return Ok(()),
            Fate::Fails => return Err(TaskError::Service(anyhow::anyhow!("simulated"))),
            Fate::Never => i64::MAX,
            Fate::Waits(until) => until,
        };
        std::future::poll_fn(|context| {
            let mut world = self.lock();
            if world.now >= until && !world.dead[process] {
                return Poll::Ready(());
            }
            let activity = world.current.0;
            world.wakers.entry(activity).or_default().push(context.waker().clone());
            Poll::Pending
        })
        .await;
        Ok(())
    }

    fn fate(&self, process: usize) -> Fate {
        let mut world = self.lock();
        let world = &mut *world;
        if world.dead[process] {
            return Fate::Never;
        }
        let faults = &world.plan.faults;
        let luck = world.rng.f64();
        if luck < faults.crash {
            world.die(process);
            return Fate::Never;
        }
        if luck < faults.crash + faults.error {
            return Fate::Fails;
        }
        let stalls = chance(&mut world.rng, faults.stall);
        if stalls || luck < faults.crash + faults.error + faults.wait {
            let most = if stalls { 100 * SECOND } else { 400 };
            let until = world.now + world.rng.i64(0..most);
            let activity = world.current.0;
            world.at(until, Event::Poll(activity));
            return Fate::Waits(until);
        }
        Fate::Passes
    }
}
