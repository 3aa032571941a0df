//! Lets a history happen, and looks at what came of it.

use std::{
    collections::BTreeMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use async_task::{End, Order, Result, Service as _, Tasks};
use events::{JobId, RequestId};

use super::{
    backend::Kind,
    plan::{Ordered, Plan, SECOND},
    service::{SimTasks, Simulated, handle, requests_of},
    store::Handle,
    world::{Event, Message, PROCESSES, Shared, World, side},
};

/// How long after everything is over repeated messages still come.
const AFTERWARDS: i64 = 200 * SECOND;
/// A process looks for tasks that are due at least so often.
const LOOK_EVERY: i64 = 30 * SECOND;
/// How often a person resumes what has paused by itself.
const RESUME_EVERY: i64 = 60 * SECOND;

/// What came of a history.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    pub(super) virtual_ms: i64,
    pub(super) crashes: u64,
    pub(super) copies: u64,
    pub(super) bytes_most: usize,
    pub(super) open_most: u64,
    pub(super) applied: u64,
}

/// What an activity does.
#[derive(Clone)]
enum Work {
    /// Messages from the head of a queue.
    Queue(usize, usize),
    /// A message that comes again.
    Late(Message),
    Tick,
    Start(usize),
    Walk,
    Order(usize, Ordered),
}

struct Activity {
    process: usize,
    work: Work,
    began_at: i64,
    future: Pin<Box<dyn Future<Output = Result<()>> + Send>>,
}

struct Run {
    world: Shared,
    tasks: Vec<SimTasks>,
    activities: BTreeMap<u64, Activity>,
    number: u64,
}

struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

/// Lets a history happen. Answers what was wrong with it.
pub(super) fn run(plan: &Plan) -> std::result::Result<Report, String> {
    let result = catch_unwind(AssertUnwindSafe(|| Run::new(plan.clone()).all()));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    });
    result.map_err(|wrong| format!("seed {}: {wrong}", plan.seed))
}

pub(super) fn job_id(number: usize) -> JobId {
    format!("j-{number}").parse().unwrap()
}

pub(super) fn task_id(number: usize) -> RequestId {
    format!("j-{number}").parse().unwrap()
}

pub(super) fn walk_id() -> RequestId {
    "walk".parse().unwrap()
}

impl Run {
    fn new(plan: Plan) -> Self {
        let limits = plan.limits;
        let world = Shared::new(plan);
        let tasks = |process| {
            let (store, service) = (world.clone(), world.clone());
            let store = Handle { world: store, process };
            Tasks::new(store, Simulated { world: service, process }, limits)
        };
        let tasks = (0..PROCESSES).map(tasks).collect();
        Self { world, tasks, activities: BTreeMap::new(), number: 0 }
    }

    fn all(mut self) -> std::result::Result<Report, String> {
        self.prepare();
        let over_at = self.world.lock().plan.over_at;
        self.until(|world| world.now > over_at || world.all_ended())?;
        let ended_at = self.world.lock().now;
        if !self.world.lock().all_ended() {
            return Err(self.world.lock().why_not());
        }
        self.world.lock().look_at_result(ended_at);
        self.until(|world| world.now > ended_at + AFTERWARDS && world.is_quiet())?;
        if self.world.lock().plan.redrive {
            self.redrive()?;
        }
        self.knock()?;
        let world = self.world.lock();
        let ended =
            (0..world.plan.jobs.len()).filter_map(|it| world.ledger.ended.get(&task_id(it)));
        Ok(Report {
            virtual_ms: ended_at,
            crashes: world.crashes,
            copies: world.ledger.copies,
            bytes_most: world.ledger.bytes_most,
            open_most: world.ledger.open_most,
            applied: ended.map(|it| it.counts.applied).sum(),
        })
    }

