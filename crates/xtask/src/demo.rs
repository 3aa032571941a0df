//! `cargo xtask demo`: the whole fleet on real servers, fed, watched and compared with its source.

mod agents;
mod compare;
mod expected;
mod expected_system;
mod homes;
mod input;
mod progress;
mod support;

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use testkit::{
    fleet::{Fleet, FleetOptions, Service},
    records::Sender,
    servers::{Broker, RunFolder, Servers},
};

use self::progress::Progress;
pub use self::{
    compare::{Differences, compare},
    expected::{decided_of, expected, expected_of},
    expected_system::{Put, system_documents},
    homes::{each_home, homes},
    input::Input,
};
use crate::tools::{build_fleet, embedded_command, print, table};

/// Acknowledgements that may be outstanding while provisioning lines are fed.
const IN_FLIGHT: usize = 256;
/// Each device may take this long on top of a minute, on a slow machine.
const PER_DEVICE: Duration = Duration::from_millis(200);

/// Run the whole fleet on real servers, feed it and compare what the backend holds with the source.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How many devices, routers included, the made-up homes have.
    #[arg(long, default_value_t = 500, conflicts_with = "input")]
    pub devices: usize,
    /// A file with a ProvisionCreated payload, or {"topic","type","key","data"}, on each line.
    #[arg(long)]
    pub input: Option<PathBuf>,
    /// Where to write what the backend holds, exactly as received.
    #[arg(long)]
    pub dump: Option<PathBuf>,
    /// auto, apache, embedded, or host:port of a broker that runs already.
    #[arg(long, default_value = "auto")]
    pub broker: Broker,
    /// How many milliseconds the simulated backend takes for each request at least.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub latency_ms: u64,
    /// How many records each rsadaptor handles at a time; by default what its settings say.
    #[arg(long, value_name = "N")]
    pub in_flight: Option<usize>,
    /// Print the result as one JSON object, as the last line.
    #[arg(long)]
    pub json: bool,
    /// Leave everything running and print every address.
    #[arg(long)]
    pub keep: bool,
}

/// Runs the demo; success only when the backend holds exactly what the source says.
///
/// # Errors
/// When a piece is missing or the fleet does not come to rest.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let embedded = embedded_command()?;
    let input = match &options.input {
        Some(path) => Input::read(path)?,
        None => Input::of_homes(homes(options.devices)),
    };
    let mut folder = RunFolder::new()?;
    let outcome = demonstrate(options, &input, &embedded, &mut folder, started).await;
    if outcome.as_ref().map_or(true, |it| *it != ExitCode::SUCCESS) {
        folder.failed();
    }
    outcome
}

