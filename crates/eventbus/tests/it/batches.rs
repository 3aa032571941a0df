//! Callbacks that take several records at once: which they get, and that each ends as it was answered for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use eventbus::{Batch, Delivery, DualEventBusConsumer, EventBusRegistry, Outcome};
use testkit::records::Sender;

use crate::bus::{Bus, again, settings, shown};

type Told = (String, String);

/// What a callback was called with, and how each record ended that counts: not those behind one that is not done.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<Vec<Told>>>>);

impl Calls {
    /// A consumer whose callback takes such batches and answers by the call's number and its records.
    fn consume(
        &self,
        bus: &Bus,
        batch: Batch,
        answer: impl Fn(usize, &[Delivery]) -> Vec<Outcome> + Send + Sync + 'static,
    ) -> DualEventBusConsumer {
        let calls = Arc::clone(&self.0);
        let running = Arc::new(Mutex::new(BTreeSet::new()));
        let answer = Arc::new(answer);
        let registry = EventBusRegistry::batch(&bus.topic, batch, move |deliveries| {
            let (running, answer) = (Arc::clone(&running), Arc::clone(&answer));
            let told: Vec<Told> = deliveries.iter().map(|it| shown(&it.message)).collect();
            let keys: BTreeSet<String> = told.iter().map(|it| it.0.clone()).collect();
            let mut calls = calls.lock().unwrap();
            let n = calls.len();
            calls.push(told);
            drop(calls);
            async move {
                for key in &keys {
                    assert!(running.lock().unwrap().insert(key.clone()), "{key} twice at a time");
                }
                // Others have the chance to begin.
                tokio::task::yield_now().await;
                running.lock().unwrap().retain(|it| !keys.contains(it));
                answer(n, &deliveries)
            }
        });
        let consumer = bus.consumer();
        consumer.register(vec![registry]).unwrap();
        consumer
    }

    fn all(&self) -> Vec<Vec<Told>> {
        self.0.lock().unwrap().clone()
    }

    /// The payloads of a key's records in the order in which they were delivered, call by call.
    fn of_key(&self, key: &str) -> Vec<Vec<String>> {
        let of_key = |call: Vec<Told>| {
            call.into_iter().filter(|it| it.0 == key).map(|it| it.1).collect::<Vec<_>>()
        };
        self.all().into_iter().map(of_key).filter(|it| !it.is_empty()).collect()
    }
}

fn payload(delivery: &Delivery) -> String {
    shown(&delivery.message).1
}

/// The letters of a history as `key payload cause`.
async fn letters(bus: &Bus) -> Vec<String> {
    let letters = bus.dead_letters().await;
    let shown = letters.into_iter().map(|it| {
        let payload = String::from_utf8_lossy(&it.payload).into_owned();
        format!("{} {payload} {}", it.key.unwrap_or_default(), it.headers["dlq_cause"])
    });
    shown.collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Messages with these keys, each with its number within its key.
fn messages<'a>(
    bus: &'a Bus,
    keys: impl Iterator<Item = String> + 'a,
) -> impl Iterator<Item = eventbus::EventBusMessage> + 'a {
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    keys.map(move |key| {
        let next = next.entry(key.clone()).or_default();
        *next += 1;
        bus.message(Some(&key), &(*next - 1).to_string())
    })
}

#[tokio::test]
async fn a_batch_of_keys_has_one_record_of_each_key_and_each_ends_as_answered() {
    let bus = Bus::new(1).await;
    // Three rounds of twenty keys.
    bus.publish_as_one(messages(&bus, (0..60).map(|n| format!("k{:02}", n % 20)))).await;
    let calls = Calls::default();
    let consumer = calls.consume(&bus, Batch::OfKeys(8), |_, deliveries| {
        let answer = |it: &Delivery| match (it.message.key.as_deref(), payload(it).as_str()) {
            (Some("k03"), "1") => Outcome::Reject { reason: "it is wrong".to_owned() },
            (Some("k07"), "1") if it.attempt < 4 => again(),
            _ => Outcome::Done,
        };
        deliveries.iter().map(answer).collect()
    });
    bus.commits(60).await;
    consumer.close().await;
    let all = calls.all();
    for call in &all {
        let keys: BTreeSet<&String> = call.iter().map(|it| &it.0).collect();
        assert_eq!(keys.len(), call.len(), "two records of one key: {call:?}");
    }
    assert_eq!(all.iter().map(Vec::len).max(), Some(8));
    assert_eq!(letters(&bus).await, ["k03 1 rejected"]);
    for key in (0..20).map(|n| format!("k{n:02}")) {
        let delivered = calls.of_key(&key).concat();
        let expected: &[&str] = match key.as_str() {
            "k07" => &["0", "1", "1", "1", "1", "2"],
            _ => &["0", "1", "2"],
        };
        assert_eq!(delivered, expected, "{key}");
    }
}

