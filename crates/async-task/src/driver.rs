//! Moves tasks: read, make a transition, write where nobody else has, and only then tell others.
//!
//! A crash before the write leaves nothing; a crash behind it leaves a task whose next wake-up does what was not done.

use events::{AppliedReply, JobId, ReplyStatus, RequestId, Revision, SyncReply};

use crate::{
    At, Limits, Next, Order, Payload, Requests, Result, Service, State, Task, TaskError,
    TaskResult, TaskStore,
};

/// How often a transition is tried that others overtake.
const ROUNDS_MAX: usize = 20;

/// The tasks of a service. Cheap to clone where store and service are.
#[derive(Debug)]
pub struct Tasks<S, V> {
    pub(crate) store: S,
    pub(crate) service: V,
    pub(crate) limits: Limits,
}

impl<S: Clone, V: Clone> Clone for Tasks<S, V> {
    fn clone(&self) -> Self {
        let (store, service) = (self.store.clone(), self.service.clone());
        Self { store, service, limits: self.limits }
    }
}

/// What nothing came of.
pub(crate) const UNCHANGED: TaskResult = TaskResult { completed: false, changed: false };

impl<S: TaskStore<V::Payload>, V: Service> Tasks<S, V> {
    /// Tasks in this store, for this service.
    pub fn new(store: S, service: V, limits: Limits) -> Self {
        Self { store, service, limits }
    }

    /// Where they are kept.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// What bounds them.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Starts a task that opens children. One that is there already says how it is, and does not start again.
    ///
    /// # Errors
    /// Store or bus failed; doing it again is safe.
    pub async fn start(&self, task: Task<V::Payload>) -> Result<TaskResult> {
        if self.store.insert(&task).await? {
            return self.move_parent(&task.id, |_, _| Some(Vec::new())).await;
        }
        self.say_again(&task.id).await
    }

    /// Starts the bulk that a parent of this service has asked for. Where the parent does not hold it open, there is
    /// nothing to do.
    ///
    /// # Errors
    /// Store, bus or service failed; doing it again is safe.
    pub async fn start_bulk(&self, id: &RequestId, job_id: &JobId) -> Result<TaskResult> {
        let Some((parent, child)) = self.parent_with(id).await? else { return Ok(UNCHANGED) };
        let (payload, keys) = self.service.bulk(&parent, &child).await?;
        let now = self.service.now();
        let bulk = Task::bulk(id.clone(), job_id.clone(), payload, keys, now, &self.limits);
        if !self.store.insert(&bulk).await? {
            return self.say_again(id).await;
        }
        // A cancel that came meanwhile did not find the bulk: so the parent is asked again.
        let Some((parent, _)) = self.parent_with(id).await? else {
            self.store.delete(&bulk).await?;
            return Ok(UNCHANGED);
        };
        let order = match &parent.state {
            State::Cancelling { .. } => Some(Order::Cancel),
            State::Paused { why } => Some(Order::Pause(why.clone())),
            State::Running | State::Ended { .. } => None,
        };
        if order.is_some() || bulk.has_ended() {
            return self.move_bulk(id, |bulk, now| bulk.begin_unsent(order.as_ref(), now)).await;
        }
        let items = bulk.items().expect("a bulk has items");
        let (keys, expires_at) = (items.open.clone(), items.expires_at());
        self.send(&bulk, &keys, expires_at).await?;
        Ok(TaskResult { completed: false, changed: true })
    }

    /// Counts what children tell, moves on, and ends the task where that was the last. What the task does not wait for
    /// changes nothing, nor does what is for a task of another version of this service: that one asks again.
    ///
    /// # Errors
    /// Store or bus failed; the same replies once more do no harm.
    pub async fn dispatch_replies(
        &self,
        task_id: &RequestId,
        event_type: &str,
        replies: &[SyncReply],
    ) -> Result<TaskResult> {
        let fold = |task: &mut Task<V::Payload>, now| {
            let changed =
                task.is_answered_by(event_type) && task.fold_replies(replies, now, &self.limits);
            changed.then(Vec::new)
        };
        of_this_version(self.move_parent(task_id, fold).await)
    }

    /// Counts how records of a bulk ended, all of them in one write. What the bulk does not wait for changes nothing,
    /// nor does what is for a bulk of another version of this service: that one sends again.
    ///
    /// # Errors
    /// Store or bus failed; the same results once more do no harm.
    pub async fn dispatch_results(
        &self,
        task_id: &RequestId,
        event_type: &str,
        results: &[AppliedReply],
    ) -> Result<TaskResult> {
        of_this_version(self.fold_results(task_id, event_type, results).await)
    }

