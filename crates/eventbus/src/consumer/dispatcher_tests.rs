//! Random histories of a consumer: whatever happens in whatever order, no record is lost, none is committed before
//! its effect, every key keeps its order, and every record ends.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rdkafka::Offset;

use super::*;
use crate::{Destination, DestinationSettings, EventBusRegistry, Heard};

const PARTITIONS: usize = 2;
const FAILURES_MAX: u32 = 3;

#[derive(Clone, Debug)]
struct Rec {
    partition: usize,
    offset: i64,
    key: Option<Vec<u8>>,
    failures: u32,
}

impl Keyed for Rec {
    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// The broker gets a record.
    Produce {
        partition: usize,
        key: u8,
        is_sync: bool,
        expires: bool,
    },
    /// Records are taken from the broker.
    Deliver {
        partition: usize,
        most: usize,
    },
    /// Calls begin.
    Begin,
    /// The oldest but `nth` call ends well.
    Succeed(usize),
    /// Its first record fails, by its own fault.
    FailByRecord(usize),
    /// Its first record fails, by the destination's.
    FailByDestination(usize),
    /// It is broken off.
    Drop(usize),
    /// Time goes by.
    Wait,
    Commit,
    Crash,
    Revoke {
        partition: usize,
        drained: bool,
    },
    Reassign {
        partition: usize,
    },
    /// Nobody handles the topic for a while.
    Unregister,
    Register,
}

