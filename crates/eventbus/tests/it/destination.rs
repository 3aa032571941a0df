//! What is behind callbacks is protected, and a record never pays for its trouble.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use eventbus::{
    Batch, Destination, DestinationSettings, EventBusMessage, EventBusRegistry, Heard, Lane,
    Outcome, Settings,
};
use jiff::{SignedDuration, Timestamp};
use testkit::eventually;
use tokio::time::Instant;

use crate::{
    bus::{Bus, LIMIT, Seen, again, sees, settings, shown},
    gate::Gate,
};

/// Sixteen records at a time, a circuit that opens after three failures and probes twenty times a second.
fn destination() -> DestinationSettings {
    DestinationSettings {
        concurrency_max: 16,
        concurrency_min: 2,
        live_share: 0.5,
        rate_per_second: 0.0,
        open_after_failures: 3,
        probe_interval_seconds: 0.05,
    }
}

/// A destination that said that it will have nothing from us, and is not asked again for long.
fn closed_for_long() -> Destination {
    let destination = Destination::new("closed", destination_that_closes());
    destination.heard(Instant::now(), Heard::Refused("go away".to_owned()));
    destination
}

/// One that is asked again only after long once it has closed.
fn destination_that_closes() -> DestinationSettings {
    DestinationSettings { probe_interval_seconds: 3_600.0, ..destination() }
}

/// No failure that counts is forgiven, nor is any time that passes with them.
fn strict() -> Settings {
    let mut settings = settings();
    settings.consumer.attempts_max = 1;
    settings.consumer.record_limit_seconds = 0;
    settings
}

fn expires(mut message: EventBusMessage, after: SignedDuration) -> EventBusMessage {
    message.attributes.expires_at = Some(Timestamp::now() + after);
    message
}

/// A call as a backend sees it.
struct Call {
    key: String,
    at: Instant,
    was_open: bool,
    /// How many others it met.
    others: usize,
}

/// What is behind a destination.
struct Backend {
    destination: Destination,
    is_well: AtomicBool,
    answer: Heard,
    running: AtomicUsize,
    calls: Mutex<Vec<Call>>,
}

impl Backend {
    fn new(settings: DestinationSettings, answer: Heard) -> Arc<Self> {
        Arc::new(Self {
            destination: Destination::new("backend", settings),
            is_well: AtomicBool::new(answer == Heard::Well),
            answer,
            running: AtomicUsize::new(0),
            calls: Mutex::default(),
        })
    }

    /// While it is not well it gives its answer, and the record waits without having failed.
    fn registry(self: &Arc<Self>, bus: &Bus, seen: &Seen) -> EventBusRegistry {
        let (backend, seen) = (Arc::clone(self), Arc::clone(seen));
        let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
            let (backend, seen) = (Arc::clone(&backend), Arc::clone(&seen));
            async move {
                let outcome = backend.call(delivery.message.key.clone().unwrap().into()).await;
                if outcome == Outcome::Done {
                    seen.lock().unwrap().push(shown(&delivery.message));
                }
                outcome
            }
        });
        registry.towards(&self.destination)
    }

    async fn call(&self, key: String) -> Outcome {
        let at = Instant::now();
        let was_open = self.destination.open_for().is_some();
        let others = self.running.fetch_add(1, Ordering::SeqCst);
        self.calls.lock().unwrap().push(Call { key, at, was_open, others });
        // Long enough to be met by others.
        tokio::time::sleep(Duration::from_millis(3)).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        let is_well = self.is_well.load(Ordering::SeqCst);
        self.destination.heard(at, if is_well { Heard::Well } else { self.answer.clone() });
        if is_well { Outcome::Done } else { again() }
    }

    fn most_at_a_time(&self) -> usize {
        self.calls.lock().unwrap().iter().map(|it| it.others + 1).max().unwrap_or_default()
    }
}