#[tokio::test]
async fn a_batch_of_one_key_has_its_records_in_order_and_begins_again_where_one_waits() {
    let bus = Bus::new(1).await;
    let of_a_and_b = (0..30).map(|n| if n % 10 == 9 { "b" } else { "a" }.to_owned());
    bus.publish_as_one(messages(&bus, of_a_and_b)).await;
    let calls = Calls::default();
    let consumer = calls.consume(&bus, Batch::OfOneKey(10), |_, deliveries| {
        let answer = |it: &Delivery| match (it.message.key.as_deref(), payload(it).as_str()) {
            (Some("a"), "5") if it.attempt == 1 => again(),
            // What is answered for those behind one that waits is not asked.
            (Some("a"), "6") if it.attempt == 1 => Outcome::Reject { reason: "it is 6".to_owned() },
            (Some("a"), "12") => Outcome::Reject { reason: "it is 12".to_owned() },
            _ => Outcome::Done,
        };
        deliveries.iter().map(answer).collect()
    });
    bus.commits(30).await;
    consumer.close().await;
    let all = calls.all();
    assert!(all.iter().all(|it| it.len() <= 10 && it.iter().all(|one| one.0 == it[0].0)));
    let of_a = calls.of_key("a");
    assert_eq!(of_a[0], numbers(0..10));
    assert_eq!(of_a[1], numbers(5..15));
    assert_eq!(of_a[2..].concat(), numbers(15..27));
    assert_eq!(calls.of_key("b").concat(), numbers(0..3));
    assert_eq!(letters(&bus).await, ["a 12 rejected"]);
}

