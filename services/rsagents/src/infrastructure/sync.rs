//! What the tasks do in the world: packages, and what is said of ISPs, are read as they are now and said again.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context as _;
use async_task::{
    AsyncTasks, At, Child, Failure, FailureQuery, NewChild, Next, Order, Result, Sent, Service,
    Task, TaskError, Tasks,
};
use eventbus::{EventBusMessage, Lane, Origin, PublishError};
use events::{
    AgentsReply, AgentsRequest, DeviceId, IspId, RequestId, Revision, RsAgentEvent,
    SyncBulkRequest, SyncReply, SyncScope, TopicEvent,
};
use futures_util::future::join_all;

use crate::{
    SOURCE,
    app::App,
    application::{self, settle_isp},
    domain::{AgentTask, OfIsp, SyncAgentPackages, SyncAgentPackagesBulk},
    infrastructure::store::StoreError,
};

/// What stands before an ISP where a task has come to what is said of ISPs: it is behind every package's id.
const ISP: char = '~';

/// What a task sends of one ISP.
type Found = BTreeMap<IspId, Vec<OfIsp>>;

impl App {
    /// The tasks of the service.
    pub fn tasks(&self) -> Tasks<AsyncTasks<AgentTask>, App> {
        Tasks::new(self.async_tasks.clone(), self.clone(), self.limits)
    }

