//! What the tasks of the service do: find devices, send them, tell how far they are.

use std::collections::BTreeSet;

use async_task::{
    AsyncTasks, At, Child, FailureQuery, NewChild, Next, Order, Result, Sent, Service, Task,
    TaskError, Tasks,
};
use eventbus::{EventBusMessage, Origin};
use events::{
    ClientReply, ClientRequest, DeviceId, IspId, RequestId, Revision, SyncBulkRequest, SyncReply,
    SyncScope, TopicEvent,
};

use crate::{
    SOURCE,
    app::App,
    application::{Failure, repair_devices, repair_system, send_devices, send_system},
    domain::{Source, SyncAccountsBulk, SystemDocument, Work, entity_of_key},
    infrastructure::store::Found,
};

/// Most records that one bulk can come to have, where devices were added to its range.
const BULK_MAX: usize = 1_000;

impl App {
    /// The tasks of the service.
    pub fn tasks(&self) -> Tasks<AsyncTasks<Work>, App> {
        Tasks::new(self.async_tasks.clone(), self.clone(), self.limits)
    }
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> Self {
        Self::Service(failure.into())
    }
}

impl Service for App {
    type Payload = Work;

    async fn next(&self, parent: &Task<Work>, room: u64) -> Result<Next> {
        let cursor = parent.children().and_then(|it| it.cursor.clone());
        let limit = usize::try_from(room).unwrap_or(BULK_MAX).min(BULK_MAX);
        let found = match &parent.payload {
            Work::RSSyncAccountsBulk(_) => return Ok(Next::Nothing),
            Work::RSSyncSystem(_) | Work::RSSyncAccounts(_) | Work::Walk(_) => {
                found(self, parent, (cursor.as_deref(), None), limit).await?
            }
        };
        let (mut size, mut up_to) = (0, None);
        for it in found {
            if size + it.requests() > room && size > 0 {
                break;
            }
            size += it.requests();
            up_to = Some(it.key);
        }
        Ok(match up_to {
            None => Next::Nothing,
            Some(_) => Next::Child(NewChild { key: None, size, after: cursor, up_to }),
        })
    }

    async fn remaining(&self, parent: &Task<Work>) -> Result<u64> {
        let cursor = parent.children().and_then(|it| it.cursor.clone());
        match (&parent.payload, parent.payload.source()) {
            (Work::RSSyncAccountsBulk(_), _) => Ok(0),
            (Work::RSSyncSystem(it), _) => {
                let after = cursor.as_deref();
                let protections = self.store.router_protections.count(&it.scope, after).await;
                let systems = self.store.system_configurations.count(&it.scope, after).await;
                Ok(protections.map_err(Failure::from)? + systems.map_err(Failure::from)?)
            }
            (_, Source::Failures) => {
                self.async_tasks.failures().count(&parent.job_id, cursor.as_deref()).await
            }
            (_, Source::Scope) => {
                let scope = parent.payload.scope();
                let scope = (&scope, parent.payload.which());
                let counted = self.store.devices.count_in(scope, cursor.as_deref());
                Ok(counted.await.map_err(Failure::from)?)
            }
        }
    }

    async fn ask(&self, parent: &Task<Work>, id: &RequestId, child: &Child) -> Result<()> {
        if let Work::RSSyncSystem(_) = &parent.payload {
            // The few documents of ISPs need nobody else: what no event asks for, this process does.
            self.tasks().start_bulk(id, &parent.job_id).await?;
            return Ok(());
        }
        let device = |key: &Option<String>| -> Option<DeviceId> {
            key.as_deref().and_then(|it| entity_of_key(it).parse().ok())
        };
        let Some(up_to) = device(&child.up_to) else { return Ok(()) };
        let event = ClientRequest::RSSyncAccountsBulk(SyncBulkRequest {
            job_id: parent.job_id.clone(),
            request_id: id.clone(),
            after: device(&child.after),
            up_to,
        });
        say(self, parent, &event, id.key()).await
    }

    async fn bulk(&self, parent: &Task<Work>, child: &Child) -> Result<(Work, Vec<String>)> {
        let range = (child.after.as_deref(), child.up_to.as_deref());
        let found = found(self, parent, range, BULK_MAX).await?;
        let (manner, source) = (parent.payload.manner(), parent.payload.source());
        let work = Work::RSSyncAccountsBulk(SyncAccountsBulk { manner, source });
        Ok((work, found.into_iter().flat_map(Found::into_keys).collect()))
    }

