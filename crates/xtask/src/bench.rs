//! `cargo xtask bench`: the event bus, a fleet's full sync, what ISPs set, or events from the homes, beside what the
//! machine allows, against bars.

mod cancel;
mod config;
mod events;
mod full_sync;
mod live;
mod load;
pub(crate) mod memory;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use testkit::servers::{Process, RunFolder, apache_kafka};

use crate::tools::{cargo, in_release, print, print_figures, table};

/// The whole takes some minutes.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Measure the event bus, a full sync, what ISPs set or events from the homes in a release build, against Apache Kafka.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// What to measure.
    #[arg(value_enum)]
    pub what: What,
    /// Print the figures as one JSON object, as the last line.
    #[arg(long)]
    pub json: bool,
    /// For full-sync and config: how many devices there are.
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub devices: usize,
    /// For events: how many there are.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub events: usize,
    /// For full-sync: leave out the live updates.
    #[arg(long)]
    pub skip_live: bool,
    /// For eventbus: only the workloads behind these figures.
    #[arg(long, value_name = "FIGURE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// For eventbus: host:port of an Apache Kafka that runs already; by default one is started.
    #[arg(long)]
    pub kafka: Option<String>,
    /// For eventbus: make spans for each record as a service does.
    #[arg(long)]
    pub spans: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// The event bus.
    Eventbus,
    /// The full sync of a fleet.
    FullSync,
    /// What ISPs set by REST, and putting devices together.
    Config,
    /// What happens in the homes.
    Events,
}

/// A figure, and what it is to be beside the others.
struct Figure {
    name: &'static str,
    bar: Option<Bar>,
}

