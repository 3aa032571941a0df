//! What stands still is told, and holds up nobody else.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use eventbus::{
    Destination, DestinationSettings, DualEventBusConsumer, EventBusRegistry, Heard, Outcome,
    Settings,
};
use testkit::eventually;

use crate::bus::{Bus, LIMIT, Seen, again, sees, settings, shown};

fn watched(stuck_after_seconds: u64) -> Settings {
    let mut settings = settings();
    settings.consumer.stuck_after_seconds = stuck_after_seconds;
    settings.consumer.handler_limit_seconds = 6;
    settings.consumer.drain_limit_seconds = 7;
    settings.consumer.partition_window = 5_000;
    settings.consumer.dispatch_ahead_max = 5_000;
    settings
}

/// What the consumer says stands still.
fn stuck(consumer: &DualEventBusConsumer) -> Option<String> {
    consumer.status().into_iter().find_map(|it| it.stuck)
}

/// Two records of the key `stuck` among as many of other keys before and behind them.
async fn publish(bus: &Bus, others: usize) {
    let message = |n| match n == others || n == 2 * others + 1 {
        true => bus.message(Some("stuck"), if n == others { "1" } else { "2" }),
        false => bus.message(Some(&format!("k{n}")), "1"),
    };
    bus.publish_all((0..2 * others + 2).map(message)).await;
}

/// Waits until all others are handled and the key is told, and checks that it is told rightly.
async fn is_told(bus: &Bus, others: usize, seen: &Seen, consumer: &DualEventBusConsumer) {
    sees(seen, 2 * others).await;
    assert!(seen.lock().unwrap().iter().all(|it| it.0 != "stuck"));
    let told = eventually("a report", LIMIT, async || stuck(consumer)).await;
    let where_to = format!("{}/0 stands still at offset {others} (key stuck)", bus.topic);
    assert!(told.starts_with(&where_to), "{told}");
    assert_eq!(consumer.works(), Err(told));
}

async fn works_again(bus: &Bus, others: usize, seen: &Seen, consumer: &DualEventBusConsumer) {
    bus.commits(2 * others as i64 + 2).await;
    let ready = async || consumer.works().ok();
    eventually("the consumer to work again", LIMIT, ready).await;
    let seen = seen.lock().unwrap().clone();
    let of_key: Vec<_> = seen.iter().filter(|it| it.0 == "stuck").map(|it| &it.1).collect();
    assert_eq!(of_key, ["1", "2"]);
    assert_eq!(seen.len(), 2 * others + 2);
}

#[tokio::test]
async fn a_handler_that_never_returns_is_told_while_others_go_on_and_ends_with_its_limit() {
    let (bus, others) = (Bus::with(1, watched(2)).await, 200);
    publish(&bus, others).await;
    let (seen, attempts) = (Seen::default(), Arc::new(AtomicU32::new(0)));
    let (noted, tried) = (Arc::clone(&seen), Arc::clone(&attempts));
    let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
        let (noted, tried) = (Arc::clone(&noted), Arc::clone(&tried));
        async move {
            let (key, payload) = shown(&delivery.message);
            if key == "stuck" && payload == "1" && tried.fetch_add(1, Ordering::SeqCst) == 0 {
                pending::<()>().await;
            }
            noted.lock().unwrap().push((key, payload));
            Outcome::Done
        }
    });
    let consumer = bus.consumer();
    consumer.register(vec![registry]).unwrap();
    is_told(&bus, others, &seen, &consumer).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 1, "it was told after its limit had ended it");
    works_again(&bus, others, &seen, &consumer).await;
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a handler that blocks its thread is what is tested")]
async fn a_handler_that_blocks_its_thread_is_told_while_others_go_on() {
    // At once, or after it has given way to others first; at the beginning, or when many have ended quickly.
    for (gives_way, others) in [(false, 10), (true, 10), (false, 1_000), (true, 1_000)] {
        let bus = Bus::with(1, watched(2)).await;
        publish(&bus, others).await;
        let (seen, open) = (Seen::default(), Arc::new(AtomicBool::new(false)));
        let (noted, door) = (Arc::clone(&seen), Arc::clone(&open));
        let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
            let (noted, door) = (Arc::clone(&noted), Arc::clone(&door));
            async move {
                if gives_way && delivery.message.key.as_deref() == Some("stuck") {
                    tokio::task::yield_now().await;
                }
                let (key, payload) = shown(&delivery.message);
                // A test that fails must end too.
                let deadline = Instant::now() + LIMIT;
                while key == "stuck" && !door.load(Ordering::SeqCst) && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(5));
                }
                noted.lock().unwrap().push((key, payload));
                Outcome::Done
            }
        });
        let consumer = bus.consumer();
        consumer.register(vec![registry]).unwrap();
        is_told(&bus, others, &seen, &consumer).await;
        open.store(true, Ordering::SeqCst);
        works_again(&bus, others, &seen, &consumer).await;
        consumer.close().await;
    }
}

