//! Commits that are awaited, on a thread of their own: neither the consumer nor a callback waits for the broker.

use std::{
    sync::{Arc, mpsc},
    thread,
};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaResult,
};

use super::{client::Waker, context::Context};

/// The client that commits, and what.
type Order = (Arc<BaseConsumer<Context>>, TopicPartitionList);

/// What became of a commit.
type Committed = (TopicPartitionList, KafkaResult<()>);

/// At most one commit is under way; what is done meanwhile goes with the next.
pub(crate) struct Committer {
    orders: mpsc::Sender<Order>,
    committed: mpsc::Receiver<Committed>,
    is_busy: bool,
}

impl Committer {
    /// Its thread ends when it is dropped.
    pub(crate) fn start(tag: &str, waker: Waker) -> std::io::Result<Self> {
        let (orders, orders_in) = mpsc::channel::<Order>();
        let (committed_out, committed) = mpsc::channel();
        let work = move || {
            for (consumer, offsets) in orders_in {
                let outcome = consumer.commit(&offsets, CommitMode::Sync);
                // Before the answer: whoever waits for it may be about to end the client.
                drop(consumer);
                if committed_out.send((offsets, outcome)).is_err() {
                    break;
                }
                waker.wake();
            }
        };
        thread::Builder::new().name(format!("{tag}-commit")).spawn(work)?;
        Ok(Self { orders, committed, is_busy: false })
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins to commit.
    pub(crate) fn commit(&mut self, consumer: &Arc<BaseConsumer<Context>>, it: TopicPartitionList) {
        self.is_busy = self.orders.send((Arc::clone(consumer), it)).is_ok();
    }

    /// What became of the commit under way, where that is known.
    pub(crate) fn poll(&mut self) -> Option<Committed> {
        let committed = self.committed.try_recv().ok()?;
        self.is_busy = false;
        Some(committed)
    }

    /// Waits for the commit under way.
    pub(crate) fn wait(&mut self) -> Option<Committed> {
        if !std::mem::take(&mut self.is_busy) {
            return None;
        }
        self.committed.recv().ok()
    }
}