    /// The keys of what has failed, between two of them.
    async fn failed(
        &self,
        parent: &Task<AgentTask>,
        (after, up_to): (Option<&str>, Option<&str>),
        limit: u64,
    ) -> Result<Vec<String>> {
        let query = FailureQuery {
            class: None,
            after: after.map(str::to_owned),
            up_to: up_to.map(str::to_owned),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let failed = self.async_tasks.failures().page(&parent.job_id, &query).await?;
        Ok(failed.items.into_iter().map(|it| it.key).collect())
    }

    /// What a scope covers that is said of whole ISPs, behind one ISP and up to another.
    async fn of_isps(
        &self,
        scope: &SyncScope,
        (after, up_to): (Option<&str>, Option<&str>),
    ) -> Result<Found> {
        let mut found = Found::new();
        // What is narrower than an ISP covers none of it.
        if scope.account_id.is_some() || scope.model.is_some() {
            return Ok(found);
        }
        for isp_id in self.store.packages.isps(scope).await.map_err(failed)? {
            found.entry(isp_id.clone()).or_default().push(OfIsp::List(isp_id));
        }
        for isp_id in self.store.defaults.isps(scope).await.map_err(failed)? {
            found.entry(isp_id.clone()).or_default().push(OfIsp::Defaults(isp_id));
        }
        found.retain(|isp_id, _| {
            let id = isp_id.as_str();
            after.is_none_or(|it| id > it) && up_to.is_none_or(|it| id <= it)
        });
        Ok(found)
    }

    async fn say(&self, event: &impl TopicEvent, origin: &str) -> Result<()> {
        let message = EventBusMessage::new(event, SOURCE, Origin::Message { id: origin, n: 0 });
        self.bus.publish(&message).await.context("the broker did not take it")?;
        Ok(())
    }

    /// Sends what a key stands for; answers why it cannot be sent, ever.
    async fn say_again(
        &self,
        bulk: &Task<AgentTask>,
        (key, isp_id, event): (&str, &IspId, RsAgentEvent),
        expires_at: At,
    ) -> Result<Option<Failure>> {
        let request_id = bulk.request_id(key);
        let id = format!("{request_id}@{}", expires_at.0);
        let mut message = EventBusMessage::new(&event, SOURCE, Origin::Message { id: &id, n: 0 });
        let attributes = &mut message.attributes;
        attributes.tenant = Some(isp_id.clone());
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

    /// What is said of an ISP now; nothing where nothing ever was.
    async fn event_of_isp(&self, of_isp: &OfIsp) -> Result<Option<RsAgentEvent>> {
        match of_isp {
            // It is worked out anew: a full sync mends what went wrong, whatever it was.
            OfIsp::List(isp_id) => Ok(Some(settle_isp(self, isp_id).await?.event())),
            OfIsp::Defaults(isp_id) => {
                let held = self.store.defaults.find(isp_id).await.map_err(failed)?;
                Ok((held.revision > Revision::default()).then(|| held.event()))
            }
        }
    }
}

impl Service for App {
    type Payload = AgentTask;

    async fn next(&self, parent: &Task<AgentTask>, room: u64) -> Result<Next> {
        let after = parent.children().and_then(|it| it.cursor.clone());
        let sync = sync_of(parent)?;
        let keys = match (sync.redrive, isp_of(after.as_deref())) {
            (true, _) => self.failed(parent, (after.as_deref(), None), room).await?,
            (false, Some(_)) => Vec::new(),
            (false, None) => {
                let between = (after.as_deref(), None);
                self.store.packages.page(&sync.scope, between, room).await.map_err(failed)?
            }
        };
        if let Some(last) = keys.last() {
            let (size, up_to) = (keys.len() as u64, Some(last.clone()));
            return Ok(Next::Child(NewChild { key: None, size, after, up_to }));
        }
        if sync.redrive {
            return Ok(Next::Nothing);
        }
        let found = self.of_isps(&sync.scope, (isp_of(after.as_deref()), None)).await?;
        let (mut size, mut up_to) = (0, None);
        for (isp_id, all) in found {
            if size > 0 && size + all.len() as u64 > room {
                break;
            }
            size += all.len() as u64;
            up_to = Some(format!("{ISP}{isp_id}"));
        }
        Ok(match up_to {
            None => Next::Nothing,
            Some(_) => Next::Child(NewChild { key: None, size, after, up_to }),
        })
    }

    async fn remaining(&self, parent: &Task<AgentTask>) -> Result<u64> {
        let sync = sync_of(parent)?;
        let after = parent.children().and_then(|it| it.cursor.as_deref());
        if sync.redrive {
            return self.async_tasks.failures().count(&parent.job_id, after).await;
        }
        let packages = match isp_of(after) {
            Some(_) => 0,
            None => self.store.packages.count(&sync.scope, after).await.map_err(failed)?,
        };
        let found = self.of_isps(&sync.scope, (isp_of(after), None)).await?;
        Ok(packages + found.values().map(|it| it.len() as u64).sum::<u64>())
    }

    async fn ask(
        &self,
        parent: &Task<AgentTask>,
        request_id: &RequestId,
        child: &Child,
    ) -> Result<()> {
        let up_to = child.up_to.as_ref().context("a bulk has a last package")?;
        let Ok(up_to) = up_to.parse::<DeviceId>() else {
            // The few documents of ISPs need nobody else: what no event asks for, this process does.
            self.tasks().start_bulk(request_id, &parent.job_id).await?;
            return Ok(());
        };
        let request = AgentsRequest::RSSyncAgentPackagesBulk(SyncBulkRequest {
            job_id: parent.job_id.clone(),
            request_id: request_id.clone(),
            after: child.after.as_deref().and_then(|it| it.parse().ok()),
            up_to,
        });
        self.say(&request, request_id.as_str()).await
    }

    async fn bulk(
        &self,
        parent: &Task<AgentTask>,
        child: &Child,
    ) -> Result<(AgentTask, Vec<String>)> {
        let between = (child.after.as_deref(), child.up_to.as_deref());
        let SyncAgentPackages { ref scope, mode, redrive, .. } = *sync_of(parent)?;
        let keys = match (redrive, isp_of(between.1)) {
            (true, _) => self.failed(parent, between, u64::MAX).await?,
            (false, None) => {
                self.store.packages.page(scope, between, u64::MAX).await.map_err(failed)?
            }
            (false, up_to) => {
                let found = self.of_isps(scope, (isp_of(between.0), up_to)).await?;
                found.values().flatten().map(OfIsp::to_string).collect()
            }
        };
        Ok((AgentTask::RSSyncAgentPackagesBulk(SyncAgentPackagesBulk { mode, redrive }), keys))
    }

    async fn send(&self, bulk: &Task<AgentTask>, keys: &[String], expires_at: At) -> Result<Sent> {
        let mut due = Vec::new();
        for key in keys {
            let Some(of_isp) = OfIsp::of_key(key) else { continue };
            if let Some(event) = self.event_of_isp(&of_isp).await? {
                due.push((key.clone(), of_isp.isp_id().clone(), event));
            }
        }
        let ids: Vec<&str> = keys.iter().map(String::as_str).collect();
        for it in self.store.packages.find(&ids).await.map_err(failed)? {
            let (key, event) = (it.package.agent_package_id.to_string(), it.event());
            due.push((key, it.package.isp_id, event));
        }
        let said: HashSet<String> = due.iter().map(|it| it.0.clone()).collect();
        let gone = keys.iter().filter(|it| !said.contains(*it)).cloned().collect();
        fail::fail_point!("rsagents::before-publish", |_| std::process::abort());
        let sent = due.into_iter().map(|(key, isp_id, event)| async move {
            self.say_again(bulk, (&key, &isp_id, event), expires_at).await
        });
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
            let is_raised = match OfIsp::of_key(key) {
                None => {
                    let now = self.now().0;
                    self.store.packages.raise_past(key, *revision, now).await.map_err(failed)?
                }
                Some(of_isp) => raise_past(self, &of_isp, *revision).await?,
            };
            if is_raised {
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

/// Raises what is said of an ISP above what the backend holds. What is newer by then is sent again, too.
async fn raise_past(app: &App, of_isp: &OfIsp, held: Revision) -> Result<bool> {
    let raised = match of_isp {
        OfIsp::List(isp_id) => app.store.lists.raise_past(isp_id, held).await,
        OfIsp::Defaults(isp_id) => app.store.defaults.raise_past(isp_id, held).await,
    };
    raised.map(|()| true).map_err(failed)
}

/// The ISP that a task has come to; nothing where it is at packages.
fn isp_of(cursor: Option<&str>) -> Option<&str> {
    cursor.and_then(|it| it.strip_prefix(ISP))
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

fn failed(error: StoreError) -> TaskError {
    application::Failure::from(error).into()
}

impl From<application::Failure> for TaskError {
    fn from(failure: application::Failure) -> Self {
        Self::Service(failure.into())
    }
}
