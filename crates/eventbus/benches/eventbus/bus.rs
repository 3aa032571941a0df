//! A consumer of the product as a service makes it, with settings of its own.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use eventbus::{
    ClientType, Delivery, DualEventBusConsumer, EventBusFactory, EventBusRegistry, Outcome,
    Settings,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{ledger::Ledger, records::Records};

/// The settings that a service ships with, which a workload changes where it has to.
const DEFAULTS: &str = include_str!("../../../../services/rsadaptor/rsadaptor.toml");
/// No workload takes longer.
const LIMIT: Duration = Duration::from_secs(300);

/// Which half of the dual consumer a workload is for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Half {
    /// Its commits are awaited.
    Reliable,
    /// Its commits run in the background.
    Performant,
}

/// A consumer group on a topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bus {
    /// What there is to consume.
    pub(crate) records: Records,
    /// The group.
    pub(crate) group: String,
    /// The half that consumes it.
    pub(crate) half: Half,
    /// Settings of `[kafka.consumer]` that differ from what a service ships with.
    pub(crate) changes: Value,
}

impl Bus {
    /// A group that nobody had before.
    pub(crate) fn new(records: &Records, half: Half, changes: Value) -> Self {
        Self { records: records.clone(), group: testkit::unique("bench"), half, changes }
    }

    /// Hands records to `handle` until the ledger is complete, then leaves the group.
    pub(crate) async fn consume_all<F>(
        &self,
        ledger: &Ledger,
        handle: impl Fn(Delivery) -> F + Send + Sync + 'static,
    ) -> Result<()>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let consumer = self.start(handle)?;
        let complete = tokio::time::timeout(LIMIT, ledger.complete()).await;
        consumer.close().await;
        if complete.is_err() {
            bail!("not every record came within {LIMIT:?}: {:?}", ledger.measured());
        }
        Ok(())
    }

    /// Begins to hand records to `handle`.
    pub(crate) fn start<F>(
        &self,
        handle: impl Fn(Delivery) -> F + Send + Sync + 'static,
    ) -> Result<DualEventBusConsumer>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut changes = self.changes.clone();
        changes["performant_topics"] = match self.half {
            Half::Performant => json!([self.records.topic]),
            Half::Reliable => json!([]),
        };
        let settings = settings(&self.records.kafka, json!({"consumer": changes}))?;
        let consumer =
            EventBusFactory::new("bench", settings).consumer(&self.group, ClientType::Default)?;
        consumer.register(vec![EventBusRegistry::new(&self.records.topic, handle)])?;
        Ok(consumer)
    }
}

/// A handler that does nothing but account for its record.
pub(crate) fn count(
    ledger: &Arc<Ledger>,
) -> impl Fn(Delivery) -> std::future::Ready<Outcome> + Send + Sync + 'static {
    let ledger = Arc::clone(ledger);
    move |delivery| {
        let (number, _) = ledger.begin(&delivery.message.attributes.id);
        ledger.end(number);
        std::future::ready(Outcome::Done)
    }
}

/// What a service ships with, at this broker, with these changes.
pub(crate) fn settings(kafka: &str, changes: Value) -> Result<Settings> {
    let mut shipped: Value = toml::from_str(DEFAULTS).context("read the shipped settings")?;
    let mut settings = shipped["kafka"].take();
    settings["bootstrap_servers"] = kafka.into();
    merge(&mut settings, changes);
    serde_json::from_value(settings).context("the settings of a workload")
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, value) in changes {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes,
    }
}
