//! What a restart may repeat is bounded.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use eventbus::{DualEventBusConsumer, Outcome};
use testkit::eventually;

use crate::bus::{Bus, LIMIT, Seen, again, sees, settings};

const RECORDS: usize = 500;
/// How many records may be ahead of the prefix, its first one counted.
const AHEAD: usize = 50;

/// Consumers of one topic of which the first record waits until a door opens.
struct Run {
    bus: Bus,
    seen: Seen,
    begun: Arc<Mutex<BTreeSet<String>>>,
    tries: Arc<AtomicUsize>,
    door: Arc<AtomicBool>,
}

impl Run {
    async fn new() -> Self {
        let mut settings = settings();
        settings.consumer.dispatch_ahead_max = AHEAD;
        settings.consumer.partition_window = RECORDS;
        let bus = Bus::with(1, settings).await;
        let message = |n| bus.message(Some(&format!("k{}", n % 200)), &format!("{n:03}"));
        bus.publish_all((0..RECORDS).map(message)).await;
        let (seen, begun, tries, door) = Default::default();
        Self { bus, seen, begun, tries, door }
    }

    fn consume(&self) -> DualEventBusConsumer {
        let (begun, tries, door) =
            (Arc::clone(&self.begun), Arc::clone(&self.tries), Arc::clone(&self.door));
        self.bus.consume(&self.seen, move |it| {
            let payload = String::from_utf8_lossy(&it.message.payload).into_owned();
            let is_first = payload == "000";
            begun.lock().unwrap().insert(payload);
            if is_first && !door.load(Ordering::SeqCst) {
                tries.fetch_add(1, Ordering::SeqCst);
                return again();
            }
            Outcome::Done
        })
    }

    /// Waits until the first record was tried so many times more.
    async fn tries(&self, more: usize) {
        let until = self.tries.load(Ordering::SeqCst) + more;
        let look = async || (self.tries.load(Ordering::SeqCst) >= until).then_some(());
        eventually("more tries of the first record", LIMIT, look).await;
    }

    fn begun(&self) -> usize {
        self.begun.lock().unwrap().len()
    }

    /// Every record is handled so often, and those of each key in order.
    fn handled(&self, repeated: impl Fn(usize) -> bool) {
        let seen = self.seen.lock().unwrap();
        for n in 0..RECORDS {
            let times = seen.iter().filter(|it| it.1 == format!("{n:03}")).count();
            assert!(times == 1 || (times == 2 && repeated(n)), "{n} was handled {times} times");
        }
        for key in (0..200).map(|n| format!("k{n}")) {
            let of_key: Vec<_> = seen.iter().filter(|it| it.0 == key).map(|it| &it.1).collect();
            assert!(of_key.is_sorted(), "{key}: {of_key:?}");
        }
    }
}

#[tokio::test]
async fn no_more_records_than_allowed_are_begun_ahead_of_one_that_waits() {
    let run = Run::new().await;
    let consumer = run.consume();
    sees(&run.seen, AHEAD - 1).await;
    run.tries(20).await;
    assert_eq!(run.begun(), AHEAD);
    assert_eq!(run.bus.committed().await, []);
    run.door.store(true, Ordering::SeqCst);
    run.bus.commits(RECORDS as i64).await;
    consumer.close().await;
    assert_eq!(run.bus.dead_letters().await, []);
    run.handled(|_| false);
}

#[tokio::test]
async fn a_restart_repeats_at_most_what_was_begun_ahead_of_the_prefix() {
    let run = Run::new().await;
    let consumer = run.consume();
    sees(&run.seen, AHEAD - 1).await;
    consumer.close().await;
    assert_eq!(run.bus.committed().await, []);
    assert_eq!(run.begun(), AHEAD);

    // The same ones are ahead of it again.
    let consumer = run.consume();
    sees(&run.seen, 2 * (AHEAD - 1)).await;
    run.tries(20).await;
    assert_eq!(run.begun(), AHEAD);
    run.door.store(true, Ordering::SeqCst);
    run.bus.commits(RECORDS as i64).await;
    consumer.close().await;
    let seen = run.seen.lock().unwrap().len();
    assert_eq!(seen, RECORDS + AHEAD - 1);
    run.handled(|n| n < AHEAD);
}