#[tokio::test]
async fn an_open_circuit_lets_one_probe_through_at_a_time_each_with_another_record() {
    let trouble = Heard::Trouble("down".to_owned());
    for (answer, why) in
        [(trouble, "3 failures in a row: down"), (Heard::Refused("go away".to_owned()), "go away")]
    {
        let bus = Bus::with(1, strict()).await;
        bus.publish_all((0..40).map(|n| bus.message(Some(&format!("k{n:02}")), "1"))).await;
        let (seen, backend) = (Seen::default(), Backend::new(destination(), answer));
        let consumer = bus.consumer();
        consumer.register(vec![backend.registry(&bus, &seen)]).unwrap();
        let probed = async || {
            let calls = backend.calls.lock().unwrap();
            (calls.iter().filter(|it| it.was_open).count() >= 20).then_some(())
        };
        eventually("twenty probes", LIMIT, probed).await;
        assert_eq!(backend.destination.open_for().as_deref(), Some(why));
        assert_eq!(bus.committed().await, []);
        backend.is_well.store(true, Ordering::SeqCst);
        sees(&seen, 40).await;
        bus.commits(40).await;
        assert_eq!(backend.destination.open_for(), None);
        consumer.close().await;
        assert_eq!(bus.dead_letters().await, [], "a record paid for its destination");
        assert_eq!(seen.lock().unwrap().len(), 40);

        let calls = backend.calls.lock().unwrap();
        let probes: Vec<&Call> = calls.iter().filter(|it| it.was_open).collect();
        let first: BTreeSet<&str> = probes[..20].iter().map(|it| it.key.as_str()).collect();
        assert_eq!(first.len(), 20, "some records probed twice before others did");
        // The first may meet those that were on their way when the circuit opened.
        assert!(probes[1..].iter().all(|it| it.others == 0), "two probes at a time");
        let least = Duration::from_millis(50);
        let is_early = probes.windows(2).position(|it| it[1].at - it[0].at < least);
        assert_eq!(is_early, None, "a probe before its time");
    }
}

#[tokio::test]
async fn what_has_expired_passes_an_open_circuit() {
    let bus = Bus::with(1, strict()).await;
    let message = |key: &str| bus.message(Some(key), "1");
    let messages = [
        message("waits"),
        expires(message("expired"), SignedDuration::from_secs(-1)),
        expires(message("expires"), SignedDuration::from_secs(2)),
        expires(message("lasts"), SignedDuration::from_hours(1)),
    ];
    bus.publish_all(messages).await;
    let (seen, destination) = (Seen::default(), closed_for_long());
    let consumer = bus.consumer();
    let registry = bus.registry(&seen, |_| Outcome::Done);
    consumer.register(vec![registry.towards(&destination)]).unwrap();
    sees(&seen, 2).await;
    let keys = || seen.lock().unwrap().iter().map(|it| it.0.clone()).collect::<Vec<_>>();
    assert_eq!(keys(), ["expired", "expires"]);
    assert_eq!(destination.open_for().as_deref(), Some("go away"));
    destination.heard(Instant::now(), Heard::Well);
    sees(&seen, 4).await;
    bus.commits(4).await;
    consumer.close().await;
    assert_eq!(keys()[2..], ["waits", "lasts"]);
}

