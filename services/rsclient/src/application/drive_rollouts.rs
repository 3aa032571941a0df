//! Looks at every rollout whose time has come, for as long as the service runs.
//!
//! Who looks at one first writes until when nobody else does; then does what is to be done in the world; then writes what
//! follows from it, where nobody has written meanwhile. A process that dies anywhere is followed by another one that does
//! the same again.

use std::time::{Duration, Instant};

use async_task::{At, End, State, TaskStore as _};
use events::{JobId, RequestId};
use futures_util::{StreamExt as _, stream};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{count_rollout::count, start_rollout::not_followed, sync::walk_rollout};
use crate::{
    app::App,
    application::Failure,
    domain::{Act, Fact, Look, Rollout, RolloutState, Share, Software, Walked},
};

/// Most rollouts of one look.
const DUE_MAX: i64 = 100;
/// How many of them at a time.
const AT_A_TIME: usize = 4;
/// For how long nobody else looks at a rollout; whoever is still at it says so again after half of it.
const LEASE: Duration = Duration::from_secs(10);
/// Counting takes at most so small a part of the time.
const PART_OF_THE_TIME: u32 = 10;

/// Looks `every` so often at the rollouts whose time has come, until `stop`.
pub async fn drive_rollouts_until(app: &App, every: Duration, stop: &CancellationToken) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // What is cut off is done again.
        match stop.run_until_cancelled(drive_rollouts(app)).await {
            None => return,
            Some(Ok(_)) => (),
            Some(Err(failure)) => tracing::warn!(%failure, "rollouts are looked at later"),
        }
    }
}

/// Looks once at every rollout whose time has come; answers how many those were. One that fails waits until somebody may
/// look at it again; the others do not notice.
///
/// # Errors
/// The store does not say which those are.
pub async fn drive_rollouts(app: &App) -> Result<usize, Failure> {
    let due = app.store.rollouts.due(At::now().0, DUE_MAX).await?;
    let count = due.len();
    let look_at = |id: JobId| async move {
        if let Err(failure) = drive(app, &id).await {
            metrics::counter!("rsclient_rollout_failures_total").increment(1);
            tracing::warn!(rollout_id = id.as_str(), %failure, "a rollout is looked at later");
        }
    };
    stream::iter(due).for_each_concurrent(AT_A_TIME, look_at).await;
    Ok(count)
}

async fn drive(app: &App, id: &JobId) -> Result<(), Failure> {
    let Some(mut rollout) = app.store.rollouts.find(id).await? else { return Ok(()) };
    let now = At::now();
    if rollout.wake_at.is_none_or(|it| it > now) {
        return Ok(());
    }
    rollout.claim(now.plus(LEASE));
    if !app.store.rollouts.write(&mut rollout).await? {
        return Ok(());
    }
    fail::fail_point!("rsclient::rollout-claimed", |_| std::process::abort());
    let began = Instant::now();
    let Some(fact) = act(app, &mut rollout).await? else { return Ok(()) };
    fail::fail_point!("rsclient::rollout-acted", |_| std::process::abort());
    let pace = app.rollouts.look_every().max(began.elapsed() * PART_OF_THE_TIME);
    let before = rollout.state.name();
    rollout.after(fact, At::now(), pace);
    let (state, reason) = (rollout.state.name(), rollout.reason().unwrap_or_default());
    if app.store.rollouts.write(&mut rollout).await? && state != before {
        tracing::info!(rollout_id = id.as_str(), state, reason, "a rollout has moved");
    }
    fail::fail_point!("rsclient::rollout-written", |_| std::process::abort());
    Ok(())
}

/// Does what is to be done in the world. Nothing where somebody else has written the rollout meanwhile.
async fn act(app: &App, rollout: &mut Rollout) -> Result<Option<Fact>, Failure> {
    let (packages, id) = (&app.store.packages, rollout.id.clone());
    Ok(Some(match rollout.act() {
        Act::Pin => Fact::Pinned(pin(app, rollout).await?),
        Act::Raise => {
            packages.raise_share(&rollout.to, &id, rollout.wanted_per_mille()).await?;
            fail::fail_point!("rsclient::rollout-raised", |_| std::process::abort());
            walk_rollout(app, rollout).await?;
            Fact::Raised
        }
        Act::Look => return look(app, rollout).await,
        Act::Settle => Fact::Settled(settle(app, rollout).await?),
        Act::Withdraw => {
            packages.withdraw_share(&rollout.to, &id).await?;
            fail::fail_point!("rsclient::rollout-withdrawn", |_| std::process::abort());
            Fact::Withdrawn(walked(app, rollout).await?)
        }
        Act::Tidy => {
            packages.withdraw_share(&rollout.to, &id).await?;
            packages.unpin(&rollout.from, &id).await?;
            Fact::Tidied
        }
    }))
}

