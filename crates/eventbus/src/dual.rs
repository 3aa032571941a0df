//! Two consumers of one group: one for topics whose commits are awaited, one for topics with very many records.

use std::collections::BTreeSet;

use crate::{EventBusConsumer, EventBusRegistry, Inspector, RegisterError, Resumer, Status};

/// Two consumers of one group. A topic belongs to exactly one of them: to the performant one, which commits in
/// the background, where it is declared so; else to the reliable one, which commits synchronously in groups.
/// Both share the group, so that a topic that moves between them keeps its offsets.
pub struct DualEventBusConsumer {
    performant_topics: BTreeSet<String>,
    reliable: EventBusConsumer,
    performant: EventBusConsumer,
}

impl DualEventBusConsumer {
    /// Puts two consumers of one group together.
    pub fn new(
        performant_topics: BTreeSet<String>,
        reliable: EventBusConsumer,
        performant: EventBusConsumer,
    ) -> Self {
        Self { performant_topics, reliable, performant }
    }

    /// Begins to consume the topics of `registries`, each with the consumer that it belongs to.
    ///
    /// # Errors
    /// A topic is registered already, or the consumer is closed; then none of the registries is taken.
    pub fn register(&self, registries: Vec<EventBusRegistry>) -> Result<(), RegisterError> {
        let mut taken: BTreeSet<String> = self.get_registered_topics().into_iter().collect();
        if let Some(it) = registries.iter().find(|it| !taken.insert(it.topic().to_owned())) {
            return Err(RegisterError::AlreadyRegistered(it.topic().to_owned()));
        }
        let (performant, reliable) = self.segregate(registries, |it| it.topic());
        self.reliable.register(reliable)?;
        self.performant.register(performant)
    }

    /// Ceases to consume topics. Their work in flight ends and is committed.
    pub fn unregister(&self, topics: &[&str]) {
        let (performant, reliable) = self.segregate(topics.to_vec(), |it| it);
        self.reliable.unregister(&reliable);
        self.performant.unregister(&performant);
    }

    /// The topics that have a callback.
    pub fn get_registered_topics(&self) -> Vec<String> {
        let mut topics = self.reliable.get_registered_topics();
        topics.extend(self.performant.get_registered_topics());
        topics
    }

    /// The partitions that are ours now.
    pub fn assignment(&self) -> Vec<(String, i32)> {
        let mut partitions = self.reliable.assignment();
        partitions.extend(self.performant.assignment());
        partitions
    }

    /// How the two are.
    pub fn status(&self) -> [Status; 2] {
        [self.reliable.status(), self.performant.status()]
    }

    /// Whether records are consumed.
    ///
    /// # Errors
    /// Why they are not.
    pub fn works(&self) -> Result<(), String> {
        self.status().iter().try_for_each(Status::is_ready)
    }

    /// What lets it go on after too many dead letters.
    pub fn resumer(&self) -> Resumer {
        self.reliable.resumer().and(self.performant.resumer())
    }

    /// What says which records wait, and for what.
    pub fn inspector(&self) -> Inspector {
        self.reliable.inspector().and(self.performant.inspector())
    }

    /// Ends the work in flight, commits it and leaves the group.
    pub async fn close(self) {
        tokio::join!(self.reliable.close(), self.performant.close());
    }

    fn segregate<T>(&self, all: Vec<T>, topic: impl Fn(&T) -> &str) -> (Vec<T>, Vec<T>) {
        all.into_iter().partition(|it| self.performant_topics.contains(topic(it)))
    }
}