async fn demonstrate(
    options: &Options,
    input: &Input,
    embedded: &[PathBuf],
    folder: &mut RunFolder,
    started: Instant,
) -> Result<ExitCode> {
    let progress = Progress::new();
    progress.say("building the services");
    build_fleet(folder).await?;

    progress.say("starting MongoDB and the broker");
    let say = |line: &str| progress.say(line);
    let servers = Servers::start(&options.broker, embedded, folder, &say).await?;
    progress.say(&format!("starting the fleet on {} ({})", servers.kafka, servers.broker));
    let mut fleet = Fleet::start(fleet_options(options, &servers), folder.path()).await?;

    let fed = Instant::now();
    let revived = feed(&mut fleet, input, &progress).await?;
    let seconds = fed.elapsed().as_secs_f64();
    progress.done();

    let before = fleet.simulator().held().await?;
    let fed_differences = input.expected().map(|it| compare(&it, &before));
    let mut regressions = fleet.simulator().count("regressions").await?;
    let synced = sync(&mut fleet, input, &progress).await?;
    let held = fleet.simulator().held().await?;
    if let Some(path) = &options.dump {
        let text = serde_json::to_vec(&held)?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    let shown = support::act(&fleet, folder, &progress).await?;
    let agents = agents::act(&mut fleet, &progress).await?;
    regressions += fleet.simulator().count("regressions").await?;
    // What was wrong before the sync is not made good by it.
    let differences = fed_differences.filter(|it| !it.is_empty());
    let differences = differences.or_else(|| Some(compare(&input.expected_of_sync()?, &held)));
    let mut result = json!({
        "devices": input.devices(),
        "in_backend": count(&held),
        "missing": differences.as_ref().map(|it| it.missing.len()),
        "extra": differences.as_ref().map(|it| it.extra.len()),
        "different": differences.as_ref().map(|it| it.different.len()),
        "regressions": regressions,
        "broker": servers.broker,
        "seconds": one_decimal(seconds),
        "devices_per_s": input.devices().map(|it| one_decimal(it as f64 / seconds)),
        "sync_state": synced.job["state"],
        "sync_seconds": one_decimal(synced.seconds),
        "sync_per_s": one_decimal(count(&held) as f64 / synced.seconds),
        "latency_ms": options.latency_ms,
        "restarts": revived.len(),
        "router_protection_ms": shown.router_protection_ms,
        "explained": shown.stories.len(),
        "devices_found": agents.found,
        "rollouts": agents.stories,
    });
    shown.stories.iter().chain(&agents.stories).for_each(print);
    if options.keep {
        result["addresses"] = keep(fleet, servers, folder)?;
    } else {
        fleet.stop().await?;
        drop(servers);
    }
    result["seconds_in_all"] = json!(started.elapsed().as_secs());
    Ok(report(options, &result, differences.as_ref()))
}

fn fleet_options(options: &Options, servers: &Servers) -> FleetOptions {
    let mut wanted = FleetOptions::new(&servers.kafka, &servers.mongodb);
    wanted.used_broker = servers.broker == "external";
    wanted.revive = true;
    wanted = wanted.with_sync(1).with_town();
    wanted = wanted.set(Service::RsClient, "RSCLIENT__ROLLOUTS__LOOK_EVERY_MS", "200");
    let latency = options.latency_ms.to_string();
    wanted = wanted.set(Service::Simulator, "HSBE_SIM__LATENCY_MS", &latency);
    if let Some(records) = options.in_flight {
        let name = "RSADAPTOR__KAFKA__CONSUMER__MAX_IN_FLIGHT";
        wanted = wanted.set(Service::RsAdaptor, name, &records.to_string());
    }
    wanted
}

fn one_decimal(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Feeds the input and waits until all that follows from it is done.
async fn feed(fleet: &mut Fleet, input: &Input, progress: &Progress) -> Result<Vec<String>> {
    let sender = Sender::new(fleet.kafka())?;
    progress.begin(input.events().len(), input.devices().unwrap_or(0));
    let watch = progress.watch(fleet.simulator().clone());
    let work = async {
        // Lines about different homes may overtake each other; single events may not.
        let in_flight = if input.devices().is_some() { IN_FLIGHT } else { 1 };
        stream::iter(input.events())
            .map(|event| sender.send(event))
            .buffered(in_flight)
            .try_for_each(async |_| {
                progress.fed();
                Ok(())
            })
            .await?;
        fleet.settled(limit_of(input)?).await
    };
    tokio::select! {
        outcome = work => outcome,
        never = watch => match never {},
    }
}

/// A full sync that has ended.
struct Synced {
    job: Value,
    seconds: f64,
}

/// Lets the backend forget everything, and watches a full sync give it back.
async fn sync(fleet: &mut Fleet, input: &Input, progress: &Progress) -> Result<Synced> {
    progress.say("the backend forgets everything; a full sync");
    fleet.simulator().forget().await?;
    let jobs = fleet.jobs()?;
    let limit = limit_of(input)?;
    let began = Instant::now();
    let job = jobs.start(&json!({"mode": "force"})).await?;
    let job_id = job["job_id"].as_str().context("a job has an id")?;
    progress.begin_sync();
    let job = jobs.follow(job_id, limit, |it| progress.synced(it)).await?;
    let seconds = began.elapsed().as_secs_f64();
    progress.done();
    fleet.settled_without_jobs(limit).await?;
    Ok(Synced { job, seconds })
}

/// How long the fleet may take for all of an input.
fn limit_of(input: &Input) -> Result<Duration> {
    let size = input.devices().unwrap_or(input.events().len());
    Ok(Duration::from_secs(60) + PER_DEVICE * u32::try_from(size)?)
}

/// Lets everything live on; answers every address.
fn keep(fleet: Fleet, servers: Servers, folder: &mut RunFolder) -> Result<Value> {
    let mut addresses = json!({"kafka": servers.kafka, "mongodb": servers.mongodb});
    for (instance, what, address) in fleet.addresses() {
        addresses[format!("{instance} {what}")] = json!(address);
    }
    let pids: Vec<u32> = fleet.pids().into_iter().chain(servers.pids()).collect();
    folder.keep(&pids)?;
    fleet.leave()?;
    servers.leave()?;
    for (name, address) in addresses.as_object().expect("made as an object above") {
        print(format_args!("{name:24} {}", address.as_str().unwrap_or_default()));
    }
    print(format_args!("logs and data            {}", folder.path().display()));
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let path = folder.path().display();
    print(format_args!("end it with              kill {} && rm -r {path}", pids.join(" ")));
    Ok(addresses)
}

fn report(options: &Options, result: &Value, differences: Option<&Differences>) -> ExitCode {
    let mut table = table();
    for (name, value) in result.as_object().expect("a result is an object") {
        if name != "addresses" {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            table.add_row([name.replace('_', " "), shown.replace("null", "not compared")]);
        }
    }
    print(table);
    differences.into_iter().flat_map(Differences::examples).for_each(print);
    if options.json {
        print(result);
    }
    let equal = differences.is_none_or(Differences::is_empty);
    let synced = result["sync_state"] == "completed";
    if equal && synced && result["regressions"] == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn count(held: &Value) -> usize {
    let of = |kind: &str| held[kind].as_object().map_or(0, serde_json::Map::len);
    of("devices") + of("routers")
}
