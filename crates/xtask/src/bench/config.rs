//! What ISPs set: how fast it is taken and told, how soon the backend holds it; and what a sync gains where devices are
//! put together.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use testkit::{
    fleet::{Fleet, FleetOptions, Service},
    isp::Isp,
    servers::{Broker, RunFolder, Servers},
};

use super::full_sync::rounded;
use crate::{
    full_sync::{Source, forced_sync, limit, provision},
    tools::embedded_command,
};

const PATH: &str = "/router-protection/allowed-list";
const ENTRIES: usize = 100;
/// Callers at a time, each of an ISP of its own.
const CALLERS: usize = 16;
const EACH: Duration = Duration::from_secs(10);
/// Changes whose way to the backend is measured, one after the other.
const WAYS: usize = 300;
const BETWEEN_WAYS: Duration = Duration::from_millis(20);
const ARRIVAL_LIMIT: Duration = Duration::from_secs(30);
/// What the backend takes for each request of the syncs that are compared.
const LATENCY_MS: &str = "20";
/// How devices of a sync are put together: each waits for others, so more of them are on their way.
const TOGETHER: &[(&str, &str)] = &[
    ("RSADAPTOR__BATCH__ITEMS_MAX", "100"),
    ("RSADAPTOR__DESTINATION__CONCURRENCY_MAX", "1000"),
    ("RSADAPTOR__KAFKA__CONSUMER__MAX_IN_FLIGHT", "2500"),
];

/// Measures; the figures are in the order of their names.
pub(super) async fn measure(devices: usize, folder: &RunFolder) -> Result<Map<String, Value>> {
    let say = |line: &str| eprintln!("{line}");
    say("starting MongoDB and Apache Kafka");
    let command = embedded_command()?;
    let servers = Servers::start(&Broker::Apache, &command, folder, &say).await?;
    let mut figures = Map::new();
    rest(&servers, folder, &mut figures).await?;
    for (name, set) in [("sync_per_s_one_by_one", &[][..]), ("sync_per_s_batched", TOGETHER)] {
        eprintln!("a full sync of {devices} devices: {name}");
        let per_s = sync(&servers, folder, devices, set).await?;
        eprintln!("  {per_s:.0}/s");
        figures.insert(name.to_owned(), json!(per_s.round()));
    }
    let of = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
    let gain = of("sync_per_s_batched") / of("sync_per_s_one_by_one");
    figures.insert("batched_gain".to_owned(), json!(rounded(gain, 2)));
    let soon = figures["put_to_hsbe_p50_ms"].as_f64().is_some_and(|it| it <= 50.0);
    figures.insert(
        "bars".to_owned(),
        json!({"put_to_hsbe_p50_ms": soon, "batched_gain": gain >= 1.3}),
    );
    Ok(figures)
}

async fn rest(
    servers: &Servers,
    folder: &RunFolder,
    figures: &mut Map<String, Value>,
) -> Result<()> {
    // The broker is new.
    let options = FleetOptions { used_broker: false, ..options(servers) };
    let fleet = Fleet::start(options, folder.path()).await?;
    let isps: Vec<Isp> =
        (0..CALLERS).map(|it| fleet.isp(&format!("isp-{it}"))).collect::<Result<_>>()?;
    eprintln!("changes of a list of {ENTRIES} networks, one after the other");
    let mut ways = ways(&fleet, &isps).await?;
    figures.insert("put_to_hsbe_p50_ms".to_owned(), json!(rounded(percentile(&mut ways, 50), 1)));
    figures.insert("put_to_hsbe_p99_ms".to_owned(), json!(rounded(percentile(&mut ways, 99), 1)));
    for (name, reads) in [("put", false), ("get", true)] {
        eprintln!("{name} by {CALLERS} callers for {} s", EACH.as_secs());
        let began = Instant::now();
        let each = isps.iter().map(|isp| calls(isp, reads));
        let mut all: Vec<f64> = try_join_all(each).await?.concat();
        let per_s = all.len() as f64 / began.elapsed().as_secs_f64();
        figures.insert(format!("{name}_per_s"), json!(per_s.round()));
        figures.insert(format!("{name}_p99_ms"), json!(rounded(percentile(&mut all, 99), 1)));
    }
    ensure!(fleet.simulator().count("regressions").await? == 0, "the backend saw regressions");
    fleet.stop().await
}