fn step() -> impl Strategy<Value = Step> {
    let partition = || 0..PARTITIONS;
    prop_oneof![
        12 => (partition(), 0..5u8, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
            |(partition, key, is_sync, expires)| Step::Produce { partition, key, is_sync, expires }
        ),
        8 => (partition(), 1..6usize).prop_map(|(partition, most)| Step::Deliver { partition, most }),
        10 => Just(Step::Begin),
        10 => (0..4usize).prop_map(Step::Succeed),
        3 => (0..4usize).prop_map(Step::FailByRecord),
        3 => (0..4usize).prop_map(Step::FailByDestination),
        1 => (0..4usize).prop_map(Step::Drop),
        4 => Just(Step::Wait),
        4 => Just(Step::Commit),
        1 => Just(Step::Crash),
        1 => (partition(), any::<bool>())
            .prop_map(|(partition, drained)| Step::Revoke { partition, drained }),
        2 => partition().prop_map(|partition| Step::Reassign { partition }),
        1 => Just(Step::Unregister),
        2 => Just(Step::Register),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    One,
    OfKeys,
    OfOneKey,
    Ready,
}

/// What the broker has of a partition.
#[derive(Clone, Debug, Default)]
struct Log {
    records: Vec<(Rec, Lane, bool)>,
    committed: i64,
}

/// A partition that is assigned, and what is fetched next.
#[derive(Clone, Copy, Debug)]
struct Ours {
    epoch: Epoch,
    next: i64,
}

struct World {
    logs: Vec<Log>,
    ours: Vec<Option<Ours>>,
    dispatcher: Dispatcher<Rec>,
    registered: Arc<Registered>,
    destination: Destination,
    calls: Vec<Call<Rec>>,
    /// Calls of a process that has crashed, or of a partition that was taken away.
    effects: BTreeSet<(usize, i64)>,
    waited: Duration,
}

const LIMITS: Limits =
    Limits { in_flight_max: 4, ahead_max: 5, window_max: 12, bytes_max: 1_000, sync_every: 3 };

impl World {
    fn new(kind: Kind) -> Self {
        let settings = DestinationSettings {
            concurrency_max: 3,
            concurrency_min: 1,
            live_share: 0.5,
            rate_per_second: 0.0,
            open_after_failures: 2,
            probe_interval_seconds: 0.001,
        };
        let destination = Destination::new("test", settings);
        let registry = match kind {
            Kind::One => EventBusRegistry::new("t", async |_| crate::Outcome::Done),
            Kind::OfKeys => EventBusRegistry::batch("t", Batch::OfKeys(3), async |_| Vec::new()),
            Kind::OfOneKey => {
                EventBusRegistry::batch("t", Batch::OfOneKey(3), async |_| Vec::new())
            }
            Kind::Ready => EventBusRegistry::batch("t", Batch::Ready(4), async |_| Vec::new()),
        };
        let registered = Arc::new(Registered::new(registry.towards(&destination), "g"));
        let mut world = Self {
            logs: vec![Log::default(); PARTITIONS],
            ours: vec![None; PARTITIONS],
            dispatcher: Dispatcher::new(LIMITS),
            registered,
            destination,
            calls: Vec::new(),
            effects: BTreeSet::new(),
            waited: Duration::ZERO,
        };
        world.register();
        world
    }

    fn now(&self) -> Instant {
        Instant::now() + self.waited
    }

    fn register(&mut self) {
        let now = self.now();
        self.dispatcher.register([Arc::clone(&self.registered)], now);
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Produce { partition, key, is_sync, expires } => {
                let log = &mut self.logs[partition];
                // One of the keys is none.
                let key = (key > 0).then(|| vec![key]);
                let offset = log.records.len() as i64;
                let lane = if is_sync { Lane::Sync } else { Lane::Live };
                log.records.push((Rec { partition, offset, key, failures: 0 }, lane, expires));
            }
            Step::Deliver { partition, most } => self.deliver(partition, most),
            Step::Begin => self.begin(),
            Step::Succeed(nth) => self.end(nth, |it| {
                it.destination.heard(Instant::now(), Heard::Well);
                Ended::Done
            }),
            Step::FailByRecord(nth) => self.fail_by_record(nth),
            Step::FailByDestination(nth) => self.end(nth, |it| {
                it.destination.heard(Instant::now(), Heard::Trouble("down".to_owned()));
                Ended::Retry { after: Duration::from_millis(5) }
            }),
            Step::Drop(nth) => self.end(nth, |_| Ended::Untouched),
            Step::Wait => {
                self.waited += Duration::from_millis(4);
                self.dispatcher.wake_due(self.now());
            }
            Step::Commit => self.commit(),
            Step::Crash => {
                self.dispatcher = Dispatcher::new(LIMITS);
                self.register();
                self.ours = vec![None; PARTITIONS];
                self.calls.clear();
            }
            Step::Revoke { partition, drained } => self.revoke(partition, drained),
            Step::Reassign { partition } => self.assign(partition),
            Step::Unregister => drop(self.dispatcher.register([], self.now())),
            Step::Register => self.register(),
        }
        assert!(self.dispatcher.in_flight() <= LIMITS.in_flight_max);
        for (_, it) in self.dispatcher.partitions() {
            // The first open record of a partition may always begin.
            assert!(it.records.ahead() <= LIMITS.ahead_max + 1, "{} ahead", it.records.ahead());
        }
    }

    fn deliver(&mut self, partition: usize, most: usize) {
        let Some(mut ours) = self.ours[partition] else { return };
        let now = self.now();
        for _ in 0..most.min(self.dispatcher.room(ours.epoch)) {
            let Some((record, lane, expires)) =
                self.logs[partition].records.get(ours.next as usize)
            else {
                break;
            };
            let expires_at = expires.then(|| now + Duration::from_millis(6));
            let (lane, record) = (*lane, record.clone());
            let entry = Entry { lane, expires_at, bytes: 10, alone: false, record };
            self.dispatcher.take(ours.epoch, ours.next, entry, now);
            ours.next += 1;
        }
        self.ours[partition] = Some(ours);
    }

    fn begin(&mut self) {
        while let Some(call) = self.dispatcher.next(self.now()) {
            let mut before = Vec::new();
            for (place, entry) in call.places.iter().zip(&call.entries) {
                let record = &entry.record;
                let same_key = |it: &Place| (it.epoch, it.key) == (place.epoch, place.key);
                let runs = self.calls.iter().flat_map(|it| &it.places).any(same_key);
                assert!(!runs, "two of one key run");
                let log = &self.logs[record.partition].records[..record.offset as usize];
                for (earlier, ..) in log.iter().filter(|(it, ..)| it.key == record.key) {
                    let at = (earlier.partition, earlier.offset);
                    let is_over = self.effects.contains(&at) || before.contains(&at);
                    assert!(is_over, "{record:?} begins before {earlier:?} is over");
                }
                before.push((record.partition, record.offset));
            }
            self.calls.push(call);
        }
    }

    /// Ends a call: its first record as `how` says, the others as they have to.
    fn end(&mut self, nth: usize, how: impl Fn(&Self) -> Ended) {
        if nth >= self.calls.len() {
            return;
        }
        let mut call = self.calls.remove(nth);
        let first = how(self);
        let mut ended = vec![Ended::Done; call.places.len()];
        ended[0] = first;
        let key = |at: usize| (call.places[at].epoch, call.places[at].key);
        let behind = (1..ended.len()).take_while(|at| key(*at) == key(0)).count();
        if first != Ended::Done {
            ended[1..=behind].fill(Ended::Untouched);
        }
        for (entry, ended) in call.entries.iter_mut().zip(&ended) {
            match ended {
                Ended::Done => {
                    self.effects.insert((entry.record.partition, entry.record.offset));
                }
                Ended::Retry { .. } => {
                    entry.record.failures += 1;
                    entry.alone = entry.record.failures > 1;
                }
                Ended::Untouched => (),
            }
        }
        let now = self.now();
        self.dispatcher.complete(call, &ended, now);
    }

    /// A record that has failed too often is set aside, which ends it.
    fn fail_by_record(&mut self, nth: usize) {
        let failures = self.calls.get(nth).map_or(0, |it| it.entries[0].record.failures);
        self.end(nth, |it| {
            it.destination.heard(Instant::now(), Heard::Well);
            match failures >= FAILURES_MAX {
                true => Ended::Done,
                false => Ended::Retry { after: Duration::from_millis(3) },
            }
        });
    }

    fn commit(&mut self) {
        let offsets = self.dispatcher.uncommitted(false);
        self.note_commit(&offsets);
        self.dispatcher.mark_committed(&offsets);
    }

    fn note_commit(&mut self, offsets: &TopicPartitionList) {
        for it in offsets.elements() {
            let Offset::Offset(position) = it.offset() else { panic!("an offset is a number") };
            let partition = it.partition() as usize;
            let log = &mut self.logs[partition];
            assert!(position >= log.committed, "a commit goes back");
            log.committed = position;
            let open = (0..position).find(|it| !self.effects.contains(&(partition, *it)));
            assert_eq!(open, None, "committed before its effect");
        }
    }

    fn revoke(&mut self, partition: usize, drained: bool) {
        let Some(ours) = self.ours[partition].take() else { return };
        self.dispatcher.drain(&[ours.epoch]);
        let is_of = |call: &Call<Rec>| call.places.iter().any(|it| it.epoch == ours.epoch);
        while drained && let Some(nth) = self.calls.iter().position(is_of) {
            self.end(nth, |_| Ended::Done);
        }
        assert!(!drained || self.dispatcher.is_idle(&[ours.epoch]));
        let positions = self.dispatcher.positions(&[ours.epoch]);
        self.note_commit(&positions);
        self.dispatcher.remove(ours.epoch);
        // What was broken off ends late; its result is dropped, and so is its effect's order.
        while let Some(nth) = self.calls.iter().position(is_of) {
            self.end(nth, |_| Ended::Untouched);
        }
    }

    fn assign(&mut self, partition: usize) {
        if self.ours[partition].is_none() {
            let now = self.now();
            let epoch = self.dispatcher.add(Arc::from("t"), partition as i32, now);
            let next = self.logs[partition].committed;
            self.ours[partition] = Some(Ours { epoch, next });
        }
    }

    /// From now on everything works: everything must come to its end.
    fn finish(&mut self) {
        self.register();
        for _ in 0..10_000 {
            for partition in 0..PARTITIONS {
                self.assign(partition);
                self.deliver(partition, usize::MAX);
            }
            self.begin();
            while !self.calls.is_empty() {
                self.run(Step::Succeed(0));
            }
            self.commit();
            let is_over = |it: &Log| it.committed == it.records.len() as i64;
            if self.logs.iter().all(is_over) {
                return;
            }
            self.run(Step::Wait);
        }
        let open: Vec<_> = self.logs.iter().map(|it| (it.committed, it.records.len())).collect();
        panic!("it stands still at {open:?}");
    }
}