#[tokio::test]
async fn a_record_that_waits_after_a_failure_comes_to_its_end_when_it_expires() {
    let bus = Bus::with(1, strict()).await;
    let soon = SignedDuration::from_secs(2);
    let message = |key: &str, payload: &str| bus.message(Some(key), payload);
    let mut of_sync = expires(message("sync", "1"), soon);
    of_sync.attributes.lane = Lane::Sync;
    let expires_at = of_sync.attributes.expires_at.unwrap();
    let messages = [of_sync, expires(message("behind", "1"), SignedDuration::from_hours(1))];
    bus.publish_all(messages.into_iter().chain([expires(message("behind", "2"), soon)])).await;
    let seen = Seen::default();
    let destination = Destination::new("closes", destination_that_closes());
    let (noted, closing) = (Arc::clone(&seen), destination.clone());
    let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
        let has_expired = delivery.message.attributes.expires_at.unwrap() < Timestamp::now();
        if has_expired {
            noted.lock().unwrap().push(shown(&delivery.message));
        } else {
            closing.heard(Instant::now(), Heard::Refused("go away".to_owned()));
        }
        let after = Duration::from_secs(3_600);
        let waits = Outcome::RetryAfter { after, counted: false, reason: "down".to_owned() };
        async move { if has_expired { Outcome::Done } else { waits } }
    });
    let consumer = bus.consumer();
    consumer.register(vec![registry.towards(&destination)]).unwrap();
    sees(&seen, 1).await;
    let late = Timestamp::now().duration_since(expires_at);
    assert!(late < SignedDuration::from_secs(10), "{late} late");
    assert_eq!(seen.lock().unwrap()[0].0, "sync");
    assert!(destination.open_for().is_some());
    bus.commits(1).await;
    consumer.close().await;
    // What waits behind a record of its key that has not expired keeps waiting.
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_has_expired_passes_a_destination_that_has_no_place_or_no_rate_left() {
    let one_place = DestinationSettings { concurrency_max: 1, ..destination() };
    let no_rate = DestinationSettings { rate_per_second: 0.001, ..destination() };
    for settings in [one_place, no_rate] {
        let bus = Bus::with(1, strict()).await;
        let (seen, gate) = (Seen::default(), Gate::new());
        let destination = Destination::new("full", settings);
        let (noted, closed) = (Arc::clone(&seen), Arc::clone(&gate));
        let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
            let (noted, closed) = (Arc::clone(&noted), Arc::clone(&closed));
            async move {
                let message = shown(&delivery.message);
                if delivery.message.attributes.expires_at.is_none() {
                    closed.pass(&delivery).await;
                }
                noted.lock().unwrap().push(message);
                Outcome::Done
            }
        });
        let mut messages = vec![bus.message(Some("takes the place"), "1")];
        messages.extend((0..5).map(|n| bus.message(Some(&format!("waits-{n}")), "1")));
        let past = SignedDuration::from_secs(-1);
        messages.extend((0..5).map(|n| expires(bus.message(Some(&format!("e-{n}")), "1"), past)));
        bus.publish_all(messages).await;
        let consumer = bus.consumer();
        consumer.register(vec![registry.towards(&destination)]).unwrap();
        sees(&seen, 5).await;
        assert!(seen.lock().unwrap().iter().all(|it| it.0.starts_with("e-")));
        gate.open();
        consumer.close().await;
    }
}

#[tokio::test]
async fn only_what_has_expired_passes_an_open_circuit_however_many_there_are() {
    let mut settings = strict();
    settings.consumer.max_in_flight = 1;
    let bus = Bus::with(1, settings).await;
    let past = SignedDuration::from_secs(-1);
    let of_key = |n| {
        let key = format!("k{n}");
        [expires(bus.message(Some(&key), "expired"), past), bus.message(Some(&key), "waits")]
    };
    bus.publish_all((0..100).flat_map(of_key)).await;
    let (seen, destination) = (Seen::default(), closed_for_long());
    let consumer = bus.consumer();
    let registry = bus.registry(&seen, |_| Outcome::Done);
    consumer.register(vec![registry.towards(&destination)]).unwrap();
    sees(&seen, 100).await;
    bus.commits(1).await;
    let passed = seen.lock().unwrap().iter().filter(|it| it.1 == "waits").count();
    assert_eq!(passed, 0, "they were sent in spite of the open circuit");
    destination.heard(Instant::now(), Heard::Well);
    bus.commits(200).await;
    consumer.close().await;
    assert_eq!(seen.lock().unwrap().len(), 200);
}