#[tokio::test]
async fn a_batch_of_what_is_ready_has_all_of_each_key_and_what_is_held_gathers_what_comes_behind_it()
 {
    let bus = Bus::new(1).await;
    // Three keys with four records each, in turns.
    bus.publish_as_one(messages(&bus, (0..12).map(|n| format!("k{}", n % 3)))).await;
    let calls = Calls::default();
    let consumer = calls.consume(&bus, Batch::Ready(9), |_, deliveries| {
        let answer = |it: &Delivery| match (it.message.key.as_deref(), payload(it).as_str()) {
            (Some("k1"), "1") if it.attempt == 1 => Outcome::hold(Duration::from_millis(300)),
            // Behind one that is held, and not asked.
            (Some("k1"), "2") if it.attempt == 1 => Outcome::Reject { reason: "no".to_owned() },
            _ => Outcome::Done,
        };
        deliveries.iter().map(answer).collect()
    });
    bus.commits(12).await;
    consumer.close().await;
    let all = calls.all();
    let of = |key: &str, range: std::ops::Range<usize>| -> Vec<Told> {
        numbers(range).into_iter().map(|it| (key.to_owned(), it)).collect()
    };
    // Four of the first key, four of the second, and room for one of the third.
    assert_eq!(all[0], [of("k0", 0..4), of("k1", 0..4), of("k2", 0..1)].concat());
    assert_eq!(calls.of_key("k1"), [numbers(0..4), numbers(1..4)]);
    assert_eq!(calls.of_key("k2").concat(), numbers(0..4));
    assert_eq!(letters(&bus).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_callback_that_answers_too_little_or_panics_loses_nothing() {
    for batch in [Batch::OfKeys(8), Batch::OfOneKey(8), Batch::Ready(8)] {
        for panics in [false, true] {
            let bus = Bus::new(1).await;
            let key = |n| match batch {
                Batch::OfKeys(_) | Batch::Ready(_) => format!("k{n}"),
                Batch::OfOneKey(_) => "k".to_owned(),
            };
            bus.publish_as_one(messages(&bus, (0..16).map(key))).await;
            let calls = Calls::default();
            let consumer = calls.consume(&bus, batch, move |n, deliveries| {
                assert!(n > 0 || !panics, "on purpose");
                let answered = if n == 0 { 2 } else { deliveries.len() };
                vec![Outcome::Done; answered]
            });
            bus.commits(16).await;
            consumer.close().await;
            assert_eq!(letters(&bus).await, Vec::<String>::new());
            let (all, kept) = (calls.all(), if panics { 0 } else { 2 });
            assert_eq!(all[0].len(), 8);
            let mut again: Vec<Told> = all[1..].concat();
            assert_eq!(again.len(), 16 - kept, "{batch:?} {panics}");
            if let Batch::OfOneKey(_) = batch {
                assert_eq!(calls.of_key("k")[1..].concat(), numbers(kept..16));
            }
            again.sort();
            again.dedup();
            assert_eq!(again.len(), 16 - kept, "{batch:?} {panics}");
        }
    }
}

#[tokio::test]
async fn a_record_that_makes_its_callback_panic_takes_no_other_with_it() {
    for batch in [Batch::OfKeys(8), Batch::OfOneKey(8), Batch::Ready(8)] {
        let bus = Bus::new(1).await;
        let key = |n| match batch {
            Batch::OfKeys(_) | Batch::Ready(_) => format!("k{n}"),
            Batch::OfOneKey(_) => "k".to_owned(),
        };
        let poison = |n| if n == 4 { "poison" } else { "good" };
        bus.publish_as_one((0..8).map(|n| bus.message(Some(&key(n)), poison(n)))).await;
        let calls = Calls::default();
        let consumer = calls.consume(&bus, batch, |_, deliveries| {
            assert!(deliveries.iter().all(|it| payload(it) != "poison"), "on purpose");
            vec![Outcome::Done; deliveries.len()]
        });
        bus.commits(8).await;
        consumer.close().await;
        assert_eq!(letters(&bus).await, [format!("{} poison exhausted", key(4))]);
    }
}

#[tokio::test]
async fn what_is_no_message_is_set_aside_alone() {
    for batch in [Batch::OfKeys(8), Batch::OfOneKey(8), Batch::Ready(8)] {
        let bus = Bus::new(1).await;
        let sender = Sender::new(&bus.settings.bootstrap_servers).unwrap();
        let key = |n: usize| match batch {
            Batch::OfKeys(_) | Batch::Ready(_) => format!("k{n}"),
            Batch::OfOneKey(_) => "k".to_owned(),
        };
        for n in 0..16 {
            match n % 4 {
                1 => drop(sender.send_raw(&bus.topic, Some(&key(n)), &[], b"no").await.unwrap()),
                _ => drop(bus.publish(&key(n), &format!("{n:02}")).await),
            }
        }
        let calls = Calls::default();
        // The first waits, so that those behind it in its batch are delivered again.
        let consumer = calls.consume(&bus, batch, |_, deliveries| {
            let answer = |it: &Delivery| match payload(it) == "00" && it.attempt == 1 {
                true => again(),
                false => Outcome::Done,
            };
            deliveries.iter().map(answer).collect()
        });
        bus.commits(16).await;
        consumer.close().await;
        let mut set_aside = letters(&bus).await;
        set_aside.sort();
        let mut expected = [1, 5, 9, 13].map(|n| format!("{} no undecodable", key(n)));
        expected.sort();
        assert_eq!(set_aside, expected);
        let mut delivered: Vec<String> = calls.all().concat().into_iter().map(|it| it.1).collect();
        delivered.sort();
        delivered.dedup();
        let good: Vec<String> = (0..16).filter(|n| n % 4 != 1).map(|n| format!("{n:02}")).collect();
        assert_eq!(delivered, good);
    }
}

#[tokio::test]
async fn a_record_that_is_kept_back_keeps_back_those_behind_it_in_its_batch() {
    let mut settings = settings();
    settings.consumer.dead_letters_run_max = 1;
    let bus = Bus::with(1, settings).await;
    let sender = Sender::new(&bus.settings.bootstrap_servers).unwrap();
    for _ in 0..2 {
        sender.send_raw(&bus.topic, Some("k"), &[], b"no").await.unwrap();
    }
    bus.publish("k", "good").await;
    let calls = Calls::default();
    let consumer = calls.consume(&bus, Batch::OfOneKey(8), |_, it| vec![Outcome::Done; it.len()]);
    let stopped = async || consumer.status().into_iter().find_map(|it| it.stopped);
    testkit::eventually("the consumer to stop", crate::bus::LIMIT, stopped).await;
    bus.commits(1).await;
    assert_eq!(calls.all(), Vec::<Vec<Told>>::new(), "a record passed one of its key");
    assert!(consumer.resumer().resume());
    bus.commits(3).await;
    consumer.close().await;
    assert_eq!(calls.all().len(), 1);
}
