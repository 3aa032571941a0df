//! A store of tasks as the one on MongoDB behaves: conditional writes, and copies that a process remembers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use async_task::{At, Failure, Result, Task, TaskStore, Window};
use events::{JobId, RequestId};

use crate::payload::Work;

use super::world::{Shared, World, side};

/// What one service has stored.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) tasks: HashMap<RequestId, Arc<Task<Work>>>,
    pub(super) due: BTreeSet<(At, RequestId)>,
    by_job: BTreeMap<JobId, BTreeSet<RequestId>>,
    window: Window,
    pub(super) failures: BTreeMap<(JobId, String), Failure>,
}

impl Store {
    fn put(&mut self, task: &Arc<Task<Work>>) {
        self.take(&task.id);
        if let Some(wake_at) = task.wake_at {
            self.due.insert((wake_at, task.id.clone()));
            self.by_job.entry(task.job_id.clone()).or_default().insert(task.id.clone());
        }
        self.tasks.insert(task.id.clone(), Arc::clone(task));
    }

    fn take(&mut self, id: &RequestId) -> Option<Arc<Task<Work>>> {
        let task = self.tasks.remove(id)?;
        if let Some(wake_at) = task.wake_at {
            self.due.remove(&(wake_at, id.clone()));
            if let Some(ids) = self.by_job.get_mut(&task.job_id) {
                ids.remove(id);
            }
        }
        Some(task)
    }

    fn fence_of(&self, id: &RequestId) -> Option<i64> {
        self.tasks.get(id).map(|it| it.fence)
    }
}

/// A process's handle to the store of its service.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) world: Shared,
    pub(super) process: usize,
}

impl World {
    fn written(&mut self, process: usize, task: &Arc<Task<Work>>) {
        let side = side(process);
        let before = self.stores[side].tasks.get(&task.id).cloned();
        self.look_at_write(before.as_deref(), task);
        self.stores[side].put(task);
        match task.has_ended() {
            true => self.remembered[process].remove(&task.id),
            false => self.remembered[process].insert(task.id.clone(), Arc::clone(task)),
        };
        if let Some(wake_at) = task.wake_at {
            self.tick_by(side, wake_at.0);
        }
    }
}

impl TaskStore<Work> for Handle {
    async fn find(&self, id: &RequestId) -> Result<Option<Task<Work>>> {
        let side = side(self.process);
        let find = |world: &mut World| world.stores[side].tasks.get(id).cloned();
        let found = self.world.call(self.process, find).await?;
        Ok(found.map(|it| (*it).clone()))
    }

    async fn find_by_request(&self, request_id: &RequestId) -> Result<Option<Task<Work>>> {
        let remembered = self.world.lock().remembered[self.process].get(request_id).cloned();
        match remembered {
            Some(task) => Ok(Some((*task).clone())),
            None => self.find(request_id).await,
        }
    }

    async fn insert(&self, task: &Task<Work>) -> Result<bool> {
        let (process, id, task) = (self.process, task.id.clone(), Arc::new(task.clone()));
        let insert = move |world: &mut World| {
            let is_new = world.stores[side(process)].fence_of(&task.id).is_none();
            if is_new {
                world.written(process, &task);
                world.ledger.note_write(&task.id, false);
            }
            is_new
        };
        let is_new = self.world.call(process, insert).await?;
        if is_new {
            self.world.lock().ledger.note_write(&id, true);
        }
        Ok(is_new)
    }

    async fn update(&self, task: &mut Task<Work>) -> Result<bool> {
        let process = self.process;
        let read = task.fence;
        task.fence += 1;
        let written = Arc::new(task.clone());
        let update = |world: &mut World| {
            let wins = world.stores[side(process)].fence_of(&written.id) == Some(read);
            match wins {
                true => {
                    world.written(process, &written);
                    world.ledger.note_write(&written.id, false);
                }
                false => drop(world.remembered[process].remove(&written.id)),
            }
            wins
        };
        let wins = self.world.call(process, update).await;
        match &wins {
            Ok(true) => self.world.lock().ledger.note_write(&task.id, true),
            Ok(false) => task.fence = read,
            Err(_) => {
                task.fence = read;
                self.world.lock().remembered[process].remove(&task.id);
            }
        }
        wins
    }

    async fn delete(&self, task: &Task<Work>) -> Result<()> {
        let process = self.process;
        let delete = |world: &mut World| {
            world.remembered[process].remove(&task.id);
            let store = &mut world.stores[side(process)];
            if store.fence_of(&task.id) == Some(task.fence) {
                store.take(&task.id);
                world.look_at_deletion(task);
            }
        };
        self.world.call(process, delete).await
    }

    async fn due(&self, now: At, limit: usize) -> Result<Vec<RequestId>> {
        let side = side(self.process);
        let due = |world: &mut World| {
            let due = world.stores[side].due.iter().take_while(|it| it.0 <= now).take(limit);
            due.map(|it| it.1.clone()).collect()
        };
        self.world.call(self.process, due).await
    }

    async fn of_job(&self, job_id: &JobId) -> Result<Vec<RequestId>> {
        let side = side(self.process);
        let of_job = |world: &mut World| {
            let store = &world.stores[side];
            let mut ids: Vec<_> = store.by_job.get(job_id).into_iter().flatten().cloned().collect();
            ids.sort_by_key(|it| store.tasks[it].wake_at);
            ids
        };
        self.world.call(self.process, of_job).await
    }

    async fn postpone(&self, id: &RequestId, until: At) -> Result<()> {
        let side = side(self.process);
        let postpone = |world: &mut World| {
            let store = &mut world.stores[side];
            let Some(task) = store.tasks.get(id) else { return };
            if task.wake_at.is_some_and(|it| it < until) {
                let task = Task { wake_at: Some(until), ..(**task).clone() };
                store.put(&Arc::new(task));
            }
        };
        self.world.call(self.process, postpone).await
    }

    async fn hold(&self, holder: &Task<Work>, wanted: u64, now: At) -> Result<u64> {
        let (reading, open) = ((holder.id.as_str(), holder.fence), holder.open_items());
        let side = side(self.process);
        let hold = |world: &mut World| {
            let total = world.plan.limits.window_total;
            world.stores[side].window.grant(reading, open, wanted, total, now)
        };
        self.world.call(self.process, hold).await
    }

    async fn keep_failures(&self, failures: &[Failure]) -> Result<()> {
        if failures.is_empty() {
            return Ok(());
        }
        let side = side(self.process);
        let keep = |world: &mut World| {
            for it in failures {
                let kept = &mut world.stores[side].failures;
                let attempts = match kept.get(&(it.job_id.clone(), it.key.clone())) {
                    Some(before) if before.task_id == it.task_id => before.attempts,
                    Some(before) => before.attempts + 1,
                    None => 1,
                };
                let failure = Failure { attempts, ..it.clone() };
                kept.insert((it.job_id.clone(), it.key.clone()), failure);
            }
        };
        self.world.call(self.process, keep).await
    }

    async fn forget_failures(&self, job_id: &JobId, keys: &[&str]) -> Result<()> {
        let side = side(self.process);
        let forget = |world: &mut World| {
            for key in keys {
                world.stores[side].failures.remove(&(job_id.clone(), (*key).to_owned()));
            }
        };
        self.world.call(self.process, forget).await
    }
}
