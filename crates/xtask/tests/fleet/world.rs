//! One fleet at a time, what it is fed and what must come of it.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use testkit::{
    fleet::{Fleet, FleetOptions},
    records::{Event, Record, Sender, read},
    servers::RunFolder,
};
use tokio::sync::{Mutex, MutexGuard};
use xtask::demo::{compare, expected};

pub(crate) const LIMIT: Duration = Duration::from_secs(300);
const IN_FLIGHT: usize = 256;
const DEAD_LETTERS: &[&str] = &[
    "as-provision-topic.rsclient.dlq",
    "as-configuration-topic.rsclient.dlq",
    "as-rs-provision-topic.rsadaptor.dlq",
    "as-rs-system-configuration-topic.rsadaptor.dlq",
    "as-rs-agent-topic.rsadaptor.dlq",
    "as-rs-adaptor-reply-topic.rsclient.dlq",
    "as-rs-adaptor-reply-topic.rsagents.dlq",
    "as-rs-client-request-topic.rsclient.dlq",
    "as-rs-client-reply-topic.rsclient.dlq",
    "as-rs-client-reply-topic.rssync.dlq",
    "as-rs-agents-request-topic.rsagents.dlq",
    "as-rs-agents-reply-topic.rsagents.dlq",
    "as-rs-agents-reply-topic.rssync.dlq",
];

/// The groups are the services' own, so fleets on one broker take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// A fleet with the broker to itself.
pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) sender: Sender,
    dead_before: Vec<(&'static str, Record)>,
    _folder: RunFolder,
    _turn: MutexGuard<'static, ()>,
}

/// The options of a fleet on the servers of this run.
pub(crate) fn options() -> FleetOptions {
    FleetOptions::new(&testkit::kafka(), &testkit::mongo_uri())
}

impl World {
    pub(crate) async fn start(options: FleetOptions) -> Self {
        let turn = TURN.lock().await;
        let folder = RunFolder::new().unwrap();
        let sender = Sender::new(&options.kafka).unwrap();
        let dead_before = dead_letters(&options.kafka).await;
        let fleet = Fleet::start(options, folder.path()).await.unwrap();
        Self { fleet, sender, dead_before, _folder: folder, _turn: turn }
    }

    /// Sends provisioning payloads, many at a time.
    pub(crate) async fn provision(&self, homes: &[Value]) {
        provision(&self.sender, homes).await;
    }

    /// What the backend holds, in the form of an expectation.
    pub(crate) async fn held(&self) -> Value {
        self.fleet.simulator().held().await.unwrap()
    }

    pub(crate) async fn held_count(&self) -> usize {
        let summary = self.fleet.simulator().summary().await.unwrap();
        let of = |kind: &str| summary[kind].as_u64().unwrap_or_default();
        usize::try_from(of("devices") + of("routers")).unwrap()
    }

    /// Waits until the backend holds at least so many devices.
    pub(crate) async fn holds(&self, count: usize) {
        let look = async || (self.held_count().await >= count).then_some(());
        testkit::eventually(&format!("{count} devices in the backend"), LIMIT, look).await;
    }

    /// Waits until the backend has done at least so many writes.
    pub(crate) async fn has_written(&self, count: u64) {
        let simulator = self.fleet.simulator();
        let look = async || (simulator.writes().await.unwrap() >= count).then_some(());
        testkit::eventually(&format!("{count} writes to the backend"), LIMIT, look).await;
    }

    /// Dead letters since the start.
    pub(crate) async fn dead_letters(&self) -> Vec<(&'static str, Record)> {
        let mut letters = dead_letters(self.fleet.kafka()).await;
        letters.retain(|it| !self.dead_before.contains(it));
        letters
    }

    /// Waits for rest, then compares with the payloads: equal, no dead letters, no regressions;
    /// then ends the fleet, each process with 0.
    pub(crate) async fn ends_like(mut self, homes: &[Value]) {
        self.fleet.settled(LIMIT).await.unwrap();
        let differences = compare(&expected(homes.iter()), &self.held().await);
        let examples: Vec<String> = differences.examples().collect();
        assert!(differences.is_empty(), "{}", examples.join("\n"));
        assert_eq!(self.fleet.simulator().count("regressions").await.unwrap(), 0);
        assert_eq!(self.dead_letters().await, []);
        self.fleet.stop().await.unwrap();
    }
}

/// Sends provisioning payloads, many at a time.
pub(crate) async fn provision(sender: &Sender, homes: &[Value]) {
    let events: Vec<Event> = homes.iter().cloned().map(Event::provision).collect();
    let sent = stream::iter(&events).map(|it| sender.send(it)).buffered(IN_FLIGHT);
    sent.try_for_each(async |_| Ok(())).await.unwrap();
}

/// All dead letters with their topics.
async fn dead_letters(kafka: &str) -> Vec<(&'static str, Record)> {
    let mut letters = Vec::new();
    for topic in DEAD_LETTERS {
        let records = read(kafka, topic).await.unwrap();
        letters.extend(records.into_iter().map(|it| (*topic, it)));
    }
    letters
}
