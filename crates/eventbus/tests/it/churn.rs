//! Members come and go all the time: the group goes on working, loses nothing and comes to rest.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use eventbus::{DualEventBusConsumer, EventBusRegistry, Outcome};
use testkit::eventually;
use tokio::time::Instant;

use crate::{
    bus::{Bus, LIMIT, settings},
    rounds::Rounds,
};

const PARTITIONS: i32 = 12;
const KEYS: usize = 600;
/// How many members there are; while the next one has yet to join there is one less.
const MEMBERS: usize = 3;
/// How long the handling of a record takes.
const WORK: Duration = Duration::from_millis(20);
/// How many records wait at any time, so that nobody ever has nothing to do.
const WAITING: usize = 3_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The least share of the throughput that must remain.
const SHARE_MIN: f64 = 0.3;

/// What is done to a group.
#[derive(Clone, Copy)]
struct Plan {
    /// A setting of librdkafka, or nothing for what the product chooses.
    property: Option<(&'static str, &'static str)>,
    /// The oldest member leaves, a new one joins, and so on.
    changes: u32,
    /// For how long the throughput without changes is measured …
    calm: Duration,
    /// … and over which time the changes are spread.
    churn: Duration,
    /// How long an assignment must stay to be taken for the last one.
    rest: Duration,
}

/// What came of it.
#[derive(Debug)]
struct Figures {
    calm_per_s: f64,
    churn_per_s: f64,
    /// Records that were handled more than once.
    repeats: usize,
    /// Records whose handling began before that of the same key had ended elsewhere.
    beside: usize,
    /// The longest time in which nobody handled anything while members came and went.
    standstill: Duration,
    /// From the last change until each partition had one owner for good.
    until_rest: Duration,
}

impl Figures {
    fn share(&self) -> f64 {
        self.churn_per_s / self.calm_per_s
    }
}

/// What the members of the group handled.
#[derive(Default)]
struct Noted {
    handled: Mutex<Vec<(Instant, String, u32)>>,
    busy: Mutex<BTreeMap<String, usize>>,
    beside: AtomicUsize,
}

/// A key that is being worked on; also a call that is broken off ends this.
struct Turn<'a>(&'a Noted, &'a str);

impl<'a> Turn<'a> {
    fn of(noted: &'a Noted, key: &'a str) -> Self {
        let mut busy = noted.busy.lock().unwrap();
        let count = busy.entry(key.to_owned()).or_default();
        noted.beside.fetch_add((*count).min(1), Ordering::Relaxed);
        *count += 1;
        Self(noted, key)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap().get_mut(self.1).unwrap() -= 1;
    }
}

fn join(bus: &Bus, noted: &Arc<Noted>) -> DualEventBusConsumer {
    let noted = Arc::clone(noted);
    let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
        let noted = Arc::clone(&noted);
        async move {
            let (key, round) = crate::bus::shown(&delivery.message);
            let turn = Turn::of(&noted, &key);
            tokio::time::sleep(WORK).await;
            drop(turn);
            noted.handled.lock().unwrap().push((Instant::now(), key, round.parse().unwrap()));
            Outcome::Done
        }
    });
    let consumer = bus.consumer();
    consumer.register(vec![registry]).unwrap();
    consumer
}

/// Waits until each partition has had the same one owner for so long; answers since when.
async fn rest(members: &VecDeque<DualEventBusConsumer>, long: Duration) -> Instant {
    let (mut last, mut since) = (Vec::new(), Instant::now());
    let all: Vec<i32> = (0..PARTITIONS).collect();
    let look = async || {
        let now: Vec<_> = members.iter().map(DualEventBusConsumer::assignment).collect();
        let mut owned: Vec<i32> = now.iter().flatten().map(|it| it.1).collect();
        owned.sort_unstable();
        if now != last || owned != all {
            (last, since) = (now, Instant::now());
        }
        (since.elapsed() >= long && owned == all).then_some(since)
    };
    eventually("the group to come to rest", 2 * LIMIT, look).await
}

