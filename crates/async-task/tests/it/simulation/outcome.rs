//! Looks at what came of a history: whether it is over, whether everything was done and counted.

use async_task::End;
use events::JobId;

use super::{
    backend::{Kind, key_of},
    plan::Ordered,
    run::{job_id, task_id, walk_id},
    world::World,
};

impl World {
    pub(super) fn all_ended(&self) -> bool {
        let jobs = (0..self.plan.jobs.len()).map(task_id);
        let walk = self.plan.walks.iter().map(|_| walk_id()).take(1);
        let mut all = jobs.map(|it| (0, it)).chain(walk.map(|it| (1, it)));
        let asked_for = self.plan.walks.iter().chain(&self.plan.jobs).max();
        self.now > asked_for.copied().unwrap_or_default()
            && all
                .all(|(side, id)| self.stores[side].tasks.get(&id).is_some_and(|it| it.has_ended()))
    }

    pub(super) fn why_not(&self) -> String {
        let tasks = self.stores.iter().flat_map(|it| it.tasks.values());
        let mut open: Vec<String> =
            tasks.filter(|it| !it.is_tombstone()).map(|it| format!("{it:?}")).collect();
        open.sort();
        format!("not over: {}", open.join("\n  "))
    }

    /// Whether everything that the jobs had to do was done, and was counted.
    pub(super) fn look_at_result(&mut self, ended_at: i64) {
        let short_lived = self.plan.is_short_lived();
        for number in 0..self.plan.jobs.len() {
            let (id, job_id) = (task_id(number), job_id(number));
            let ended = self.ledger.ended[&id].clone();
            let cancelled =
                self.plan.orders.iter().any(|it| it.1 == number && it.2 == Ordered::Cancel);
            if ended.end == End::Cancelled && !cancelled {
                self.wrong(format!("{id} was cancelled by nobody"));
            }
            if ended.end == End::Failed && !short_lived {
                self.wrong(format!("{id} has failed: {:?}", ended.reason));
            }
            if cancelled || short_lived {
                continue;
            }
            let well = match ended.counts.failed() {
                0 => End::Completed,
                _ => End::CompletedWithFailures,
            };
            if ended.end != well {
                self.wrong(format!("{id} ended as {ended:?}"));
            }
            let failures = self.stores[1].failures.keys().filter(|it| it.0 == job_id).count();
            if failures as u64 != ended.counts.rejected && self.plan.changes.is_empty() {
                self.wrong(format!("{id} keeps {failures} failures of {:?}", ended.counts));
            }
            let began_at = self.plan.jobs[number];
            self.look_for_lost(&job_id, (began_at, ended.at), ended.counts.total);
        }
        let Some(from) = self.ledger.walk_from.filter(|_| !short_lived) else { return };
        for (number, entity) in self.backend.entities.iter().enumerate() {
            let throughout = entity.was_there(0, ended_at) && entity.kind != Kind::Unsendable;
            let walked_at = self.ledger.walked_at[number];
            if throughout && walked_at < from {
                let number = key_of(u32::try_from(number).unwrap());
                self.wrong.push(format!(
                    "{number} was walked at {walked_at} ms, a change was at {from} ms, over at {ended_at} ms"
                ));
            }
        }
    }

    fn look_for_lost(&mut self, job_id: &JobId, (began_at, ended_at): (i64, i64), total: u64) {
        let mut lost = Vec::new();
        let mut there = 0;
        for (number, entity) in self.backend.entities.iter().enumerate() {
            let throughout = entity.was_there(began_at, ended_at);
            there += u64::from(throughout);
            if throughout && entity.kind == Kind::Good && !self.ledger.has_reached(job_id, number) {
                lost.push(key_of(u32::try_from(number).unwrap()));
            }
        }
        if !lost.is_empty() {
            self.wrong(format!("{job_id} never reached {lost:?}"));
        }
        if total < there {
            self.wrong(format!("{job_id} counts {total} of {there}"));
        }
    }
}