    async fn fold_results(
        &self,
        task_id: &RequestId,
        event_type: &str,
        results: &[AppliedReply],
    ) -> Result<TaskResult> {
        let held: Vec<(String, Revision)> = results.iter().filter_map(overtaken).collect();
        let found = match held.is_empty() {
            true => self.store.find_by_request(task_id).await?,
            // What is remembered may have been cancelled since.
            false => self.store.find(task_id).await?,
        };
        let Some(bulk) = found.filter(|it| it.is_answered_by(event_type)) else {
            return Ok(UNCHANGED);
        };
        let expires_at = self.service.now().plus(self.limits.record());
        let sent_again = match held.is_empty() || bulk.has_ended() || bulk.is_cancelling() {
            true => Vec::new(),
            false => self.service.overtaken(&bulk, &held, expires_at).await?,
        };
        let ended: Vec<AppliedReply> = results
            .iter()
            .filter(|it| !sent_again.iter().any(|key| key == it.request_id.key()))
            .cloned()
            .collect();
        if bulk.payload.is_redrive() {
            let well = ended.iter().filter(|it| ended_well(it)).map(|it| it.request_id.key());
            self.store.forget_failures(&bulk.job_id, &well.collect::<Vec<_>>()).await?;
        }
        self.move_bulk(task_id, |bulk, now| {
            bulk.note_copies(&sent_again, expires_at);
            let (changed, failures) = bulk.fold_results(&ended, now);
            (changed || !sent_again.is_empty(), failures)
        })
        .await
    }

    /// Has a task do something, and passes it on to its children.
    ///
    /// # Errors
    /// Store or bus failed; doing it again is safe.
    pub async fn order(&self, id: &RequestId, order: &Order) -> Result<TaskResult> {
        let Some(task) = self.store.find(id).await? else { return Ok(UNCHANGED) };
        let result = match &task.requests {
            Requests::Children(_) => {
                self.move_parent(id, |task, now| task.order(order, now).then(Vec::new)).await?
            }
            Requests::Items(_) => {
                self.move_bulk(id, |task, now| (task.order(order, now), Vec::new())).await?
            }
        };
        self.service.pass_on(&task, order).await?;
        Ok(result)
    }

    /// Has all tasks of a job do something that others in this service have not asked for.
    ///
    /// # Errors
    /// Store or bus failed; doing it again is safe.
    pub async fn order_job(&self, job_id: &JobId, order: &Order) -> Result<()> {
        for id in self.store.of_job(job_id).await? {
            let task = self.store.find(&id).await?;
            if task.is_some_and(|it| !it.payload.parent_is_here()) {
                self.order(&id, order).await?;
            }
        }
        Ok(())
    }

    /// Cancels all tasks of a job. Those of `unborn` that do not exist never will.
    ///
    /// # Errors
    /// Store or bus failed; doing it again is safe.
    pub async fn cancel(&self, job_id: &JobId, unborn: Vec<Task<V::Payload>>) -> Result<()> {
        for task in unborn {
            self.store.insert(&task.unborn(self.service.now())).await?;
        }
        for id in self.store.of_job(job_id).await? {
            self.order(&id, &Order::Cancel).await?;
        }
        Ok(())
    }

    /// Has a parent open everything once more, from its first key, because something changed that touches all of it.
    ///
    /// # Errors
    /// Store or bus failed; doing it again is safe.
    pub async fn start_or_go_round_again(&self, task: Task<V::Payload>) -> Result<TaskResult> {
        if self.store.insert(&task).await? {
            return self.move_parent(&task.id, |_, _| Some(Vec::new())).await;
        }
        for _ in 0..ROUNDS_MAX {
            let Some(mut held) = self.store.find(&task.id).await? else { continue };
            held.go_round_again(self.service.now(), &self.limits);
            if self.store.update(&mut held).await? {
                return self.move_parent(&task.id, |_, _| Some(Vec::new())).await;
            }
        }
        Err(TaskError::Contended(task.id.to_string()))
    }