async fn churn(plan: Plan) -> Figures {
    let mut settings = settings();
    settings.producer.flush_every_message = false;
    let property = plan.property.map(|(name, value)| (name.to_owned(), value.to_owned()));
    settings.consumer.properties.extend(property);
    let bus = Bus::with(PARTITIONS, settings).await;
    let noted = Arc::new(Noted::default());
    let mut members: VecDeque<_> = (0..MEMBERS).map(|_| join(&bus, &noted)).collect();
    rest(&members, LOOK_EVERY).await;

    let (mut rounds, ended) = (Rounds::new(&bus, KEYS), Cell::new(false));
    let feeding = async {
        while !ended.get() {
            let waiting = rounds.records().saturating_sub(noted.handled.lock().unwrap().len());
            match waiting < WAITING {
                true => rounds.say().await,
                false => tokio::time::sleep(LOOK_EVERY / 10).await,
            }
        }
    };
    let changing = async {
        let begun = async || (noted.handled.lock().unwrap().len() > KEYS).then_some(());
        eventually("the work to begin", LIMIT, begun).await;
        let began = Instant::now();
        tokio::time::sleep_until(began + plan.calm).await;
        let (calm_end, mut changed, mut leaving) = (Instant::now(), Instant::now(), Vec::new());
        for change in 0..plan.changes {
            changed = Instant::now();
            match change % 2 {
                0 => leaving.push(tokio::spawn(members.pop_front().unwrap().close())),
                _ => members.push_back(join(&bus, &noted)),
            }
            tokio::time::sleep_until(calm_end + plan.churn * (change + 1) / plan.changes).await;
        }
        ended.set(true);
        (began, calm_end, changed, Instant::now(), leaving)
    };
    let ((), (began, calm_end, changed, churn_end, leaving)) = tokio::join!(feeding, changing);

    let until_rest = rest(&members, plan.rest).await - changed;
    for left in leaving {
        left.await.unwrap();
    }
    bus.commits(rounds.records() as i64).await;
    for member in members {
        member.close().await;
    }
    let handled = noted.handled.lock().unwrap();
    let firsts = rounds.firsts(handled.iter().map(|(_, key, round)| (key.as_str(), *round)));
    let per_s = |from: Instant, to: Instant| {
        let at = handled.iter().zip(&firsts).filter(|it| *it.1).map(|it| it.0.0);
        at.filter(|at| (from..to).contains(at)).count() as f64 / (to - from).as_secs_f64()
    };
    let mut times: Vec<Instant> = handled.iter().map(|it| it.0).collect();
    times.retain(|at| (calm_end..churn_end).contains(at));
    times.extend([calm_end, churn_end]);
    times.sort_unstable();
    Figures {
        calm_per_s: per_s(began, calm_end),
        churn_per_s: per_s(calm_end, churn_end),
        repeats: firsts.iter().filter(|it| !**it).count(),
        beside: noted.beside.load(Ordering::Relaxed),
        standstill: times.windows(2).map(|it| it[1] - it[0]).max().unwrap_or_default(),
        until_rest,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_come_and_go_all_the_time_lose_nothing_and_come_to_rest() {
    let seconds = Duration::from_secs;
    let plan =
        Plan { property: None, changes: 8, calm: seconds(2), churn: seconds(12), rest: seconds(2) };
    let figures = churn(plan).await;
    eprintln!("{figures:?}, share {:.2}", figures.share());
    // How much remains depends on what else this machine does: that it goes on at all does not.
    assert!(figures.share() > 0.05, "{figures:?}");
    assert!(figures.standstill < seconds(8), "{figures:?}");
    assert_eq!(figures.beside, 0, "records of one key were handled side by side");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "by hand: sixty seconds for each assignor: cargo test -p eventbus --test it churn -- --ignored --nocapture"]
async fn twenty_changes_in_a_minute_leave_a_third_of_the_throughput_by_each_assignor() {
    let properties = [
        ("partition.assignment.strategy", "range"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("group.protocol", "consumer"),
    ];
    let seconds = Duration::from_secs;
    let mut all = Vec::new();
    for (name, value) in properties {
        let plan = Plan {
            property: Some((name, value)),
            changes: 20,
            calm: seconds(15),
            churn: seconds(60),
            rest: seconds(10),
        };
        all.push((format!("{name}={value}"), churn(plan).await));
        eprintln!(
            "| assignor | calm/s | churn/s | share | repeats | beside | standstill s | rest s |"
        );
        for (assignor, it) in &all {
            eprintln!(
                "| {assignor} | {:.0} | {:.0} | {:.2} | {} | {} | {:.1} | {:.1} |",
                it.calm_per_s,
                it.churn_per_s,
                it.share(),
                it.repeats,
                it.beside,
                it.standstill.as_secs_f64(),
                it.until_rest.as_secs_f64()
            );
        }
    }
    for (assignor, figures) in all {
        assert!(figures.share() >= SHARE_MIN, "{assignor}: {figures:?}");
        assert_eq!(figures.beside, 0, "{assignor}: records of one key were handled side by side");
    }
}
