//! The metrics of a topic's records, looked up once for each event type.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use metrics::{Counter, Histogram};

/// Names of events come from outside: so many are told apart.
const EVENT_TYPES_MAX: usize = 200;

/// Counters and times of one topic's records in one group.
pub(crate) struct Meters {
    group: String,
    topic: String,
    events: RwLock<HashMap<String, Arc<Meter>>>,
}

/// Counters and times of one type of event.
pub(crate) struct Meter {
    labels: [(&'static str, String); 3],
    pub(crate) seconds: Histogram,
    pub(crate) done: Counter,
    others: RwLock<HashMap<&'static str, Counter>>,
}

impl Meters {
    pub(crate) fn new(group: &str, topic: &str) -> Self {
        let (group, topic) = (group.to_owned(), topic.to_owned());
        Self { group, topic, events: RwLock::default() }
    }

    pub(crate) fn of(&self, event_type: &str) -> Arc<Meter> {
        let known = self.events.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = known.get(event_type) {
            return Arc::clone(meter);
        }
        let event_type = if known.len() < EVENT_TYPES_MAX { event_type } else { "others" };
        drop(known);
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Meter::new(&self.group, &self.topic, event_type));
        Arc::clone(events.entry(event_type.to_owned()).or_insert_with(new))
    }
}

impl Meter {
    fn new(group: &str, topic: &str, event_type: &str) -> Self {
        let labels = [("group", group), ("topic", topic), ("event_type", event_type)]
            .map(|(name, it)| (name, it.to_owned()));
        Self {
            seconds: metrics::histogram!("eventbus_handling_seconds", &labels),
            done: records(&labels, "done"),
            others: RwLock::default(),
            labels,
        }
    }

    /// Counts a record that ended in another way than done.
    pub(crate) fn count(&self, outcome: &'static str) {
        let known = self.others.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(outcome) {
            return counter.increment(1);
        }
        drop(known);
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        others.entry(outcome).or_insert_with(|| records(&self.labels, outcome)).increment(1);
    }
}

fn records(labels: &[(&'static str, String); 3], outcome: &'static str) -> Counter {
    let [group, topic, event_type] = labels.clone();
    let labels = [group, topic, event_type, ("outcome", outcome.to_owned())];
    metrics::counter!("eventbus_records_total", &labels)
}
