//! A full sync that is cancelled in its middle: what reaches the backend afterwards, and what the job says of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{
    fleet::{Fleet, Service},
    simulator::Simulator,
};

/// Requests that began before the cancel may still end within this time.
const TAIL: Duration = Duration::from_secs(2);
/// A full sync that states none has this window.
const WINDOW: u64 = 2_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const SENT: &[&str] = &["applied", "unchanged", "superseded", "gone", "rejected"];

/// How the backend is when the job is cancelled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    Up,
    Down,
}

/// Cancels a full sync over everything, and counts.
pub(super) async fn measure(fleet: &mut Fleet, backend: Backend, limit: Duration) -> Result<Value> {
    let (jobs, simulator) = (fleet.jobs()?, fleet.simulator().clone());
    simulator.forget().await?;
    if backend == Backend::Down {
        simulator.faults(&json!([{"path": "/", "action": {"reset": true}}])).await?;
    }
    let before = writes(&simulator).await?;
    let job = jobs.start(&json!({"mode": "force"})).await?;
    let job_id = job["job_id"].as_str().context("a job has an id")?.to_owned();
    let began = Instant::now();
    while !is_in_its_middle(fleet, backend, before).await? {
        ensure!(began.elapsed() < limit, "the full sync does not begin");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    jobs.tell(&job_id, "cancel").await?;
    let cancelled = Instant::now();
    let at_cancel = writes(&simulator).await?;
    tokio::time::sleep(TAIL).await;
    let in_time = writes(&simulator).await?;
    let job = jobs.ends(&job_id, limit).await?;
    let seconds = cancelled.elapsed().as_secs_f64();
    ensure!(job["state"] == "cancelled", "the job was not cancelled: {job}");
    simulator.faults(&json!([])).await?;
    fleet.settled_without_jobs(limit).await?;
    let after = writes(&simulator).await?;

    let counts = &job["counts"];
    let of = |names: &[&str]| names.iter().filter_map(|it| counts[*it].as_u64()).sum::<u64>();
    let (sure, unsure) = (of(&["applied"]), of(&["unknown"]));
    let is_exact = of(SENT) + of(&["not_sent", "unknown"]) == of(&["total"])
        && (sure..=sure + unsure).contains(&(after - before));
    Ok(json!({
        "written_before": at_cancel - before,
        "written_within_2_s": in_time - at_cancel,
        "written_later": after - in_time,
        "later_within_window": after - in_time <= WINDOW,
        "counts": counts,
        "counts_are_exact": is_exact,
        "seconds_to_end": (seconds * 10.0).round() / 10.0,
    }))
}

/// Where the backend is down, records wait for it; where it is not, a part of them has arrived.
async fn is_in_its_middle(fleet: &Fleet, backend: Backend, before: u64) -> Result<bool> {
    Ok(match backend {
        Backend::Up => writes(fleet.simulator()).await? > before + 2 * WINDOW,
        Backend::Down => fleet.lag(Service::RsAdaptor).await? > 0,
    })
}

/// How many writes the backend has done so far.
async fn writes(simulator: &Simulator) -> Result<u64> {
    let summary = simulator.summary().await?;
    let writes = summary["writes"].as_object().context("a summary counts writes")?;
    Ok(writes.values().filter_map(Value::as_u64).sum())
}