    async fn send(&self, bulk: &Task<Work>, keys: &[String], expires_at: At) -> Result<Sent> {
        let (system, devices) = of_isps(keys.iter().cloned(), |it| it);
        let mut sent = send_devices(self, bulk, &devices, expires_at).await?;
        let of_isps = send_system(self, bulk, &system, expires_at).await?;
        sent.gone.extend(of_isps.gone);
        sent.failures.extend(of_isps.failures);
        Ok(sent)
    }

    async fn overtaken(
        &self,
        bulk: &Task<Work>,
        held: &[(String, Revision)],
        expires_at: At,
    ) -> Result<Vec<String>> {
        let (system, devices) = of_isps(held.iter().cloned(), |it| &it.0);
        let mut again = repair_devices(self, bulk, &devices, expires_at).await?;
        again.extend(repair_system(self, bulk, &system, expires_at).await?);
        Ok(again)
    }

    async fn reply(&self, task: &Task<Work>, reply: SyncReply) -> Result<()> {
        let event = match &task.payload {
            Work::RSSyncSystem(_) => ClientReply::RSSyncSystemReply(reply),
            Work::RSSyncAccounts(_) => ClientReply::RSSyncAccountsReply(reply),
            Work::RSSyncAccountsBulk(_) => ClientReply::RSSyncAccountsBulkReply(reply),
            // Nobody has asked for it.
            Work::Walk(_) => return Ok(()),
        };
        say(self, task, &event, "reply").await
    }

    async fn pass_on(&self, _: &Task<Work>, _: &Order) -> Result<()> {
        Ok(())
    }

    async fn ended(&self, _: &Task<Work>) -> Result<()> {
        Ok(())
    }
}

/// What a parent finds between two keys.
async fn found(
    app: &App,
    parent: &Task<Work>,
    (after, up_to): (Option<&str>, Option<&str>),
    limit: usize,
) -> Result<Vec<Found>> {
    let scope = parent.payload.scope();
    match parent.payload.source() {
        Source::Scope if matches!(parent.payload, Work::RSSyncSystem(_)) => {
            Ok(documents_of_isps(app, &scope, (after, up_to), limit).await?)
        }
        Source::Scope => {
            let scope = (&scope, parent.payload.which());
            let found = app.store.devices.found_in(scope, (after, up_to), limit);
            Ok(found.await.map_err(Failure::from)?)
        }
        Source::Failures => {
            let owned = |it: Option<&str>| it.map(str::to_owned);
            let (after, up_to) = (owned(after), owned(up_to));
            let query = FailureQuery { class: None, after, up_to, limit };
            let page = app.async_tasks.failures().page(&parent.job_id, &query).await?;
            let found = page.items.into_iter().map(|it| Found::request(it.key));
            Ok(found.collect())
        }
    }
}

/// The documents of ISPs that a parent finds between two ISPs.
async fn documents_of_isps(
    app: &App,
    scope: &SyncScope,
    between: (Option<&str>, Option<&str>),
    limit: usize,
) -> std::result::Result<Vec<Found>, Failure> {
    let protections = app.store.router_protections.isps(scope, between, limit).await?;
    let systems = app.store.system_configurations.isps(scope, between, limit).await?;
    // Whatever is among the first of all is among the first of its kind.
    let isps: BTreeSet<&IspId> = protections.union(&systems).collect();
    let found = isps.into_iter().take(limit).map(|isp_id| {
        let held = SystemDocument::ALL.into_iter().filter(|it| match it {
            SystemDocument::RouterProtection => protections.contains(isp_id),
            SystemDocument::System => systems.contains(isp_id),
        });
        Found::documents(isp_id, held)
    });
    Ok(found.collect())
}

/// What is about documents of ISPs, and what is about devices.
fn of_isps<T>(all: impl Iterator<Item = T>, key: impl Fn(&T) -> &String) -> (Vec<T>, Vec<T>) {
    all.partition(|it| SystemDocument::of_key(key(it)).is_some())
}

async fn say(app: &App, task: &Task<Work>, event: &impl TopicEvent, what: &str) -> Result<()> {
    let id = format!("{}/{what}#{}", task.id, task.fence);
    let mut message = EventBusMessage::new(event, SOURCE, Origin::Message { id: &id, n: 0 });
    message.attributes.job_id = Some(task.job_id.clone());
    app.bus.publish(&message).await.map_err(Failure::from)?;
    Ok(())
}
