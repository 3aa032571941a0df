//! What a job does in the world: rsclient and rsagents are asked and told over Kafka.

use std::sync::Arc;

use async_task::{At, Child, End, Next, Order, Result, Sent, Service, State, Task, TaskError};
use eventbus::{EventBusMessage, EventBusProducer, Origin};
use events::{
    AgentsRequest, CancelSync, ClientRequest, RequestId, Revision, SyncAction, SyncControl,
    SyncReply, TopicEvent,
};
use futures_util::future::try_join;
use tokio::sync::Notify;

use super::store::Scopes;
use crate::{
    SOURCE,
    domain::{JobPayload, JobTask, Part, next_step, sync_request},
};

/// The services that do what a job wants. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    bus: EventBusProducer,
    scopes: Scopes,
    job_ended: Arc<Notify>,
}

/// What a job is told to do, as its services are told.
#[derive(Clone, Copy, Debug)]
enum Command {
    Cancel,
    Control(SyncAction),
}

impl Services {
    /// Speaks over `bus`; gives back `scopes` and tells `job_ended` where a job has ended.
    pub fn new(bus: EventBusProducer, scopes: Scopes, job_ended: Arc<Notify>) -> Self {
        Self { bus, scopes, job_ended }
    }

    /// Tells both services once more whether this job stands still.
    ///
    /// # Errors
    /// The broker did not acknowledge it.
    pub async fn tell_again(&self, job: &JobTask) -> Result<()> {
        match &job.state {
            State::Running => self.command(job, Command::Control(SyncAction::Resume)).await,
            State::Paused { .. } => self.command(job, Command::Control(SyncAction::Pause)).await,
            State::Cancelling { .. } => self.command(job, Command::Cancel).await,
            State::Ended { .. } => Ok(()),
        }
    }

    async fn command(&self, job: &JobTask, command: Command) -> Result<()> {
        let job_id = job.job_id.clone();
        // The same command after another one is a message of its own.
        let cause = format!("{job_id}/{}", job.fence);
        let (client, agents) = match command {
            Command::Cancel => {
                let cancel = CancelSync { job_id };
                (ClientRequest::RSCancelSync(cancel.clone()), AgentsRequest::RSCancelSync(cancel))
            }
            Command::Control(action) => {
                let control = SyncControl { job_id, action, request_id: None };
                (
                    ClientRequest::RSSyncControl(control.clone()),
                    AgentsRequest::RSSyncControl(control),
                )
            }
        };
        let (client, agents) =
            (self.publish(job, &client, None, &cause), self.publish(job, &agents, None, &cause));
        try_join(client, agents).await.map(drop)
    }

    /// `asks` is the request whose reply is waited for; `cause` makes a repetition the same message.
    async fn publish(
        &self,
        job: &JobTask,
        event: &impl TopicEvent,
        asks: Option<&RequestId>,
        cause: &str,
    ) -> Result<()> {
        // The same event may go to both services: each gets a message of its own.
        let id = &format!("{cause}/{}", topic_of(event));
        let mut message = EventBusMessage::new(event, SOURCE, Origin::Message { id, n: 0 });
        message.attributes.request_id = asks.cloned();
        message.attributes.job_id = Some(job.job_id.clone());
        message.attributes.tenant.clone_from(&job.payload.sync_all().scope.isp_id);
        let published = self.bus.publish(&message).await;
        published.map(drop).map_err(|error| TaskError::Service(error.into()))
    }

    async fn request(
        &self,
        job: &JobTask,
        event: &impl TopicEvent,
        request_id: &RequestId,
    ) -> Result<()> {
        self.publish(job, event, Some(request_id), request_id.as_str()).await
    }
}

fn topic_of<E: TopicEvent>(_: &E) -> &'static str {
    E::topic().name
}

impl Service for Services {
    type Payload = JobPayload;

    async fn next(&self, parent: &JobTask, _room: u64) -> Result<Next> {
        Ok(next_step(parent))
    }

    async fn remaining(&self, _parent: &JobTask) -> Result<u64> {
        // Only those who are asked can count.
        Ok(0)
    }

    async fn ask(&self, parent: &JobTask, request_id: &RequestId, _child: &Child) -> Result<()> {
        let Some(part) = Part::of(request_id.key()) else {
            return Err(TaskError::Service(anyhow::anyhow!("`{request_id}` asks for nothing")));
        };
        let request = || sync_request(parent, request_id);
        let redrive = || SyncControl {
            job_id: parent.job_id.clone(),
            action: SyncAction::Redrive,
            request_id: Some(request_id.clone()),
        };
        match part {
            Part::System => {
                let event = ClientRequest::RSSyncSystem(request());
                self.request(parent, &event, request_id).await?;
            }
            Part::AgentPackages => {
                let event = AgentsRequest::RSSyncAgentPackages(request());
                self.request(parent, &event, request_id).await?;
            }
            Part::Accounts => {
                let event = ClientRequest::RSSyncAccounts(request());
                self.request(parent, &event, request_id).await?;
            }
            Part::AgentPackagesAgain => {
                let event = AgentsRequest::RSSyncControl(redrive());
                self.request(parent, &event, request_id).await?;
            }
            Part::AccountsAgain => {
                let event = ClientRequest::RSSyncControl(redrive());
                self.request(parent, &event, request_id).await?;
            }
        }
        // Who begins only now has not heard that the job stands still.
        match &parent.state {
            State::Paused { .. } => self.tell_again(parent).await,
            State::Running | State::Cancelling { .. } | State::Ended { .. } => Ok(()),
        }
    }

    async fn bulk(&self, _: &JobTask, _: &Child) -> Result<(JobPayload, Vec<String>)> {
        unreachable!("the children of a job are tasks of other services")
    }

    async fn send(&self, _: &JobTask, _: &[String], _: At) -> Result<Sent> {
        unreachable!("a job sends no records")
    }

    async fn overtaken(&self, _: &JobTask, _: &[(String, Revision)], _: At) -> Result<Vec<String>> {
        unreachable!("a job sends no records")
    }

    async fn reply(&self, _: &Task<JobPayload>, _: SyncReply) -> Result<()> {
        // Who asked for a job reads it.
        Ok(())
    }

    async fn pass_on(&self, task: &JobTask, order: &Order) -> Result<()> {
        let command = match order {
            Order::Cancel => Command::Cancel,
            Order::Pause(_) => Command::Control(SyncAction::Pause),
            Order::Resume => Command::Control(SyncAction::Resume),
        };
        self.command(task, command).await
    }

    async fn ended(&self, task: &JobTask) -> Result<()> {
        self.scopes.give_back(&task.job_id, task.payload.sync_all().redrives).await?;
        self.job_ended.notify_one();
        if let State::Ended { end, .. } = &task.state {
            let end = match end {
                End::Completed => "completed",
                End::CompletedWithFailures => "completed_with_failures",
                End::Cancelled => "cancelled",
                End::Failed => "failed",
            };
            metrics::counter!("rssync_jobs_ended_total", "state" => end).increment(1);
        }
        Ok(())
    }
}