    /// Publishes the requests for these children, after the write that opened them.
    ///
    /// # Errors
    /// The bus failed; the task's wake-up asks again.
    pub async fn publish_requests(&self, task: &Task<V::Payload>, keys: &[String]) -> Result<()> {
        let Some(children) = task.children() else { return Ok(()) };
        for key in keys {
            if let Some(child) = children.open.get(key) {
                self.service.ask(task, &task.request_id(key), child).await?;
            }
        }
        Ok(())
    }

    /// Moves a parent. `transition` answers which children are to be asked once more, or that nothing has changed.
    pub(crate) async fn move_parent(
        &self,
        id: &RequestId,
        transition: impl Fn(&mut Task<V::Payload>, At) -> Option<Vec<String>> + Send,
    ) -> Result<TaskResult> {
        for _ in 0..ROUNDS_MAX {
            let Some(mut task) = self.store.find(id).await? else { return Ok(UNCHANGED) };
            let now = self.service.now();
            if task.has_ended() {
                return Ok(TaskResult { completed: true, changed: false });
            }
            let Some(mut asks) = transition(&mut task, now) else { return Ok(UNCHANGED) };
            if task.is_cancelling() && task.children().is_some_and(|it| !it.exhausted) {
                let rest = self.service.remaining(&task).await?;
                task.give_up_rest(rest);
            }
            let opened = self.open_more(&mut task, now).await?;
            asks.extend(opened);
            task.settle(now, &self.limits);
            let tell = task.tell_due(now, &self.limits);
            if !self.store.update(&mut task).await? {
                continue;
            }
            self.publish_requests(&task, &asks).await?;
            return self.told(task, tell).await;
        }
        Err(TaskError::Contended(id.to_string()))
    }

    /// Moves a bulk. `transition` answers whether anything has changed, and which records have failed.
    pub(crate) async fn move_bulk(
        &self,
        id: &RequestId,
        transition: impl Fn(&mut Task<V::Payload>, At) -> (bool, Vec<crate::Failure>) + Send,
    ) -> Result<TaskResult> {
        for round in 0..ROUNDS_MAX {
            let found = match round {
                0 => self.store.find_by_request(id).await?,
                _ => self.store.find(id).await?,
            };
            let Some(mut task) = found else { return Ok(UNCHANGED) };
            if task.is_tombstone() {
                return Ok(TaskResult { completed: true, changed: false });
            }
            let now = self.service.now();
            let (changed, failures) = transition(&mut task, now);
            if !changed && round == 0 {
                // What is remembered may be older than what it was told.
                continue;
            }
            if !changed {
                return Ok(TaskResult { completed: task.has_ended(), changed: false });
            }
            // A failure is kept before it is counted: counted, it would not come again.
            self.store.keep_failures(&failures).await?;
            task.settle(now, &self.limits);
            let tell = task.tell_due(now, &self.limits);
            if self.store.update(&mut task).await? {
                return self.told(task, tell).await;
            }
        }
        Err(TaskError::Contended(id.to_string()))
    }

    /// Opens children while there is room; answers their keys.
    async fn open_more(&self, task: &mut Task<V::Payload>, now: At) -> Result<Vec<String>> {
        let mut opened = Vec::new();
        let (window, rate) = (task.payload.window(), task.payload.rate_per_s());
        let Requests::Children(children) = &mut task.requests else { return Ok(opened) };
        children.begin_again();
        let opens = task.state == State::Running && !children.exhausted;
        let has_room = opens && children.room(window, &self.limits, now) > 0;
        if !has_room && !children.must_hold(now) {
            return Ok(opened);
        }
        let granted = self.store.hold(task, if opens { window } else { 0 }, now).await?;
        if let Requests::Children(children) = &mut task.requests {
            (children.held_at, children.held) = (now, granted);
        }
        if !has_room {
            return Ok(opened);
        }
        loop {
            let Requests::Children(children) = &task.requests else { return Ok(opened) };
            let room = children.room(granted.min(window), &self.limits, now);
            if room == 0 {
                return Ok(opened);
            }
            let next = self.service.next(task, room).await?;
            let Requests::Children(children) = &mut task.requests else { return Ok(opened) };
            match next {
                Next::Child(child) => {
                    let expires_at = now.plus(self.limits.ask_again());
                    opened.push(children.open_child(child, rate, expires_at, now));
                }
                Next::Wait => return Ok(opened),
                Next::Nothing => {
                    children.exhausted = true;
                    children.begin_again();
                }
            }
        }
    }

