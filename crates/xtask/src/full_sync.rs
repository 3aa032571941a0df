//! What the benchmark and the chaos of the full sync have in common: the homes that they feed, and the
//! comparison of what the backend holds with them.

mod source;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use testkit::{
    fleet::Fleet,
    jobs::Jobs,
    records::{Event, Sender},
};

pub(crate) use self::source::{Compared, Source};

/// Acknowledgements that may be outstanding while homes are fed.
const IN_FLIGHT: usize = 512;
/// Each device may take this long on top of some minutes.
const PER_DEVICE: Duration = Duration::from_millis(50);

/// How long the fleet may take for so many devices.
pub(crate) fn limit(devices: usize) -> Duration {
    Duration::from_secs(300) + PER_DEVICE * u32::try_from(devices).unwrap_or(u32::MAX)
}

/// Feeds every home and waits until all that follows from it is done.
pub(crate) async fn provision(fleet: &mut Fleet, source: &Source) -> Result<()> {
    let sender = Sender::new(fleet.kafka())?;
    stream::iter(source.homes().map(Event::provision))
        .map(|event| {
            let sender = &sender;
            async move { sender.send(&event).await }
        })
        .buffered(IN_FLIGHT)
        .try_for_each(async |_| Ok(()))
        .await?;
    // Many looks at the lag of a large backlog only cost time.
    fleet.settled(limit(source.devices())).await?;
    Ok(())
}

/// A job that has ended, and how long it took from its request to its end.
pub(crate) struct Ended {
    /// The job as it ended.
    pub(crate) job: Value,
    /// From its request to its end.
    pub(crate) took: Duration,
    /// When the request for it was answered.
    pub(crate) began: Instant,
    /// When its end was heard of.
    pub(crate) ended: Instant,
}

/// Starts a forced full sync over this scope and waits for its end.
pub(crate) async fn forced_sync(jobs: &Jobs, scope: Value, limit: Duration) -> Result<Ended> {
    let asked = Instant::now();
    let job = jobs.start(&json!({"mode": "force", "scope": scope})).await?;
    let began = Instant::now();
    let job_id = job["job_id"].as_str().context("a job has an id")?;
    let job = jobs.ends(job_id, limit).await?;
    let ended = Instant::now();
    ensure!(job["state"] == "completed", "the full sync did not go well: {job}");
    Ok(Ended { job, took: ended - asked, began, ended })
}