fn history(kind: Kind, steps: Vec<Step>) {
    let mut world = World::new(kind);
    (0..PARTITIONS).for_each(|it| world.assign(it));
    steps.into_iter().for_each(|it| world.run(it));
    world.finish();
    // Whoever is taken out of the line without being ready is left there until somebody looks.
    world.begin();
    assert_eq!(world.dispatcher.lined_up(), 0, "somebody is left in line");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_record_ends_once_and_in_the_order_of_its_key(
        kind in prop_oneof![Just(Kind::One), Just(Kind::OfKeys), Just(Kind::OfOneKey),
            Just(Kind::Ready)],
        steps in prop::collection::vec(step(), 1..300),
    ) {
        history(kind, steps);
    }
}

fn world_of(records: &[(u8, Lane)]) -> World {
    let mut world = World::new(Kind::One);
    world.assign(0);
    for (key, lane) in records {
        let is_sync = *lane == Lane::Sync;
        world.run(Step::Produce { partition: 0, key: *key, is_sync, expires: false });
    }
    world.deliver(0, usize::MAX);
    world
}

fn started(world: &World) -> Vec<i64> {
    world.calls.iter().flat_map(|it| &it.entries).map(|it| it.record.offset).collect()
}

#[test]
fn a_live_record_goes_before_sync_ones_of_other_keys() {
    let mut world = world_of(&[(1, Lane::Sync), (2, Lane::Sync), (3, Lane::Sync), (4, Lane::Live)]);
    let call = world.dispatcher.next(world.now()).unwrap();
    assert_eq!(call.entries[0].record.offset, 3);
    world.calls.push(call);
    world.begin();
    assert_eq!(started(&world), [3, 0, 1]);
}

