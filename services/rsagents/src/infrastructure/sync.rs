//! What the tasks do in the world: packages are read as they are now and said again.

use std::collections::HashSet;

use anyhow::Context as _;
use async_task::{
    At, Child, Failure, FailureQuery, Failures, NewChild, Next, Order, Result, Sent, Service, Task,
};
use eventbus::{EventBusMessage, EventBusProducer, Lane, Origin, PublishError};
use events::{
    AgentsReply, AgentsRequest, RequestId, Revision, SyncBulkRequest, SyncReply, TopicEvent,
};
use futures_util::future::join_all;

use crate::{
    SOURCE,
    domain::{AgentTask, Package, SyncAgentPackages, SyncAgentPackagesBulk, package_event},
    infrastructure::store::Packages,
};

/// What the tasks reach for; cheap to clone.
#[derive(Clone)]
pub struct PackageSync {
    packages: Packages,
    failures: Failures,
    bus: EventBusProducer,
}

impl PackageSync {
    /// Tasks about these packages, told on this bus.
    pub fn new(packages: Packages, failures: Failures, bus: EventBusProducer) -> Self {
        Self { packages, failures, bus }
    }

    /// The keys that a task opens behind `after` and up to `up_to`, at most `limit` of them.
    async fn keys(
        &self,
        parent: &Task<AgentTask>,
        after: Option<&str>,
        up_to: Option<&str>,
        limit: u64,
    ) -> Result<Vec<String>> {
        let sync = sync_of(parent)?;
        if !sync.redrive {
            return Ok(self.packages.page(&sync.scope, after, up_to, limit).await?);
        }
        let query = FailureQuery {
            class: None,
            after: after.map(str::to_owned),
            up_to: up_to.map(str::to_owned),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let failed = self.failures.page(&parent.job_id, &query).await?;
        Ok(failed.items.into_iter().map(|it| it.key).collect())
    }

    async fn say(&self, event: &impl TopicEvent, origin: &str) -> Result<()> {
        let message = EventBusMessage::new(event, SOURCE, Origin::Message { id: origin, n: 0 });
        self.bus.publish(&message).await.context("the broker did not take it")?;
        Ok(())
    }

    /// Sends one package; answers why it cannot be sent, ever.
    async fn say_package(
        &self,
        bulk: &Task<AgentTask>,
        package: &Package,
        event: &events::RsAgentEvent,
        expires_at: At,
    ) -> Result<Option<Failure>> {
        let key = package.package.agent_package_id.as_str();
        let request_id = bulk.request_id(key);
        let id = format!("{request_id}@{}", expires_at.0);
        let mut message = EventBusMessage::new(event, SOURCE, Origin::Message { id: &id, n: 0 });
        let attributes = &mut message.attributes;
        attributes.tenant = Some(package.package.isp_id.clone());
        attributes.request_id = Some(request_id);
        attributes.job_id = Some(bulk.job_id.clone());
        attributes.lane = Lane::Sync;
        attributes.expires_at = Some(expires_at.timestamp());
        attributes.force = bulk_of(bulk)?.mode == events::SyncMode::Force;
        match self.bus.publish(&message).await {
            Ok(_) => Ok(None),
            Err(error @ PublishError::TooLarge(_)) => {
                let task = (&bulk.job_id, &bulk.id);
                Ok(Some(Failure::unsendable(task, key, "too_large", &error.to_string())))
            }
            Err(error @ PublishError::Deliver { .. }) => {
                Err(anyhow::Error::new(error).context("the broker did not take a package").into())
            }
        }
    }
}

impl Service for PackageSync {
    type Payload = AgentTask;

    async fn next(&self, parent: &Task<AgentTask>, room: u64) -> Result<Next> {
        let after = parent.children().and_then(|it| it.cursor.clone());
        let keys = self.keys(parent, after.as_deref(), None, room).await?;
        let Some(last) = keys.last() else { return Ok(Next::Nothing) };
        Ok(Next::Child(NewChild {
            key: None,
            size: keys.len() as u64,
            after,
            up_to: Some(last.clone()),
        }))
    }

    async fn remaining(&self, parent: &Task<AgentTask>) -> Result<u64> {
        let sync = sync_of(parent)?;
        let after = parent.children().and_then(|it| it.cursor.as_deref());
        if sync.redrive {
            return self.failures.count(&parent.job_id, after).await;
        }
        Ok(self.packages.count(&sync.scope, after).await?)
    }

