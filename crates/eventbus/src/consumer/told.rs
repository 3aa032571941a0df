//! What a consumer's thread tells: its status, and gauges of its partitions.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::{Status, assigned::Stuck, dispatcher::Dispatcher, partition::Keyed};

/// The status as it was told last.
pub(crate) struct Told {
    status: watch::Sender<Status>,
    next: Status,
    has_changed: bool,
    pub(crate) gauges: Gauges,
}

impl Told {
    pub(crate) fn new(status: watch::Sender<Status>, group: &str, client: &str) -> Self {
        let gauges = Gauges { group: group.to_owned(), client: client.to_owned() };
        Self { status, next: Status::default(), has_changed: false, gauges }
    }

    pub(crate) fn topics(&mut self, topics: Vec<String>) {
        self.next.topics = topics;
        self.has_changed = true;
    }

    /// The assignment has changed.
    pub(crate) fn changed(&mut self) {
        self.has_changed = true;
    }

    /// Something stands still, or nothing does.
    pub(crate) fn stuck(&mut self, stuck: Option<&Stuck>) {
        let told = stuck.map(|it| {
            let key = it.key.as_deref().unwrap_or("none");
            format!(
                "{}/{} stands still at offset {} (key {key}): it is {:?}",
                it.topic, it.partition, it.offset, it.state
            )
        });
        self.has_changed |= self.next.stuck != told;
        self.next.stuck = told;
    }

    /// Nothing is handled any more, for this reason, or everything is.
    pub(crate) fn stopped(&mut self, why: Option<&str>) {
        if self.next.stopped.as_deref() != why {
            self.next.stopped = why.map(str::to_owned);
            self.has_changed = true;
            let (group, client) = (self.gauges.group.clone(), self.gauges.client.clone());
            metrics::gauge!("eventbus_stopped", "group" => group, "client" => client)
                .set(if why.is_some() { 1.0 } else { 0.0 });
            match why {
                Some(why) => tracing::error!(why, "the consumer has stopped until it is resumed"),
                None => tracing::info!("the consumer goes on"),
            }
        }
    }

    /// Tells what has changed.
    pub(crate) fn tell(
        &mut self,
        connected: bool,
        joined: bool,
        assignment: impl Iterator<Item = (String, i32)>,
    ) {
        let before = (self.next.connected, self.next.joined);
        (self.next.connected, self.next.joined) = (connected, joined);
        if !self.has_changed && before == (connected, joined) {
            return;
        }
        self.has_changed = false;
        self.next.assignment = assignment.collect();
        self.status.send_replace(self.next.clone());
    }

    /// The thread has ended.
    pub(crate) fn end(&self) {
        self.status.send_modify(|it| {
            it.assignment.clear();
            (it.joined, it.connected) = (false, false);
        });
    }
}

/// Metrics of what is under way.
pub(crate) struct Gauges {
    group: String,
    client: String,
}

impl Gauges {
    pub(crate) fn show<R: Keyed>(&self, dispatcher: &Dispatcher<R>, now: Instant) {
        let labels = [("group", self.group.clone()), ("client", self.client.clone())];
        metrics::gauge!("eventbus_in_flight", &labels).set(dispatcher.in_flight() as f64);
        metrics::gauge!("eventbus_keys_ready", &labels).set(dispatcher.lined_up() as f64);
        for (_, it) in dispatcher.partitions() {
            let (keys, held) = (it.records.keys(), it.records.len());
            self.partition(&it.topic, it.partition, keys, held, it.front_age(now));
        }
    }

    pub(crate) fn rebalanced(&self, kind: &'static str) {
        metrics::counter!("eventbus_rebalances_total", "group" => self.group.clone(), "kind" => kind)
            .increment(1);
    }

    /// A partition is not ours any more: others say how it is.
    pub(crate) fn forget(&self, topic: &str, partition: i32) {
        self.partition(topic, partition, 0, 0, Duration::ZERO);
        metrics::gauge!("eventbus_lag", &self.labels(topic, partition)).set(0.0);
    }

    fn partition(&self, topic: &str, partition: i32, keys: usize, held: usize, age: Duration) {
        let labels = self.labels(topic, partition);
        metrics::gauge!("eventbus_keys_queued", &labels).set(keys as f64);
        metrics::gauge!("eventbus_records_held", &labels).set(held as f64);
        metrics::gauge!("eventbus_prefix_age_seconds", &labels).set(age.as_secs_f64());
    }

    fn labels(&self, topic: &str, partition: i32) -> [(&'static str, String); 3] {
        let partition = partition.to_string();
        [("group", self.group.clone()), ("topic", topic.to_owned()), ("partition", partition)]
    }
}