#[test]
fn a_live_record_stays_behind_a_sync_one_of_its_key() {
    let mut world = world_of(&[(1, Lane::Sync), (1, Lane::Live), (2, Lane::Sync)]);
    world.begin();
    assert_eq!(started(&world), [0, 2]);
}

#[test]
fn a_sync_record_with_a_live_one_behind_it_goes_before_other_sync_ones() {
    let mut world = world_of(&[(1, Lane::Sync), (2, Lane::Sync), (3, Lane::Sync), (3, Lane::Live)]);
    for offset in [2, 3] {
        let call = world.dispatcher.next(world.now()).unwrap();
        assert_eq!(call.entries[0].record.offset, offset);
        world.calls.push(call);
        world.end(0, |_| Ended::Done);
    }
    world.begin();
    assert_eq!(started(&world), [0, 1]);
    world.finish();
}

#[test]
fn the_first_open_record_may_begin_however_many_are_ahead() {
    let mut world = World::new(Kind::One);
    world.assign(0);
    (1..=12).for_each(|key| {
        world.run(Step::Produce { partition: 0, key, is_sync: false, expires: false });
    });
    world.deliver(0, usize::MAX);
    world.begin();
    // The first one fails again and again; the others end until the bound is reached.
    for _ in 0..40 {
        let first = started(&world).iter().position(|it| *it == 0);
        if let Some(nth) = first {
            world.end(nth, |_| Ended::Retry { after: Duration::from_millis(1) });
        }
        world.run(Step::Succeed(0));
        world.run(Step::Wait);
        world.begin();
    }
    assert_eq!(world.dispatcher.partitions().next().unwrap().1.records.ahead(), LIMITS.ahead_max);
    world.finish();
}

#[test]
fn what_has_expired_passes_an_open_circuit() {
    let mut world = World::new(Kind::One);
    world.assign(0);
    world.run(Step::Produce { partition: 0, key: 1, is_sync: true, expires: true });
    world.run(Step::Produce { partition: 0, key: 2, is_sync: true, expires: false });
    world.destination.heard(Instant::now(), Heard::Refused("who are you?".to_owned()));
    world.deliver(0, usize::MAX);
    world.waited += Duration::from_micros(10);
    let now = Instant::now();
    assert!(world.dispatcher.next(now).is_none());
    let later = now + Duration::from_secs(1);
    world.dispatcher.wake_due(later);
    let call = world.dispatcher.next(later).unwrap();
    assert_eq!(call.entries[0].record.offset, 0);
    assert!(call.pass.is_none(), "it was admitted as a probe");
}

#[test]
fn what_waits_after_a_failure_is_due_when_it_expires() {
    let mut world = World::new(Kind::One);
    world.assign(0);
    world.run(Step::Produce { partition: 0, key: 1, is_sync: true, expires: true });
    world.deliver(0, usize::MAX);
    world.begin();
    let call = world.calls.remove(0);
    world.destination.heard(Instant::now(), Heard::Refused("who are you?".to_owned()));
    let expires_at = call.entries[0].expires_at.unwrap();
    let now = expires_at - Duration::from_millis(3);
    let after = Duration::from_secs(3_600);
    let aftermath = world.dispatcher.complete(call, &[Ended::Retry { after }], now);
    assert!(aftermath.due.is_some_and(|it| it <= expires_at), "{:?}", aftermath.due);
    world.dispatcher.wake_due(expires_at);
    let call = world.dispatcher.next(expires_at).unwrap();
    assert!(call.pass.is_none(), "it was admitted as a probe");
    // One that has expired and fails nevertheless waits as it asks to.
    let aftermath = world.dispatcher.complete(call, &[Ended::Retry { after }], expires_at);
    assert_eq!(aftermath.due, Some(expires_at + after));
}