    fn prepare(&mut self) {
        let mut world = self.world.lock();
        let plan = world.plan.clone();
        for (number, at) in plan.jobs.iter().enumerate() {
            world.at(*at, Event::Start(number));
            let resume_at = plan.last_order_at().max(*at) + RESUME_EVERY;
            world.at(resume_at, Event::Order(number, Ordered::Resume));
        }
        plan.walks.iter().for_each(|at| world.at(*at, Event::Walk));
        if let Some(at) = plan.walks.iter().max() {
            world.at(at + RESUME_EVERY, Event::Order(plan.jobs.len(), Ordered::Resume));
        }
        plan.orders.iter().for_each(|it| world.at(it.0, Event::Order(it.1, it.2)));
        plan.changes.iter().for_each(|it| world.at(it.0, Event::Change(it.1, it.2)));
        (0..PROCESSES).for_each(|it| world.at(0, Event::Tick(it)));
    }

    /// Lets events happen until something holds or everything is over.
    fn until(&mut self, holds: impl Fn(&World) -> bool) -> std::result::Result<(), String> {
        loop {
            let event = {
                let mut world = self.world.lock();
                if !world.wrong.is_empty() {
                    return Err(world.wrong.join("\n  "));
                }
                if holds(&world) {
                    return Ok(());
                }
                if world.now > world.plan.over_at + 3_600 * SECOND {
                    return Err(format!("it goes on for ever: {}", world.why_not()));
                }
                world.next()
            };
            let Some(event) = event else { return Ok(()) };
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Poll(activity) => self.poll(activity),
            Event::Deliver(queue) => {
                let (messages, work) = {
                    let mut world = self.world.lock();
                    let world = &mut *world;
                    let all = &world.queues[queue].messages;
                    let most = match all.front() {
                        Some(Message::ToJob(_) | Message::ToParent(_) | Message::Result(..)) => 500,
                        Some(
                            Message::Ask { .. } | Message::Bulk { .. } | Message::Control { .. },
                        ) => 5,
                        None => 1,
                    };
                    let most = world.rng.usize(1..=most);
                    let messages: Vec<_> = all.iter().take(most).cloned().collect();
                    let count = messages.len();
                    (messages, Work::Queue(queue, count))
                };
                self.deliver(messages, work);
            }
            Event::Late(message) => self.deliver(vec![message.clone()], Work::Late(message)),
            Event::Backend(chunk) => self.world.lock().take_records(chunk),
            Event::Tick(process) => {
                let world = self.world.lock();
                if world.dead[process] || world.next_tick[process] != world.now {
                    return;
                }
                drop(world);
                let tasks = self.tasks[process].clone();
                let recover = async move { tasks.recover().await.map(drop) };
                self.begin(process, Work::Tick, recover);
            }
            Event::Restart(process) => {
                let mut world = self.world.lock();
                world.dead[process] = false;
                let now = world.now;
                world.next_tick[process] = now;
                world.at(now, Event::Tick(process));
            }
            Event::Start(number) => self.start(number),
            Event::Walk => self.walk(),
            Event::Order(number, ordered) => self.order(number, ordered),
            Event::Change(number, change) => self.world.lock().change(number, change),
        }
    }

    /// A living process of a service, if there is one.
    fn process_of(&self, side: usize) -> Option<usize> {
        let mut world = self.world.lock();
        let first = 2 * side + world.rng.usize(0..2);
        let second = first ^ 1;
        [first, second].into_iter().find(|it| !world.dead[*it])
    }

    fn service(&self, process: usize) -> Simulated {
        Simulated { world: self.world.clone(), process }
    }

    fn deliver(&mut self, messages: Vec<Message>, work: Work) {
        let to = match messages.first() {
            Some(Message::ToJob(_)) => 0,
            Some(
                Message::Ask { .. }
                | Message::Bulk { .. }
                | Message::Control { .. }
                | Message::ToParent(_)
                | Message::Result(..),
            )
            | None => 1,
        };
        let Some(process) = self.process_of(to) else { return self.failed(work) };
        let (service, tasks) = (self.service(process), self.tasks[process].clone());
        self.begin(process, work, handle(service, tasks, messages));
    }