    /// Tells whoever asked, after the write.
    async fn told(&self, task: Task<V::Payload>, tell: bool) -> Result<TaskResult> {
        let completed = task.has_ended();
        if completed {
            self.finish(task).await?;
        } else if tell {
            self.service.reply(&task, task.report()).await?;
        }
        Ok(TaskResult { completed, changed: true })
    }

    /// Tells the end. A parent elsewhere has heard once the broker has acknowledged the reply; one that is here is
    /// asked later whether it still waits.
    pub(crate) async fn finish(&self, mut task: Task<V::Payload>) -> Result<()> {
        if task.children().is_some() {
            self.store.hold(&task, 0, self.service.now()).await?;
        }
        if task.has_left_children() {
            self.service.pass_on(&task, &Order::Cancel).await?;
        }
        #[cfg(feature = "planted")]
        if crate::planted::is(crate::planted::Bug::HeardBeforeTold) {
            task.heard(self.service.now());
            self.store.update(&mut task).await?;
        }
        self.service.reply(&task, task.report()).await?;
        if !task.payload.parent_is_here() {
            self.service.ended(&task).await?;
            task.heard(self.service.now());
            self.store.update(&mut task).await?;
        }
        Ok(())
    }

    /// Sends records and counts those that turn out to have nothing to send.
    pub(crate) async fn send(
        &self,
        bulk: &Task<V::Payload>,
        keys: &[String],
        expires_at: At,
    ) -> Result<()> {
        let sent = self.service.send(bulk, keys, expires_at).await?;
        if sent.gone.is_empty() && sent.failures.is_empty() {
            return Ok(());
        }
        if bulk.payload.is_redrive() {
            let gone: Vec<&str> = sent.gone.iter().map(String::as_str).collect();
            self.store.forget_failures(&bulk.job_id, &gone).await?;
        }
        self.move_bulk(&bulk.id, |bulk, now| {
            (bulk.fold_unsent(&sent.gone, &sent.failures, now), sent.failures.clone())
        })
        .await?;
        Ok(())
    }

    async fn say_again(&self, id: &RequestId) -> Result<TaskResult> {
        let Some(task) = self.store.find(id).await? else { return Ok(UNCHANGED) };
        self.service.reply(&task, task.report()).await?;
        Ok(TaskResult { completed: task.has_ended(), changed: false })
    }

    /// The parent of a bulk, where it holds it open.
    pub(crate) async fn parent_with(
        &self,
        id: &RequestId,
    ) -> Result<Option<(Task<V::Payload>, crate::Child)>> {
        let Ok(parent_id) = id.task_id().parse() else { return Ok(None) };
        let parent = self.store.find(&parent_id).await?;
        let Some(parent) = parent.filter(|it| it.holds_open(id)) else { return Ok(None) };
        let child = parent.children().and_then(|it| it.open.get(id.key())).cloned();
        Ok(child.map(|it| (parent, it)))
    }
}

/// An answer to a task of another version is no fault of the answer.
fn of_this_version(result: Result<TaskResult>) -> Result<TaskResult> {
    match result {
        Err(TaskError::Foreign(id)) => {
            metrics::counter!("async_task_foreign_answers_total").increment(1);
            tracing::info!(id, "an answer is for a task of another version");
            Ok(UNCHANGED)
        }
        ended => ended,
    }
}

/// What the backend holds beyond what was sent.
fn overtaken(result: &AppliedReply) -> Option<(String, Revision)> {
    let held = result.held_revision.filter(|it| *it > result.revision)?;
    let superseded = result.status == ReplyStatus::Superseded;
    superseded.then(|| (result.request_id.key().to_owned(), held))
}

fn ended_well(result: &AppliedReply) -> bool {
    match result.status {
        ReplyStatus::Applied | ReplyStatus::Unchanged | ReplyStatus::Superseded => true,
        ReplyStatus::Rejected | ReplyStatus::Expired | ReplyStatus::NotSent => false,
    }
}

impl<P: Payload> Task<P> {
    /// Whether the task waits for events of this type at all.
    fn is_answered_by(&self, event_type: &str) -> bool {
        let is_answered = self.payload.validate_event_type(event_type);
        if !is_answered {
            metrics::counter!("async_task_wrong_answers_total").increment(1);
            tracing::warn!(id = %self.id, event_type, "a task is answered by what cannot answer it");
        }
        is_answered
    }

    /// The id of the request for `key`.
    pub fn request_id(&self, key: &str) -> RequestId {
        format!("{}/{key}", self.id)
            .parse()
            .expect("ids and keys are short and of the same letters")
    }
}
