//! Somebody wants a package deleted. Nobody may run it then, so rsclient has its word.
//!
//! | step | what is durable then |
//! | --- | --- |
//! | 1 | the package is `deleting`: it does not change |
//! | 2 | it leaves the defaults: no model comes to run it by default |
//! | 3 | rsclient has given it up: no router comes to run it, for good |
//! | 4 | it is a tombstone, listed no more and untold |
//! | 5 | `RSAgentPackageDeleted` is published |
//! | 6 | nothing is `deleting` or leaving any more |
//!
//! Where somebody uses it, steps 1 and 2 are taken back; where several are at one deletion, by the last of them: another
//! one may hear otherwise. What a process that dies leaves behind, [`finish_deletions`] does from step 2 on: each of them
//! may be done again.

use std::time::Duration;

use events::{AgentPackageId, IspId};
use problem::Expected;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Failure, find_package::is_of, settle_isp::settle_soon};
use crate::{
    app::App,
    domain::{Defaults, Deleting, Package},
    infrastructure::{
        peers::References,
        store::{ATTEMPTS_MAX, StoreError},
    },
};

/// Most deletions that are finished in one look.
const FINISHED_MAX: i64 = 100;

/// Deletes a package; without an ISP it may be anybody's.
///
/// # Errors
/// It is not known, it is in another state than the one that is expected, somebody uses it, or the store or rsclient
/// failed: then the deletion goes on later.
pub async fn delete_package(
    app: &App,
    isp_id: Option<&IspId>,
    id: &AgentPackageId,
    expected: &Expected,
) -> Result<(), Failure> {
    let attempts = [Uuid::new_v4().to_string()];
    let (mut was_there, mut is_at_it) = (false, false);
    for _ in 0..ATTEMPTS_MAX {
        let held = app.store.packages.find_one(id).await?;
        let held = held.filter(|it| is_of(it, isp_id) && (!it.deleted || it.deleting.is_some()));
        let held = match held {
            Some(held) => held,
            // Somebody else has come to the end of it.
            None if was_there => return Ok(()),
            None => return Err(Failure::NoSuch(Vec::new())),
        };
        if !is_at_it && !held.deleted && !expected.allows(held.package.revision) {
            return Err(Failure::Changed);
        }
        was_there = true;
        if !held.deleted {
            if !begin(app, &held, &attempts).await? {
                continue;
            }
            is_at_it = true;
        }
        fail::fail_point!("rsagents::delete-begun", |_| std::process::abort());
        if go_on(app, &held, &attempts).await? {
            return Ok(());
        }
    }
    Err(StoreError::Contended { id: id.to_string() }.into())
}

/// Finishes deletions that began so long ago that whoever began them is not at it any more; answers how many.
///
/// # Errors
/// The store failed.
pub async fn finish_deletions(app: &App) -> Result<usize, Failure> {
    let before = jiff::Timestamp::now().as_millisecond() - app.deletion.finish_after_ms();
    let due = app.store.packages.deleting_since(before, FINISHED_MAX).await?;
    let mut finished = 0;
    for package in due {
        let Some(deleting) = &package.deleting else { continue };
        let id = &package.package.agent_package_id;
        let ended = match go_on(app, &package, &deleting.attempts).await {
            // Somebody has taken it back whom rsclient had answered before; now rsclient has given it up, for good.
            Ok(false) => delete_package(app, None, id, &Expected::Any).await,
            Ok(true) => Ok(()),
            Err(failure) => Err(failure),
        };
        let id = id.as_str();
        match ended {
            Ok(()) => finished += 1,
            // Somebody else has come to the end of it.
            Err(Failure::NoSuch(_)) => (),
            Err(Failure::Conflict(why)) => {
                tracing::info!(agent_package_id = id, why, "a deletion was taken back");
            }
            Err(failure) => {
                let failure = anyhow::Error::new(failure);
                tracing::warn!(
                    agent_package_id = id,
                    failure = format!("{failure:#}"),
                    "deleted later"
                );
            }
        }
    }
    forget_rests(app).await?;
    Ok(finished)
}

