//! Where callbacks wait until the test lets them through.

use std::sync::{Arc, Mutex};

use eventbus::{Delivery, EventBusRegistry, Outcome};
use testkit::eventually;
use tokio::sync::Semaphore;

use crate::bus::{Bus, LIMIT, shown};

/// Notes which calls begin and which come through, and keeps each until the test lets it pass.
pub(crate) struct Gate {
    permits: Semaphore,
    began: Mutex<Vec<(String, String)>>,
    passed: Mutex<Vec<(String, String)>>,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        let (began, passed) = Default::default();
        Arc::new(Self { permits: Semaphore::new(0), began, passed })
    }

    /// A callback that has to pass, and is done then.
    pub(crate) fn registry(self: &Arc<Self>, bus: &Bus) -> EventBusRegistry {
        let gate = Arc::clone(self);
        EventBusRegistry::new(&bus.topic, move |delivery| {
            let gate = Arc::clone(&gate);
            async move {
                gate.pass(&delivery).await;
                Outcome::Done
            }
        })
    }

    pub(crate) async fn pass(&self, delivery: &Delivery) {
        self.began.lock().unwrap().push(shown(&delivery.message));
        self.permits.acquire().await.unwrap().forget();
        self.passed.lock().unwrap().push(shown(&delivery.message));
    }

    /// Lets so many calls through.
    pub(crate) fn let_through(&self, calls: usize) {
        self.permits.add_permits(calls);
    }

    /// Lets everybody through from now on.
    pub(crate) fn open(&self) {
        self.let_through(1_000_000);
    }

    /// The calls that have begun, in their order.
    pub(crate) fn began(&self) -> Vec<(String, String)> {
        self.began.lock().unwrap().clone()
    }

    /// How many have begun and not come through.
    pub(crate) fn inside(&self) -> usize {
        let passed = self.passed.lock().unwrap().len();
        self.began.lock().unwrap().len() - passed
    }

    /// Waits until so many calls have begun.
    pub(crate) async fn begins(&self, calls: usize) {
        let look = async || (self.began().len() >= calls).then_some(());
        eventually(&format!("{calls} calls to begin"), LIMIT, look).await;
    }
}