#[tokio::test]
async fn what_has_expired_takes_nothing_of_its_key_with_it_through_an_open_circuit() {
    let bus = Bus::with(1, strict()).await;
    let past = SignedDuration::from_secs(-1);
    let message = |payload: &str| bus.message(Some("k"), payload);
    let messages =
        [expires(message("1"), past), expires(message("2"), past), message("3"), message("4")];
    bus.publish_all(messages).await;
    let (seen, destination) = (Seen::default(), closed_for_long());
    let noted = Arc::clone(&seen);
    let registry = EventBusRegistry::batch(&bus.topic, Batch::OfOneKey(10), move |deliveries| {
        noted.lock().unwrap().extend(deliveries.iter().map(|it| shown(&it.message)));
        async move { vec![Outcome::Done; deliveries.len()] }
    });
    let consumer = bus.consumer();
    consumer.register(vec![registry.towards(&destination)]).unwrap();
    sees(&seen, 2).await;
    let payloads = || seen.lock().unwrap().iter().map(|it| it.1.clone()).collect::<Vec<_>>();
    assert_eq!(payloads(), ["1", "2"]);
    destination.heard(Instant::now(), Heard::Well);
    bus.commits(4).await;
    consumer.close().await;
    assert_eq!(payloads(), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn the_concurrency_halves_under_pressure_and_grows_again() {
    let mut settings = strict();
    settings.consumer.max_in_flight = 100;
    let bus = Bus::with(1, settings).await;
    bus.publish_all((0..400).map(|n| bus.message(Some(&format!("k{n}")), "1"))).await;
    // Pressure counts as a failure: it does not open the circuit here.
    let patient = DestinationSettings { open_after_failures: 1_000, ..destination() };
    let destination = Destination::new("pressed", patient);
    let (gate, answer) = (Gate::new(), Arc::new(Mutex::new(None)));
    let (inner, told, heard) = (Arc::clone(&gate), Arc::clone(&answer), destination.clone());
    let registry = EventBusRegistry::new(&bus.topic, move |delivery| {
        let (gate, told, heard) = (Arc::clone(&inner), Arc::clone(&told), heard.clone());
        async move {
            let began = Instant::now();
            gate.pass(&delivery).await;
            let answer: Option<Heard> = told.lock().unwrap().clone();
            answer.map(|it| heard.heard(began, it));
            Outcome::Done
        }
    });
    let consumer = bus.consumer();
    consumer.register(vec![registry.towards(&destination)]).unwrap();
    let inside = async |calls: usize| {
        let look = async || (gate.inside() == calls).then_some(());
        eventually(&format!("{calls} calls on their way"), LIMIT, look).await;
    };
    let says = |it: Option<Heard>| *answer.lock().unwrap() = it;
    inside(16).await;
    // Twice, of calls that were under way together: it is told once.
    says(Some(Heard::Pressed("slower".to_owned())));
    gate.let_through(2);
    inside(14).await;
    assert_eq!(destination.concurrency(), 8);
    // Only what begins later says something new; it says nothing for now.
    says(None);
    gate.let_through(14);
    gate.begins(24).await;
    inside(8).await;
    says(Some(Heard::Pressed("slower".to_owned())));
    gate.let_through(1);
    let halved = async || (destination.concurrency() == 4).then_some(());
    eventually("half of it again", LIMIT, halved).await;
    // Those that are on their way began before that; one that follows brings it down to what is always allowed.
    gate.let_through(30);
    let least = async || (destination.concurrency() == 2).then_some(());
    eventually("what is always allowed", LIMIT, least).await;
    inside(2).await;
    says(Some(Heard::Well));
    gate.let_through(250);
    let all = async || (destination.concurrency() == 16).then_some(());
    eventually("all of it again", LIMIT, all).await;
    inside(16).await;
    gate.open();
    bus.commits(400).await;
    consumer.close().await;
}

#[tokio::test]
async fn no_more_records_set_out_in_a_second_than_the_rate_allows() {
    let bus = Bus::with(1, strict()).await;
    bus.publish_all((0..60).map(|n| bus.message(Some(&format!("k{n}")), "1"))).await;
    let limited = DestinationSettings { rate_per_second: 50.0, ..destination() };
    let made = Instant::now();
    let (seen, backend) = (Seen::default(), Backend::new(limited, Heard::Well));
    let consumer = bus.consumer();
    consumer.register(vec![backend.registry(&bus, &seen)]).unwrap();
    sees(&seen, 60).await;
    consumer.close().await;
    let calls = backend.calls.lock().unwrap();
    // A tenth of a second's rate may leave at once.
    let early = calls.iter().enumerate().find(|(n, call)| {
        let due = Duration::from_secs_f64((*n as f64 - 4.0).max(0.0) / 50.0);
        call.at - made < due
    });
    assert!(early.is_none(), "record {} set out too early", early.unwrap().0);
}

#[tokio::test]
async fn consumers_that_share_a_destination_share_its_concurrency() {
    let shared = DestinationSettings { concurrency_max: 4, ..destination() };
    let (seen, backend) = (Seen::default(), Backend::new(shared, Heard::Well));
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let bus = Bus::with(1, strict()).await;
        bus.publish_all((0..200).map(|n| bus.message(Some(&format!("k{n}")), "1"))).await;
        let consumer = bus.consumer();
        consumer.register(vec![backend.registry(&bus, &seen)]).unwrap();
        consumers.push((bus, consumer));
    }
    sees(&seen, 400).await;
    for (bus, consumer) in consumers {
        bus.commits(200).await;
        consumer.close().await;
    }
    assert_eq!(seen.lock().unwrap().len(), 400);
    assert_eq!(backend.most_at_a_time(), 4);
}