/// What a figure is to be.
enum Bar {
    Most(f64),
    Least(f64),
    /// At least so much, and at least this share of another figure.
    LeastAndShareOf(f64, f64, &'static str),
    /// At most so much more than another figure.
    MostOver(f64, &'static str),
}

const FIGURES: &[Figure] = &[
    Figure { name: "keyed_16_s", bar: None },
    Figure { name: "keyed_16_overhead", bar: Some(Bar::Most(1.05)) },
    Figure { name: "keyed_100_s", bar: None },
    Figure { name: "keyed_100_overhead", bar: Some(Bar::Most(1.25)) },
    Figure { name: "one_key_s", bar: None },
    Figure { name: "serial_s", bar: None },
    Figure { name: "noop_per_s", bar: Some(Bar::LeastAndShareOf(250_000.0, 0.3, "raw_per_s")) },
    Figure { name: "raw_per_s", bar: None },
    Figure { name: "noop_replayed", bar: Some(Bar::Most(0.02)) },
    Figure { name: "reliable_per_s", bar: Some(Bar::Least(100_000.0)) },
    Figure { name: "flush_each_p50_ms", bar: Some(Bar::MostOver(1.0, "rtt_ms")) },
    Figure { name: "rtt_ms", bar: None },
    Figure { name: "refetch_ratio", bar: Some(Bar::Most(1.05)) },
    Figure { name: "rss_mb", bar: Some(Bar::Most(150.0)) },
];

/// Measures and prints; fails where a record is not accounted for, not where a bar is missed.
///
/// # Errors
/// When a server or the benchmark is not to be had, or a workload fails.
pub async fn run(options: &Options) -> Result<ExitCode> {
    match options.what {
        What::Eventbus => eventbus(options).await,
        What::FullSync | What::Config | What::Events if cfg!(debug_assertions) => {
            in_release().await
        }
        What::FullSync | What::Config | What::Events => fleet(options).await,
    }
}

/// Measures with a fleet, and prints.
async fn fleet(options: &Options) -> Result<ExitCode> {
    let mut folder = RunFolder::new()?;
    let outcome = match options.what {
        What::Config => config::measure(options.devices, &folder).await,
        What::Events => events::measure(options.events, &folder).await,
        What::Eventbus | What::FullSync => full_sync::measure(options, &folder).await,
    };
    if outcome.is_err() {
        folder.failed();
    }
    print_figures(outcome?, options.json);
    Ok(ExitCode::SUCCESS)
}

async fn eventbus(options: &Options) -> Result<ExitCode> {
    if let Some(name) = options.only.iter().find(|it| FIGURES.iter().all(|one| one.name != **it)) {
        let names: Vec<_> = FIGURES.iter().map(|it| it.name).collect();
        anyhow::bail!("there is no figure `{name}`; there are {}", names.join(", "));
    }
    let mut folder = RunFolder::new()?;
    let outcome = measure(options, &folder).await;
    if outcome.is_err() {
        folder.failed();
    }
    let figures = outcome?;
    show(&figures);
    if options.json {
        print(Value::Object(with_bars(figures)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(options: &Options, folder: &RunFolder) -> Result<Map<String, Value>> {
    let say = |line: &str| eprintln!("{line}");
    say("building the benchmark");
    let benchmark = build().await?;
    let started = match &options.kafka {
        Some(_) => None,
        None => {
            let apache = apache_kafka::find(&say)?;
            say("starting Apache Kafka");
            Some(apache.start(folder).await?)
        }
    };
    let started_at = started.as_ref().map(|it| it.address.clone());
    let kafka = options.kafka.clone().or(started_at).context("there is a broker")?;
    let result = folder.path().join("figures.json");
    let mut command = Command::new(benchmark);
    command.args(["run", "--kafka", &kafka, "--result"]).arg(&result).stdin(Stdio::null());
    if !options.only.is_empty() {
        command.args(["--only", &options.only.join(",")]);
    }
    if options.spans {
        command.arg("--spans");
    }
    let mut process = Process::spawn("bench", &mut command, &folder.log("bench"))?;
    let status = process.wait(LIMIT).await?;
    ensure!(status.success(), "the benchmark failed: {status}");
    read(&result)
}

fn read(result: &Path) -> Result<Map<String, Value>> {
    let text = fs::read(result).context("the benchmark tells nothing")?;
    serde_json::from_slice(&text).context("read the figures")
}

/// Builds the benchmark in release mode: the path of its program.
async fn build() -> Result<PathBuf> {
    let output = tokio::task::spawn_blocking(|| {
        let format = "--message-format=json-render-diagnostics";
        cargo(&["bench", "-p", "eventbus", "--bench", "eventbus", "--no-run", "--quiet", format])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
    });
    let output = output.await?.context("build the benchmark")?;
    ensure!(output.status.success(), "build the benchmark: {}", output.status);
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_bench = message["target"]["kind"][0] == "bench";
        is_bench.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.context("cargo names no program for the benchmark")
}

fn show(figures: &Map<String, Value>) {
    let mut table = table();
    table.set_header(["figure", "measured", "bar", "met"]);
    for figure in FIGURES {
        let Some(measured) = figures.get(figure.name).and_then(Value::as_f64) else { continue };
        let bar = figure.bar.as_ref().map(|it| it.words(figures)).unwrap_or_default();
        let met = match figure.is_met(figures) {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        table.add_row([figure.name.to_owned(), shown(measured), bar, met.to_owned()]);
    }
    for counted in ["lost", "repeated"] {
        table.add_row([counted.to_owned(), figures[counted].to_string()]);
    }
    print(table);
}

/// The figures and which bars are met; a figure that was not measured has no verdict.
fn with_bars(mut figures: Map<String, Value>) -> Map<String, Value> {
    let met =
        FIGURES.iter().filter_map(|it| Some((it.name.to_owned(), it.is_met(&figures)?.into())));
    let bars: Map<String, Value> = met.collect();
    figures.insert("bars".to_owned(), json!(bars));
    figures
}

impl Figure {
    fn is_met(&self, figures: &Map<String, Value>) -> Option<bool> {
        let value = |name: &str| figures.get(name)?.as_f64();
        let measured = value(self.name)?;
        let met = match self.bar.as_ref()? {
            Bar::Most(most) => measured <= *most,
            Bar::Least(least) => measured >= *least,
            Bar::LeastAndShareOf(least, share, of) => {
                measured >= *least && measured >= share * value(of)?
            }
            Bar::MostOver(more, of) => measured <= value(of)? + more,
        };
        Some(met)
    }
}

impl Bar {
    fn words(&self, figures: &Map<String, Value>) -> String {
        let value =
            |name: &str| figures.get(name).and_then(Value::as_f64).map_or("?".to_owned(), shown);
        match self {
            Self::Most(most) => format!("<= {most}"),
            Self::Least(least) => format!(">= {least}"),
            Self::LeastAndShareOf(least, share, of) => {
                format!(">= {least} and >= {share} x {}", value(of))
            }
            Self::MostOver(more, of) => format!("<= {} + {more}", value(of)),
        }
    }
}

fn shown(value: f64) -> String {
    if value >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.4}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_or_missed_or_not_judged() {
        let figures = json!({
            "keyed_16_overhead": 1.05,
            "keyed_100_overhead": 1.26,
            "noop_per_s": 300_000.0,
            "raw_per_s": 1_200_000.0,
            "reliable_per_s": 100_000.0,
            "flush_each_p50_ms": 1.2,
            "rtt_ms": 0.3,
            "refetch_ratio": null,
        });
        let Value::Object(figures) = figures else { unreachable!() };
        assert_eq!(
            with_bars(figures)["bars"],
            json!({
                "keyed_16_overhead": true,
                "keyed_100_overhead": false,
                "noop_per_s": false,
                "reliable_per_s": true,
                "flush_each_p50_ms": true,
            })
        );
    }
}
