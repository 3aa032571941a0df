//! Live updates of existing devices, fifty a second, from their produce to their arrival at the backend.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::{
    records::{Event, Sender},
    simulator::Simulator,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};

const EVERY: Duration = Duration::from_millis(20);
/// Updates go round over so many devices.
pub(super) const DEVICES: usize = 600;
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);

/// One update on its way.
#[derive(Debug, Clone)]
struct Update {
    kind: &'static str,
    id: String,
    name: String,
    produced_at: Timestamp,
    produced: Instant,
}

/// An update that has arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// When it was produced.
    pub(super) produced: Instant,
    /// From there to its arrival, in milliseconds.
    pub(super) latency_ms: f64,
}

impl Sample {
    /// Whether it was produced and arrived between these two.
    pub(super) fn is_within(&self, (begin, end): (Instant, Instant)) -> bool {
        let arrived = self.produced + Duration::from_secs_f64(self.latency_ms / 1000.0);
        begin <= self.produced && arrived <= end
    }
}

/// Devices that are updated in turn, each time under a name of its own.
pub(super) struct Live {
    sender: Sender,
    devices: Vec<Value>,
    next: usize,
    sent: Vec<Update>,
    /// What the backend takes for each request by itself; it notes an arrival after that.
    own_latency: Duration,
}

impl Live {
    pub(super) fn new(kafka: &str, devices: Vec<Value>, own_latency: Duration) -> Result<Self> {
        ensure!(!devices.is_empty(), "there are no devices to update");
        let sender = Sender::new(kafka)?;
        Ok(Self { sender, devices, next: 0, sent: Vec::new(), own_latency })
    }

    /// The devices as they are now.
    pub(super) fn devices(&self) -> &[Value] {
        &self.devices
    }

    /// Sends updates at an even pace until `until` says so; it is asked before each.
    pub(super) async fn run(&mut self, mut until: impl FnMut(usize) -> bool) -> Result<()> {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut acknowledged = JoinSet::new();
        let mut count = 0;
        while !until(count) {
            ticks.tick().await;
            let (event, update) = self.update();
            self.sent.push(update);
            let sender = self.sender.clone();
            acknowledged.spawn(async move { sender.send(&event).await });
            count += 1;
            while let Some(done) = acknowledged.try_join_next() {
                done??;
            }
        }
        while let Some(done) = acknowledged.join_next().await {
            done??;
        }
        Ok(())
    }

    fn update(&mut self) -> (Event, Update) {
        let (number, at) = (self.next, self.next % self.devices.len());
        self.next += 1;
        let device = &mut self.devices[at];
        let revision = device["revision"].as_u64().unwrap_or_default() + 1;
        let name = format!("live {number}");
        (device["revision"], device["name"]) = (json!(revision), json!(name));
        let kind = if device["kind"] == "router" { "routers" } else { "devices" };
        let id = device["device_id"].as_str().unwrap_or_default().to_owned();
        let event = Event {
            topic: "as-provision-topic".to_owned(),
            event_type: "DeviceUpdated".to_owned(),
            key: None,
            data: device.clone(),
        };
        let (produced_at, produced) = (Timestamp::now(), Instant::now());
        (event, Update { kind, id, name, produced_at, produced })
    }

    /// What became of the updates since the last look, by what the backend remembers.
    pub(super) async fn arrived(&mut self, simulator: &Simulator) -> Result<Vec<Sample>> {
        let sent: Vec<Update> = std::mem::take(&mut self.sent);
        let numbers = sent.len();
        let touched: HashSet<(&str, &str)> = sent.iter().map(|it| (it.kind, &*it.id)).collect();
        let mut arrivals: HashMap<String, Timestamp> = HashMap::new();
        let deadline = Instant::now() + ARRIVAL_LIMIT;
        for (kind, id) in touched {
            loop {
                let history = simulator.history(kind, id).await?;
                let wanted = sent.iter().filter(|it| it.id == id);
                note(&history, &mut arrivals)?;
                if wanted.into_iter().all(|it| arrivals.contains_key(&it.name)) {
                    break;
                }
                ensure!(Instant::now() < deadline, "an update of {id} did not arrive");
                tokio::time::sleep(EVERY).await;
            }
        }
        let samples = sent.iter().map(|it| {
            let latency = arrivals[&it.name].duration_since(it.produced_at);
            let latency = latency.as_secs_f64() - self.own_latency.as_secs_f64();
            Sample { produced: it.produced, latency_ms: latency.max(0.0) * 1000.0 }
        });
        let samples: Vec<Sample> = samples.collect();
        ensure!(samples.len() == numbers, "every update has one arrival");
        Ok(samples)
    }
}

/// The first arrival under each name.
fn note(history: &Value, arrivals: &mut HashMap<String, Timestamp>) -> Result<()> {
    for entry in history.as_array().into_iter().flatten() {
        let Some(name) = entry["body"]["device"]["name"].as_str() else { continue };
        let time = entry["time"].as_str().context("an arrival has a time")?;
        let time: Timestamp = time.parse().context("a time")?;
        arrivals.entry(name.to_owned()).or_insert(time);
    }
    Ok(())
}

/// The 99th percentile of the latencies, in milliseconds.
pub(super) fn p99_ms(samples: &[Sample]) -> f64 {
    let mut all: Vec<f64> = samples.iter().map(|it| it.latency_ms).collect();
    all.sort_by(f64::total_cmp);
    let at = (all.len() * 99).div_ceil(100).saturating_sub(1);
    all.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_hundred_is_above_the_99th_percentile() {
        let produced = Instant::now();
        let of = |count: u32| -> Vec<Sample> {
            (1..=count).map(|it| Sample { produced, latency_ms: f64::from(it) }).collect()
        };
        assert_eq!(p99_ms(&of(100)), 99.0);
        assert_eq!(p99_ms(&of(1)), 1.0);
        assert!(p99_ms(&[]).is_nan());
    }
}