    fn start(&mut self, number: usize) {
        let work = Work::Start(number);
        let Some(process) = self.process_of(0) else { return self.failed(work) };
        let (service, tasks) = (self.service(process), self.tasks[process].clone());
        let start = async move {
            let now = service.now();
            let task = service.world.lock().task(&task_id(number), &job_id(number), now);
            tasks.start(task).await.map(drop)
        };
        self.begin(process, work, start);
    }

    fn walk(&mut self) {
        let Some(process) = self.process_of(1) else { return self.failed(Work::Walk) };
        let (service, tasks) = (self.service(process), self.tasks[process].clone());
        let from = self.world.lock().now;
        let walk = async move {
            let (now, id) = (service.now(), walk_id());
            let job = "walk".parse().unwrap();
            let task = service.world.lock().task(&id, &job, now);
            tasks.start_or_go_round_again(task).await?;
            let mut world = service.world.lock();
            world.ledger.walk_from = world.ledger.walk_from.max(Some(from));
            Ok(())
        };
        self.begin(process, Work::Walk, walk);
    }

    fn order(&mut self, number: usize, ordered: Ordered) {
        let work = Work::Order(number, ordered);
        let is_walk = number == self.world.lock().plan.jobs.len();
        let (side, id) = if is_walk { (1, walk_id()) } else { (0, task_id(number)) };
        let Some(process) = self.process_of(side) else { return self.failed(work) };
        let tasks = self.tasks[process].clone();
        let order = match ordered {
            Ordered::Cancel => Order::Cancel,
            Ordered::Pause => Order::Pause("somebody wanted it".to_owned()),
            Ordered::Resume => Order::Resume,
        };
        let order = async move { tasks.order(&id, &order).await.map(drop) };
        self.begin(process, work, order);
    }

    fn begin(
        &mut self,
        process: usize,
        work: Work,
        future: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        self.number += 1;
        let began_at = self.world.lock().now;
        let activity = Activity { process, work, began_at, future: Box::pin(future) };
        self.activities.insert(self.number, activity);
        self.poll(self.number);
    }

    fn poll(&mut self, number: u64) {
        let Some(activity) = self.activities.get_mut(&number) else { return };
        let wakers = {
            let mut world = self.world.lock();
            world.current = (number, activity.began_at);
            world.wakers_of(number)
        };
        wakers.iter().for_each(Waker::wake_by_ref);
        let waker = Waker::from(Arc::new(Nobody));
        let polled = activity.future.as_mut().poll(&mut Context::from_waker(&waker));
        let process = activity.process;
        if let Poll::Ready(result) = polled {
            let activity = self.activities.remove(&number).unwrap();
            match result {
                Ok(()) => self.succeeded(process, activity.work),
                Err(_) => self.failed_in(process, activity.work),
            }
        }
        if self.world.lock().dead[process] {
            let all = self.activities.iter().filter(|it| it.1.process == process);
            let gone: Vec<u64> = all.map(|it| *it.0).collect();
            for number in gone {
                let activity = self.activities.remove(&number).unwrap();
                self.world.lock().wakers_of(number);
                drop(activity.future);
                self.failed_in(process, activity.work);
            }
        }
    }

    fn succeeded(&mut self, process: usize, work: Work) {
        let mut world = self.world.lock();
        match work {
            Work::Queue(queue, count) => {
                world.queues[queue].messages.drain(..count);
                match world.queues[queue].messages.is_empty() {
                    true => world.queues[queue].busy = false,
                    false => world.later(Event::Deliver(queue)),
                }
            }
            Work::Tick => world.tick_again(process),
            Work::Order(number, Ordered::Resume) => {
                let has_ended = world.all_ended();
                let at = world.now + RESUME_EVERY;
                let is_walk = number == world.plan.jobs.len();
                if !has_ended && (is_walk || world.now > world.plan.last_order_at()) {
                    world.at(at, Event::Order(number, Ordered::Resume));
                }
            }
            Work::Late(_) | Work::Start(_) | Work::Walk | Work::Order(..) => (),
        }
    }

