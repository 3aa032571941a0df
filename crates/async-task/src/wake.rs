//! What a wake-up does.

use crate::{
    At, Order, Parent, Payload as _, Requests, Result, Service, State, Task, TaskStore, Tasks,
    items::Again,
};

impl<S: TaskStore<V::Payload>, V: Service> Tasks<S, V> {
    /// Looks at a task whose time has come. Nothing happens before the write that moves its wake-up has won.
    ///
    /// # Errors
    /// Store, bus or service failed; it is looked at again.
    pub async fn wake(&self, id: &events::RequestId) -> Result<()> {
        let Some(task) = self.store.find(id).await? else { return Ok(()) };
        if task.wake_at.is_none_or(|it| it > self.service.now()) {
            return Ok(());
        }
        if task.has_ended() {
            return self.say_the_end_again(task).await;
        }
        match &task.requests {
            Requests::Children(_) => self.wake_parent(&task).await,
            Requests::Items(_) => self.wake_bulk(task).await,
        }
    }

    async fn say_the_end_again(&self, mut task: Task<V::Payload>) -> Result<()> {
        let now = self.service.now();
        task.settle(now, &self.limits);
        let known = task.payload.parent_is_here() && self.parent_with(&task.id).await?.is_none();
        if known {
            task.heard(now);
        }
        if self.store.update(&mut task).await? && !known {
            self.finish(task).await?;
        }
        Ok(())
    }

    /// Asks silent children again, counts what there is to do, opens more.
    async fn wake_parent(&self, task: &Task<V::Payload>) -> Result<()> {
        let expected = match task.children() {
            Some(children) if children.expected.is_none() && !children.exhausted => {
                Some(self.service.remaining(task).await? + task.counts_so_far().total)
            }
            Some(_) | None => None,
        };
        let look = |task: &mut Task<V::Payload>, now: At| {
            let asks = task.silent_children(now, &self.limits);
            if let (Requests::Children(children), Some(_)) = (&mut task.requests, expected) {
                children.expected = children.expected.or(expected);
                task.untold = true;
            }
            Some(asks)
        };
        self.move_parent(&task.id, look).await?;
        if task.is_cancelling() {
            self.service.pass_on(task, &Order::Cancel).await?;
        }
        Ok(())
    }

    /// Sends again what is open and whose copy has expired, if the parent wants that.
    async fn wake_bulk(&self, mut bulk: Task<V::Payload>) -> Result<()> {
        let now = self.service.now();
        let Some((parent, _)) = self.parent_with(&bulk.id).await? else {
            // The parent has ended without it.
            return self.store.delete(&bulk).await;
        };
        let first = parent.children().and_then(|it| it.open.keys().next()).map(String::as_str);
        let part = Parent {
            paused: matches!(parent.state, State::Paused { .. }),
            moves: parent.children().is_some_and(|it| it.standstill().is_none()),
            first: first == Some(bulk.id.key()),
        };
        if parent.is_cancelling() {
            bulk.order(&Order::Cancel, now);
        }
        let again = bulk.send_again(part, now, &self.limits);
        bulk.settle(now, &self.limits);
        let tell = bulk.tell_due(now, &self.limits);
        if !self.store.update(&mut bulk).await? {
            return Ok(());
        }
        if let Again::Keys(keys, expires_at) = again {
            metrics::counter!("async_task_sent_again_total").increment(keys.len() as u64);
            self.send(&bulk, &keys, expires_at).await?;
        }
        match bulk.has_ended() {
            true => self.finish(bulk).await,
            false if tell => self.service.reply(&bulk, bulk.report()).await,
            false => Ok(()),
        }
    }
}
