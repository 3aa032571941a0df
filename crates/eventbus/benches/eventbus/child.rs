//! One measurement in a process of its own: what it is told and what it tells.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use chassis::telemetry::{self, Telemetry};
use serde::{Deserialize, Serialize};
use testkit::servers::{Process, RunFolder};

use crate::{bus::Bus, keyed, noop, publish, records::Records, refetch, reliable, replay};

const LIMIT: Duration = Duration::from_secs(400);
/// The chassis does so as often.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Sleeping handlers.
    Keyed(Bus),
    /// The same, one record at a time, without the product.
    Serial(Records),
    /// Handlers that do nothing.
    Noop(Bus),
    /// Polling and storing offsets, without the product.
    Raw(Records),
    /// Handlers that mark their record in a file; never ends by itself.
    Marking(Bus, PathBuf),
    /// Handlers that do nothing, until everything is committed.
    Reliable(Bus),
    /// Publishing one at a time.
    Publish(Records),
    /// Bytes that came from the broker, with handlers that stand still so many times.
    Refetch(Bus, usize),
}

/// What a measurement tells.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// From the first handler's beginning to the last one's end.
    pub(crate) seconds: f64,
    /// How many records there were.
    pub(crate) records: u64,
    /// The time within handlers, added up.
    pub(crate) handling_seconds: f64,
    /// Records that never came.
    pub(crate) lost: u64,
    /// Records that came more than once.
    pub(crate) repeated: u64,
    /// Records that came out of order.
    pub(crate) wrong: u64,
    /// The peak of the process's memory.
    pub(crate) rss_mb: f64,
    /// Bytes that came from brokers, where the product says so.
    pub(crate) received_bytes: Option<f64>,
    /// The median of one publish, in milliseconds.
    pub(crate) publish_ms: f64,
    /// The median of one bare round trip, in milliseconds.
    pub(crate) rtt_ms: f64,
}

/// What a child is told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A task as JSON.
    task: String,
    /// Where to write what was measured.
    result: PathBuf,
    /// Spans as in a service.
    #[arg(long)]
    spans: bool,
}

/// Carries out a task and writes what it has measured.
pub(crate) async fn measure(options: &Options) -> Result<()> {
    let _telemetry = observe(options.spans)?;
    let metrics = telemetry::metrics();
    let kept_up = metrics.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        loop {
            ticks.tick().await;
            kept_up.run_upkeep();
        }
    });
    let task = serde_json::from_str(&options.task).context("the task is none")?;
    let mut measured = match task {
        Task::Keyed(bus) => keyed::through_the_bus(&bus).await?,
        Task::Serial(records) => keyed::one_at_a_time(records).await?,
        Task::Noop(bus) => noop::through_the_bus(&bus).await?,
        Task::Raw(records) => noop::bare(records).await?,
        Task::Marking(bus, marks) => replay::mark(&bus, &marks).await?,
        Task::Reliable(bus) => reliable::until_committed(&bus).await?,
        Task::Publish(records) => publish::one_at_a_time(&records).await?,
        Task::Refetch(bus, stalls) => refetch::with_stalls(&bus, stalls, &metrics).await?,
    };
    measured.rss_mb = peak_mb()?;
    fs::write(&options.result, serde_json::to_vec(&measured)?).context("tell what was measured")
}

/// Warnings go to the log; spans cost what they cost in a service, where they are wanted.
fn observe(spans: bool) -> Result<Option<Telemetry>> {
    if !spans {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .with_max_level(tracing::Level::WARN)
            .init();
        return Ok(None);
    }
    let mut settings = chassis::Settings::default();
    settings.log.filter = "warn".to_owned();
    Telemetry::install("bench", &settings.log, &settings.otlp).map(Some)
}

/// The peak of this process's resident memory.
fn peak_mb() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("read our status")?;
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .and_then(|it| it.trim().strip_suffix("kB"))
        .and_then(|it| it.trim().parse().ok())
        .context("our status says nothing of VmHWM")?;
    Ok(kib / 1024.0)
}

/// Starts children.
pub(crate) struct Children {
    /// Where their logs and results go.
    pub(crate) folder: RunFolder,
    /// Whether they make spans as a service does.
    pub(crate) spans: bool,
}

impl Children {
    /// Starts a child.
    pub(crate) fn start(&self, name: &str, task: &Task) -> Result<(Process, PathBuf)> {
        let name = testkit::unique(name);
        let result = self.folder.path().join(format!("{name}.json"));
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        command.arg("measure").arg(serde_json::to_string(task)?).arg(&result);
        if self.spans {
            command.arg("--spans");
        }
        let log = self.folder.log(&name);
        Ok((Process::start(&name, &mut command, &log)?, result))
    }

    /// Has a child carry out a task.
    pub(crate) async fn measure(&self, name: &str, task: &Task) -> Result<Measured> {
        let (mut child, result) = self.start(name, task)?;
        let status = child.wait(LIMIT).await?;
        ensure!(status.success(), "{name}: {status}:\n{}", child.last_words());
        let text = fs::read(&result).with_context(|| format!("{name} tells nothing"))?;
        let measured: Measured = serde_json::from_slice(&text).context("read a result")?;
        ensure!(measured.wrong == 0, "{name}: {} records came out of order", measured.wrong);
        ensure!(measured.lost == 0, "{name}: {} records were lost", measured.lost);
        Ok(measured)
    }
}