/// Has both packages know of the rollout.
async fn pin(app: &App, rollout: &Rollout) -> Result<Result<(), String>, Failure> {
    let (packages, isp_id) = (&app.store.packages, &rollout.isp_id);
    let share = Share {
        rollout_id: rollout.id.clone(),
        group: rollout.group.clone(),
        from: rollout.from.clone(),
        per_mille: 0,
        ended_by: 0,
    };
    let refused = |it| Ok(Err(format!("package `{it}` may not be used any more")));
    if !packages.pin(isp_id, &rollout.from, &rollout.id).await? {
        return refused(&rollout.from);
    }
    if !packages.make_share(isp_id, &rollout.to, &share).await? {
        return refused(&rollout.to);
    }
    Ok(Ok(()))
}

/// How far the walk of the present step is. One that nobody knows of begins.
async fn walked(app: &App, rollout: &Rollout) -> Result<Walked, Failure> {
    let walk = rollout.walk_id();
    let id: RequestId = walk.as_str().parse().expect("a job's id is a task's id");
    let Some(task) = app.async_tasks.find(&id).await? else {
        walk_rollout(app, rollout).await?;
        return Ok(Walked::UnderWay(None));
    };
    Ok(match &task.state {
        State::Running | State::Paused { .. } | State::Cancelling { .. } => {
            Walked::UnderWay(task.standstill())
        }
        State::Ended { end: End::Completed, .. } => Walked::Done,
        State::Ended { end: End::CompletedWithFailures, reason, .. } => {
            let reason = reason.as_deref().map(|it| format!(": {it}")).unwrap_or_default();
            Walked::Partly(format!("{} were not taken{reason}", task.counts.failed()))
        }
        State::Ended { end: End::Cancelled | End::Failed, reason, .. } => {
            Walked::Failed(reason.clone().unwrap_or_else(|| "the walk has failed".to_owned()))
        }
    })
}

async fn look(app: &App, rollout: &mut Rollout) -> Result<Option<Fact>, Failure> {
    // While it is paused no walk begins, and nothing is judged.
    let is_paused = matches!(rollout.state, RolloutState::Paused { .. });
    let walked = match is_paused {
        true => Walked::UnderWay(None),
        false => walked(app, rollout).await?,
    };
    let (counted, mut claimed) = (rollout.clone(), Instant::now());
    let go_on = async || {
        if claimed.elapsed() < LEASE / 2 {
            return Ok::<bool, Failure>(true);
        }
        claimed = Instant::now();
        rollout.claim(At::now().plus(LEASE));
        Ok(app.store.rollouts.write(rollout).await?)
    };
    let Some((counts, of_wave)) = count(app, &counted, go_on).await? else { return Ok(None) };
    // Behind the counting: trouble that began meanwhile has emptied the counts.
    let trouble = if is_paused { None } else { trouble(app, rollout).await? };
    Ok(Some(Fact::Looked(Look { walked, trouble, counts, of_wave })))
}

/// Why the routers of the share do not run the package.
async fn trouble(app: &App, rollout: &Rollout) -> Result<Option<String>, Failure> {
    let (isp_id, to) = (&rollout.isp_id, &rollout.to);
    let agents = app.store.agents.find(&[isp_id]).await?.pop();
    if agents.as_ref().and_then(|it| it.listed(to)).is_none() {
        return Ok(Some(format!("package `{to}` is not listed for routers any more")));
    }
    let associated = app.store.packages.associated(&[isp_id], &[]).await?;
    let shares = associated.iter().filter(|it| it.id == *to).flat_map(|it| &it.shares);
    let held = shares.filter(|it| it.rollout_id == rollout.id).map(|it| it.per_mille).max();
    if held != Some(rollout.share_per_mille) {
        let wanted = rollout.share_per_mille;
        let held = held.map_or_else(|| "none".to_owned(), |it| it.to_string());
        return Ok(Some(format!("the package holds a share of {held}, not of {wanted}")));
    }
    let software = Software { agents: agents.as_ref(), associated: &associated };
    Ok(not_followed(software, &rollout.group, &rollout.from))
}

/// Makes the group one of the package, where nobody has led it elsewhere.
async fn settle(app: &App, rollout: &Rollout) -> Result<Result<(), String>, Failure> {
    let (packages, isp_id) = (&app.store.packages, &rollout.isp_id);
    let of = (&rollout.id, &rollout.group);
    // Whoever was at this before leads no more, whatever is found below: it may end in a pause.
    packages.fence_share(&rollout.to, &rollout.id, rollout.fence).await?;
    let associated = packages.associated(&[isp_id], &[]).await?;
    let shares = associated.iter().filter(|it| it.id == rollout.to).flat_map(|it| &it.shares);
    // Otherwise somebody has been here before.
    if shares.into_iter().any(|it| it.rollout_id == rollout.id) {
        if let Some(why) = trouble(app, rollout).await? {
            return Ok(Err(why));
        }
        let software = Software { agents: None, associated: &associated };
        fail::fail_point!("rsclient::rollout-leading");
        let newest = software.newest_of(&rollout.group);
        packages.lead(&rollout.to, of, rollout.fence, newest).await?;
        fail::fail_point!("rsclient::rollout-led", |_| std::process::abort());
    }
    let led = packages.find(&rollout.to).await?;
    if !led.is_some_and(|it| it.is_led_by(&rollout.id, &rollout.group)) {
        return Ok(Err(format!("the routers are not those of package `{}`", rollout.to)));
    }
    packages.leave(&rollout.from, of).await?;
    Ok(Ok(()))
}
