//! Wrong records among good ones: each is set aside once, and the good ones do not notice.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use eventbus::Outcome;
use testkit::records::Sender;

use crate::bus::{Bus, Seen, again, retry, settings};

const KEYS: usize = 100;
const ROUNDS: usize = 10;
/// Records of a round: of each key five.
const ROUND: usize = 5 * KEYS;

#[tokio::test]
async fn one_wrong_record_in_a_hundred_is_set_aside_once_while_the_others_go_on() {
    let mut settings = settings();
    // As in production: one in a hundred stops nobody.
    settings.consumer.dead_letters_run_max = 50;
    settings.consumer.dead_letters_share_max = 0.5;
    settings.consumer.max_in_flight = 64;
    let bus = Bus::with(3, settings).await;
    let sender = Sender::new(&bus.settings.bootstrap_servers).unwrap();
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |it| match it.message.payload.starts_with(b"wrong") {
        true => Outcome::Reject { reason: "it is wrong".to_owned() },
        false => Outcome::Done,
    });
    let mut wrong = BTreeSet::new();
    for round in 0..ROUNDS {
        let first = round * ROUND;
        let numbers: Vec<usize> = (first..first + ROUND).collect();
        for part in numbers.chunks(ROUND / 5) {
            // One in two hundred is refused by the callback, one in two hundred is no message at all.
            let is_wrong = |n: usize| (n + round) % 200 == 7;
            let payload = |n| format!("{}{n:04}", if is_wrong(n) { "wrong " } else { "" });
            let is_garbage = |n: usize| (n + round) % 200 == 107;
            let good = part.iter().filter(|n| !is_garbage(**n));
            let message = |n: &usize| bus.message(Some(&format!("k{}", n % KEYS)), &payload(*n));
            bus.publish_all(good.map(message)).await;
            for n in part.iter().filter(|n| is_garbage(**n)) {
                let (key, value) = (format!("k{}", n % KEYS), format!("garbage {n:04}"));
                sender.send_raw(&bus.topic, Some(&key), &[], value.as_bytes()).await.unwrap();
                wrong.insert(value);
            }
            wrong.extend(part.iter().filter(|n| is_wrong(**n)).map(|n| payload(*n)));
        }
        // The lag does not grow: after each round nothing is left.
        bus.commits((first + ROUND) as i64).await;
    }
    consumer.close().await;

    assert_eq!(wrong.len(), ROUNDS * ROUND / 100);
    let letters = bus.dead_letters().await;
    assert_eq!(letters.len(), wrong.len(), "a wrong record was set aside twice, or not at all");
    let set_aside: BTreeSet<String> =
        letters.iter().map(|it| String::from_utf8_lossy(&it.payload).into_owned()).collect();
    assert_eq!(set_aside, wrong);

    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), ROUNDS * ROUND - wrong.len());
    assert_eq!(seen.iter().map(|it| &it.1).collect::<BTreeSet<_>>().len(), seen.len());
    let mut last: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, payload) in seen.iter() {
        let before = last.insert(key, payload);
        assert!(before < Some(payload), "{key}: {payload} was handled after {before:?}");
    }
}

#[tokio::test]
async fn a_record_whose_failures_count_is_tried_no_longer_than_its_limit() {
    let mut settings = settings();
    settings.consumer.attempts_max = 100_000;
    settings.consumer.record_limit_seconds = 1;
    let bus = Bus::with(1, settings).await;
    bus.publish("counts", "1").await;
    bus.publish("does not count", "1").await;
    let seen = Seen::default();
    let consumer = bus.consume(&seen, |it| {
        let is_old = it.first_attempt_at.elapsed() > Duration::from_secs(3);
        match it.message.key.as_deref() {
            Some("counts") => retry(true),
            _ if is_old => Outcome::Done,
            _ => again(),
        }
    });
    bus.commits(2).await;
    consumer.close().await;
    let letters = bus.dead_letters().await;
    let keys: Vec<_> = letters.iter().filter_map(|it| it.key.as_deref()).collect();
    assert_eq!(keys, ["counts"]);
    assert_eq!(letters[0].headers["dlq_cause"], "exhausted");
    let attempts: u32 = letters[0].headers["dlq_attempts"].parse().unwrap();
    // It was tried again and again until then.
    assert!((3..=100).contains(&attempts), "{attempts} attempts");
    assert_eq!(*seen.lock().unwrap(), [("does not count".to_owned(), "1".to_owned())]);
}