    async fn ask(
        &self,
        parent: &Task<AgentTask>,
        request_id: &RequestId,
        child: &Child,
    ) -> Result<()> {
        let up_to = child.up_to.as_ref().context("a bulk has a last package")?;
        let after = child.after.as_ref().map(|it| it.parse()).transpose();
        let request = AgentsRequest::RSSyncAgentPackagesBulk(SyncBulkRequest {
            job_id: parent.job_id.clone(),
            request_id: request_id.clone(),
            after: after.context("a package's id")?,
            up_to: up_to.parse().context("a package's id")?,
        });
        self.say(&request, request_id.as_str()).await
    }

    async fn bulk(
        &self,
        parent: &Task<AgentTask>,
        child: &Child,
    ) -> Result<(AgentTask, Vec<String>)> {
        let (after, up_to) = (child.after.as_deref(), child.up_to.as_deref());
        let keys = self.keys(parent, after, up_to, u64::MAX).await?;
        let SyncAgentPackages { mode, redrive, .. } = *sync_of(parent)?;
        Ok((AgentTask::RSSyncAgentPackagesBulk(SyncAgentPackagesBulk { mode, redrive }), keys))
    }

    async fn send(&self, bulk: &Task<AgentTask>, keys: &[String], expires_at: At) -> Result<Sent> {
        let ids: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = self.packages.find(&ids).await?;
        let due: Vec<_> = found.iter().map(|it| (it, package_event(it))).collect();
        let said: HashSet<&str> =
            due.iter().map(|it| it.0.package.agent_package_id.as_str()).collect();
        let gone = keys.iter().filter(|it| !said.contains(it.as_str())).cloned().collect();
        fail::fail_point!("rsagents::before-publish", |_| std::process::abort());
        let sent = due.iter().map(|(it, event)| self.say_package(bulk, it, event, expires_at));
        let mut failures = Vec::new();
        for sent in join_all(sent).await {
            failures.extend(sent?);
        }
        Ok(Sent { gone, failures })
    }

    async fn overtaken(
        &self,
        bulk: &Task<AgentTask>,
        held: &[(String, Revision)],
        expires_at: At,
    ) -> Result<Vec<String>> {
        let mut raised = Vec::new();
        for (key, revision) in held {
            if self.packages.raise_past(key, *revision, self.now().0).await? {
                raised.push(key.clone());
            }
        }
        let sent = self.send(bulk, &raised, expires_at).await?;
        raised
            .retain(|it| !sent.gone.contains(it) && !sent.failures.iter().any(|no| no.key == *it));
        Ok(raised)
    }

    async fn reply(&self, task: &Task<AgentTask>, reply: SyncReply) -> Result<()> {
        // One id for each state of the task: what is told again is the same message.
        let id = format!("{}#{}", task.id, task.fence);
        let reply = match &task.payload {
            AgentTask::RSSyncAgentPackages(_) => AgentsReply::RSSyncAgentPackagesReply(reply),
            AgentTask::RSSyncAgentPackagesBulk(_) => {
                AgentsReply::RSSyncAgentPackagesBulkReply(reply)
            }
        };
        self.say(&reply, &id).await
    }

    async fn pass_on(&self, _: &Task<AgentTask>, _: &Order) -> Result<()> {
        // All children are here, and look at their parent themselves.
        Ok(())
    }

    async fn ended(&self, _: &Task<AgentTask>) -> Result<()> {
        Ok(())
    }
}

fn sync_of(task: &Task<AgentTask>) -> anyhow::Result<&SyncAgentPackages> {
    match &task.payload {
        AgentTask::RSSyncAgentPackages(it) => Ok(it),
        AgentTask::RSSyncAgentPackagesBulk(_) => anyhow::bail!("`{}` is a bulk", task.id),
    }
}

fn bulk_of(task: &Task<AgentTask>) -> anyhow::Result<&SyncAgentPackagesBulk> {
    match &task.payload {
        AgentTask::RSSyncAgentPackagesBulk(it) => Ok(it),
        AgentTask::RSSyncAgentPackages(_) => anyhow::bail!("`{}` is no bulk", task.id),
    }
}