#[tokio::test]
async fn the_time_of_an_open_circuit_is_no_standing_still() {
    let bus = Bus::with(1, watched(1)).await;
    bus.publish("stuck", "1").await;
    let destination = Destination::new(
        &bus.group,
        DestinationSettings {
            concurrency_max: 4,
            concurrency_min: 1,
            live_share: 0.5,
            rate_per_second: 0.0,
            open_after_failures: 1,
            probe_interval_seconds: 0.1,
        },
    );
    let (seen, probes) = (Seen::default(), Arc::new(AtomicU32::new(0)));
    // 0: the destination is down. 1: it is well, the record is not handled all the same. 2: it is.
    let phase = Arc::new(AtomicU32::new(0));
    let (noted, count, now, backend) =
        (Arc::clone(&seen), Arc::clone(&probes), Arc::clone(&phase), destination.clone());
    let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
        let began = tokio::time::Instant::now();
        count.fetch_add(1, Ordering::SeqCst);
        let phase = now.load(Ordering::SeqCst);
        let heard = if phase == 0 { Heard::Trouble("down".to_owned()) } else { Heard::Well };
        backend.heard(began, heard);
        let outcome = if phase == 2 { Outcome::Done } else { again() };
        if outcome == Outcome::Done {
            noted.lock().unwrap().push(shown(&delivery.message));
        }
        async move { outcome }
    });
    let consumer = bus.consumer();
    consumer.register(vec![registry.towards(&destination)]).unwrap();
    // Twenty intervals: twice as long as the record may stand still.
    let probed = async || {
        assert_eq!(stuck(&consumer), None);
        (probes.load(Ordering::SeqCst) > 20).then_some(())
    };
    eventually("twenty probes", LIMIT, probed).await;
    assert_eq!(destination.open_for().as_deref(), Some("1 failures in a row: down"));
    phase.store(1, Ordering::SeqCst);
    is_told(&bus, 0, &seen, &consumer).await;
    assert_eq!(destination.open_for(), None);
    phase.store(2, Ordering::SeqCst);
    sees(&seen, 1).await;
    let ready = async || consumer.works().ok();
    eventually("the consumer to work again", LIMIT, ready).await;
    consumer.close().await;
}

#[tokio::test]
async fn a_registry_may_have_a_limit_of_its_own() {
    let mut settings = settings();
    settings.consumer.attempts_max = 1;
    let (short, long) = (Bus::with(1, settings.clone()).await, Bus::with(1, settings).await);
    for bus in [&short, &long] {
        bus.publish("k", "1").await;
    }
    let seen = Seen::default();
    // Longer than the one limit, shorter than the other.
    let slow = |bus: &Bus| {
        let noted = Arc::clone(&seen);
        EventBusRegistry::new(&bus.topic, move |delivery| {
            let noted = Arc::clone(&noted);
            async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                noted.lock().unwrap().push((delivery.message.topic.to_string(), String::new()));
                Outcome::Done
            }
        })
    };
    let consumer = short.consumer();
    let dead = testkit::topics::Wanted::with_dead_letters(&long.topic, &short.group, 1);
    testkit::topics::make(&short.settings.bootstrap_servers, dead).await.unwrap();
    consumer.register(vec![slow(&short).within(Duration::from_millis(500)), slow(&long)]).unwrap();
    sees(&seen, 1).await;
    short.commits(1).await;
    consumer.close().await;
    let letters = short.dead_letters().await;
    assert_eq!(letters[0].headers["dlq_error"], "the callback took longer than 0.5 s");
    assert_eq!(*seen.lock().unwrap(), [(long.topic.clone(), String::new())]);
}
