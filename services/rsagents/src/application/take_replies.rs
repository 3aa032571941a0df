//! rsadaptor tells what the backend said of packages.

use std::collections::BTreeSet;

use async_task::TaskResult;
use events::{AgentPackageId, AppliedReply, IspId, ReplyStatus, RequestId, Revision};

use super::{Failure, settle_isp};
use crate::{
    app::App,
    domain::{BackendWord, Package},
    infrastructure::outboxes::LIVE,
};

/// Remembers what the backend said of packages, has those listed that it holds, and has the task go on that has asked.
///
/// # Errors
/// Store or bus failed; the same replies once more do no harm.
pub async fn take_package_replies(
    app: &App,
    task_id: &RequestId,
    event_type: &str,
    replies: &[AppliedReply],
) -> Result<TaskResult, Failure> {
    let is_live = task_id.as_str() == LIVE;
    let isps = note(app, replies, is_live).await?;
    fail::fail_point!("rsagents::before-listing", |_| std::process::abort());
    // Also where nothing is new: who noted it may have died before it came to this.
    for isp_id in &isps {
        settle_isp(app, isp_id).await?;
    }
    if is_live {
        return Ok(TaskResult { completed: true, changed: !isps.is_empty() });
    }
    Ok(app.tasks().dispatch_results(task_id, event_type, replies).await?)
}

/// Answers whose packages they are.
async fn note(
    app: &App,
    replies: &[AppliedReply],
    is_live: bool,
) -> Result<BTreeSet<IspId>, Failure> {
    let ids: Vec<&str> = replies.iter().map(|it| it.resource.as_str()).collect();
    let packages = app.store.packages.find(&ids).await?;
    let mut isps = BTreeSet::new();
    for reply in replies {
        let id = reply.resource.as_str();
        let package = packages.iter().find(|it| it.package.agent_package_id.as_str() == id);
        let Some(package) = package else { continue };
        isps.insert(package.package.isp_id.clone());
        if let Some(word) = word(reply).filter(|it| package.backend.as_ref() != Some(it)) {
            let id: &AgentPackageId = &package.package.agent_package_id;
            app.store.packages.note(id, &word).await?;
        }
        // What a sync has asked for, its task repairs.
        if let Some(held) = ahead(reply, package).filter(|_| is_live) {
            app.store.packages.raise_untold(id, held).await?;
            app.outboxes.packages.tell_soon(id);
        }
    }
    Ok(isps)
}

fn word(reply: &AppliedReply) -> Option<BackendWord> {
    let revision = reply.revision;
    match reply.status {
        ReplyStatus::Applied | ReplyStatus::Unchanged => Some(BackendWord::Applied { revision }),
        ReplyStatus::Rejected => Some(BackendWord::Refused {
            revision,
            http_status: reply.http_status,
            error: reply.error.clone(),
        }),
        ReplyStatus::Superseded | ReplyStatus::Expired | ReplyStatus::NotSent => None,
    }
}

/// What the backend holds beyond what this service has ever said: its store was set back.
fn ahead(reply: &AppliedReply, package: &Package) -> Option<Revision> {
    let superseded = reply.status == ReplyStatus::Superseded;
    reply.held_revision.filter(|it| superseded && *it > package.package.revision)
}