/// How long each call took, in milliseconds.
async fn calls(isp: &Isp, reads: bool) -> Result<Vec<f64>> {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < EACH {
        let body = body(took.len());
        let at = Instant::now();
        match reads {
            true => isp.get(PATH).await?,
            false => isp.put(PATH, &body).await?,
        };
        took.push(at.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

/// From the answer to a change to its arrival at the backend, in milliseconds, change by change.
async fn ways(fleet: &Fleet, isps: &[Isp]) -> Result<Vec<f64>> {
    let mut ways = Vec::new();
    for number in 0..WAYS {
        let isp = &isps[number % isps.len()];
        let held = isp.put(PATH, &body(number)).await?;
        let answered = Timestamp::now();
        let resource = format!("{}/router-allowed-ip", isp.isp_id());
        let arrived = arrival(fleet, &resource, &held["allowed_list"]).await?;
        let way = arrived.duration_since(answered).as_secs_f64() * 1e3;
        ways.push(way.max(0.0));
        tokio::time::sleep(BETWEEN_WAYS).await;
    }
    Ok(ways)
}

/// When the backend took this list.
async fn arrival(fleet: &Fleet, resource: &str, list: &Value) -> Result<Timestamp> {
    let began = Instant::now();
    loop {
        let history = fleet.simulator().history("system", resource).await?;
        let mut entries = history.as_array().into_iter().flatten();
        if let Some(entry) = entries.find(|it| it["body"]["allowed"] == *list) {
            return entry["time"]
                .as_str()
                .context("an arrival has a time")?
                .parse()
                .context("a time");
        }
        ensure!(began.elapsed() < ARRIVAL_LIMIT, "a change did not arrive: {resource}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A list that no other number has.
fn body(number: usize) -> Value {
    let of = |it: usize| format!("10.{}.{}.0/24", number % 256, it);
    let first = format!("172.16.{}.{}", number / 256 % 256, number % 256);
    let networks: Vec<String> = std::iter::once(first).chain((1..ENTRIES).map(of)).collect();
    json!({ "allowed_list": networks })
}

async fn sync(
    servers: &Servers,
    folder: &RunFolder,
    devices: usize,
    set: &[(&str, &str)],
) -> Result<f64> {
    let options = options(servers).with_sync(1);
    let options = options.set(Service::Simulator, "HSBE_SIM__LATENCY_MS", LATENCY_MS);
    let options = set.iter().fold(options, |all, (name, it)| all.set(Service::RsAdaptor, name, it));
    let mut fleet = Fleet::start(options, folder.path()).await?;
    let source = Source::of(devices);
    provision(&mut fleet, &source).await?;
    fleet.simulator().forget().await?;
    let ended = forced_sync(&fleet.jobs()?, json!({}), limit(devices)).await?;
    fleet.settled_without_jobs(limit(devices)).await?;
    let compared = source.compare(fleet.simulator()).await?;
    ensure!(compared.is_equal(), "the sync went wrong: {compared:?}");
    fleet.stop().await?;
    Ok(devices as f64 / ended.took.as_secs_f64())
}

fn options(servers: &Servers) -> FleetOptions {
    let mut options = FleetOptions::new(&servers.kafka, &servers.mongodb);
    (options.rsclients, options.rsadaptors) = (1, 1);
    options.set(Service::RsSync, "RSSYNC__STREAMS__LOOK_EVERY_MS", "100")
}

fn percentile(all: &mut [f64], percent: usize) -> f64 {
    all.sort_by(f64::total_cmp);
    let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
    all.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_list_is_long_and_unlike_the_others() {
        let lists: BTreeSet<String> = (0..2_000).map(|it| body(it).to_string()).collect();
        assert_eq!(lists.len(), 2_000);
        let list = body(700)["allowed_list"].as_array().unwrap().clone();
        let different: BTreeSet<String> = list.iter().map(Value::to_string).collect();
        assert_eq!((list.len(), different.len()), (ENTRIES, ENTRIES));
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        assert_eq!(percentile(&mut [4.0, 1.0, 3.0, 2.0], 50), 2.0);
        assert_eq!(percentile(&mut [4.0, 1.0, 3.0, 2.0], 99), 4.0);
    }
}
