//! The recovery pass: looks at every task whose time has come, for as long as the service runs.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::{Result, Service, TaskError, TaskStore, Tasks};

/// How often it is looked whether a task's time has come.
const EVERY: Duration = Duration::from_millis(250);
/// How many tasks are looked at in one pass.
const DUE_MAX: usize = 200;
/// How many of them at a time.
const AT_A_TIME: usize = 8;
/// How long a document is left alone that cannot be read.
const PARKED_FOR: Duration = Duration::from_secs(60);
/// How long a task is left alone whose wake-up failed.
const FAILED_FOR: Duration = Duration::from_secs(2);

impl<S: TaskStore<V::Payload>, V: Service> Tasks<S, V> {
    /// Wakes every task whose time has come. One that fails, or cannot be read, is put off; the others do not notice.
    ///
    /// # Errors
    /// The store does not say which tasks those are.
    pub async fn recover(&self) -> Result<usize> {
        let due = self.store.due(self.service.now(), DUE_MAX).await?;
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(AT_A_TIME, |id| async move {
                let Err(error) = self.wake(&id).await else { return };
                let (task_id, reason) = (id.as_str(), error.to_string());
                let put_off = match error {
                    TaskError::Foreign(_) => {
                        metrics::counter!("async_task_parked_total").increment(1);
                        tracing::error!(task_id, reason, "task parked");
                        PARKED_FOR
                    }
                    TaskError::Store(_) | TaskError::Contended(_) | TaskError::Service(_) => {
                        tracing::warn!(task_id, reason, "task could not be woken");
                        FAILED_FOR
                    }
                };
                let until = self.service.now().plus(put_off);
                if let Err(error) = self.store.postpone(&id, until).await {
                    tracing::warn!(task_id, error = %error, "task could not be put off");
                }
            })
            .await;
        Ok(count)
    }
}

/// Runs the recovery pass until `stop`.
pub async fn recover_until<S: TaskStore<V::Payload>, V: Service>(
    tasks: Tasks<S, V>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = tasks.recover().await {
            tracing::warn!(error = %error, "tasks could not be looked at");
        }
    }
}