/// A package that nobody deletes any more leaves no defaults: whoever took his attempt back has died before he said so.
async fn forget_rests(app: &App) -> Result<(), Failure> {
    // The defaults before the packages: who deletes one writes in the other order, and raises the fence.
    for held in app.store.defaults.being_left(FINISHED_MAX).await? {
        let ids: Vec<&str> = held.leaving.iter().map(AgentPackageId::as_str).collect();
        let mut deleting = app.store.packages.find(&ids).await?;
        deleting.retain(|it| it.deleting.is_some());
        let is_leaving =
            |id: &&AgentPackageId| deleting.iter().any(|it| it.package.agent_package_id == **id);
        let leaving: Vec<AgentPackageId> =
            held.leaving.iter().filter(is_leaving).cloned().collect();
        if leaving != held.leaving {
            // Where somebody has written them meanwhile, it is looked for again.
            app.store.defaults.write(&held, &Defaults { leaving, ..held.clone() }).await?;
        }
    }
    Ok(())
}

/// Looks `every` so often for deletions to finish, until `stop`.
pub async fn finish_deletions_until(app: &App, every: Duration, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match stop.run_until_cancelled(finish_deletions(app)).await {
            None => return,
            Some(Ok(_)) => (),
            Some(Err(failure)) => tracing::warn!(%failure, "deletions are finished later"),
        }
    }
}

/// Step 1, also where somebody is at it already; answers whether it is done: not where somebody else has written the
/// package meanwhile.
async fn begin(app: &App, held: &Package, [attempt]: &[String; 1]) -> Result<bool, Failure> {
    let packages = &app.store.packages;
    if held.deleting.is_some() {
        return Ok(packages.join_deleting(&held.package.agent_package_id, attempt).await?);
    }
    let since = jiff::Timestamp::now().as_millisecond();
    Ok(packages.begin_deleting(held, &Deleting { attempts: vec![attempt.clone()], since }).await?)
}

/// The steps behind the first; answers whether the deletion came to its end. It may have been taken back between the
/// question to rsclient and the tombstone: then it begins again.
async fn go_on(app: &App, package: &Package, attempts: &[String]) -> Result<bool, Failure> {
    let id = &package.package.agent_package_id;
    if !package.deleted {
        leave_defaults(app, package, attempts).await?;
        fail::fail_point!("rsagents::delete-left", |_| std::process::abort());
        if let References::Held(who) = app.rsclient.release(id).await.map_err(Failure::Peer)? {
            fail::fail_point!("rsagents::delete-refused", |_| std::process::abort());
            take_back(app, package, attempts).await?;
            return Err(Failure::Conflict(who));
        }
        fail::fail_point!("rsagents::delete-released", |_| std::process::abort());
        // Whoever else is at it: rsclient's word is final.
        if !app.store.packages.entomb(id).await? {
            return Ok(false);
        }
        fail::fail_point!("rsagents::delete-entombed", |_| std::process::abort());
    }
    finish(app, package).await?;
    Ok(true)
}

/// Step 2. A package that a model runs by default stays.
async fn leave_defaults(app: &App, package: &Package, attempts: &[String]) -> Result<(), Failure> {
    let (isp_id, id) = (&package.package.isp_id, &package.package.agent_package_id);
    for _ in 0..ATTEMPTS_MAX {
        if app.store.defaults.leave(isp_id, id).await? {
            return Ok(());
        }
        let held = app.store.defaults.find(isp_id).await?;
        let models: Vec<String> = held.models_of(id).iter().map(|it| format!("`{it}`")).collect();
        if !models.is_empty() {
            take_back(app, package, attempts).await?;
            let why = format!("the default of model {}", models.join(", "));
            return Err(Failure::Conflict(why));
        }
    }
    Err(StoreError::Contended { id: isp_id.to_string() }.into())
}

async fn take_back(app: &App, package: &Package, attempts: &[String]) -> Result<(), Failure> {
    let (isp_id, id) = (&package.package.isp_id, &package.package.agent_package_id);
    if app.store.packages.take_back(id, attempts).await? {
        fail::fail_point!("rsagents::delete-kept", |_| std::process::abort());
        app.store.defaults.stay(isp_id, id).await?;
    }
    Ok(())
}

/// Steps 5 and 6. Where the broker does not take it, the relay tells it later.
async fn finish(app: &App, package: &Package) -> Result<(), Failure> {
    let id = &package.package.agent_package_id;
    settle_soon(app, &package.package.isp_id).await;
    if let Err(error) = app.outboxes.packages.tell(id.as_str()).await {
        let error = anyhow::Error::new(error);
        tracing::warn!(agent_package_id = id.as_str(), error = format!("{error:#}"), "told later");
    }
    fail::fail_point!("rsagents::delete-told", |_| std::process::abort());
    app.store.defaults.stay(&package.package.isp_id, id).await?;
    fail::fail_point!("rsagents::delete-stayed", |_| std::process::abort());
    Ok(app.store.packages.end_deleting(id).await?)
}