    fn failed_in(&mut self, process: usize, work: Work) {
        if matches!(work, Work::Tick) {
            let mut world = self.world.lock();
            if !world.dead[process] {
                world.tick_again(process);
            }
            return;
        }
        self.failed(work);
    }

    /// It is tried again later.
    fn failed(&mut self, work: Work) {
        let mut world = self.world.lock();
        let at = world.now + world.rng.i64(50..2 * SECOND);
        let event = match work {
            Work::Queue(queue, _) => Event::Deliver(queue),
            Work::Late(message) => Event::Late(message),
            Work::Tick => return,
            Work::Start(number) => Event::Start(number),
            Work::Walk => Event::Walk,
            Work::Order(number, ordered) => Event::Order(number, ordered),
        };
        world.at(at, event);
    }

    /// What was rejected is right now, and is sent once more.
    fn redrive(&mut self) -> std::result::Result<(), String> {
        let mut asked = Vec::new();
        {
            let mut world = self.world.lock();
            if world.plan.is_short_lived() || world.plan.limits.budget.count != u64::MAX {
                return Ok(());
            }
            world.backend.entities.iter_mut().for_each(|it| it.kind = Kind::Good);
            for number in 0..world.plan.jobs.len() {
                let job_id = job_id(number);
                if world.stores[1].failures.keys().any(|it| it.0 == job_id)
                    && !world.ledger.cancelled_at.contains_key(&job_id)
                {
                    let request_id: RequestId = format!("{job_id}/accounts~1").parse().unwrap();
                    asked.push(request_id.clone());
                    world.publish(Message::Ask { request_id, job_id });
                }
            }
        }
        let from = self.world.lock().now;
        self.until(|world| world.now > from + AFTERWARDS && world.is_quiet())?;
        let world = self.world.lock();
        for id in asked {
            let job_id: JobId = id.task_id().parse().unwrap();
            let ended = world.ledger.ended.get(&id);
            if ended.is_none_or(|it| it.end != End::Completed) {
                return Err(format!("{id} ended as {ended:?}"));
            }
            let left = world.stores[1].failures.keys().find(|it| it.0 == job_id);
            if let Some(left) = left {
                return Err(format!("{left:?} is still a failure after it went well"));
            }
        }
        Ok(())
    }

    /// Long after the end every request comes once more: nothing is sent.
    fn knock(&mut self) -> std::result::Result<(), String> {
        let from = {
            let mut world = self.world.lock();
            world.ledger.over = true;
            for job_id in (0..world.plan.jobs.len()).map(job_id) {
                for request_id in requests_of(&job_id) {
                    let job_id = job_id.clone();
                    world.publish(Message::Ask { request_id, job_id });
                }
            }
            let mut bulks: Vec<_> = world.ledger.bulk_of.keys().cloned().collect();
            bulks.sort();
            for request_id in bulks.into_iter().take(100) {
                let job_id = request_id.as_str().split('/').next().unwrap().parse().unwrap();
                world.publish(Message::Bulk { request_id, job_id });
            }
            world.now
        };
        self.until(|world| world.now > from + AFTERWARDS && world.is_quiet())
    }
}

impl World {
    fn tick_again(&mut self, process: usize) {
        let due = self.stores[side(process)].due.first().map_or(i64::MAX, |it| it.0.0);
        // Where nothing is due, a write says when something is.
        self.next_tick[process] = i64::MAX;
        if due < i64::MAX {
            let at = due.clamp(self.now + 250, self.now + LOOK_EVERY);
            self.next_tick[process] = at;
            self.at(at, Event::Tick(process));
        }
    }
}
