//! What a history is made of: everything about it follows from its seed.

use async_task::{Budget, Limits};
use fastrand::Rng;

/// One second of virtual time.
pub(super) const SECOND: i64 = 1_000;

/// What a history is made of.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// How many entities there are, those included that appear later.
    pub(super) entities: u32,
    /// Where the first step of a job ends and the second begins.
    pub(super) border: u32,
    pub(super) limits: Limits,
    /// Most open records of one job.
    pub(super) window: u64,
    pub(super) rate_per_s: Option<u32>,
    /// Jobs, by when they begin.
    pub(super) jobs: Vec<i64>,
    /// Walks over everything that are asked for, by when.
    pub(super) walks: Vec<i64>,
    /// What is ordered of jobs.
    pub(super) orders: Vec<(i64, usize, Ordered)>,
    /// When entities appear, vanish or change.
    pub(super) changes: Vec<(i64, u32, Change)>,
    /// Stretches of time in which the backend takes nothing.
    pub(super) outages: Vec<(i64, i64)>,
    pub(super) faults: Faults,
    /// How many records the backend takes at a time.
    pub(super) chunk: usize,
    /// Shares of entities of a kind.
    pub(super) bad: f64,
    pub(super) unsendable: f64,
    pub(super) set_back: f64,
    /// Whether what was rejected is sent once more at the end.
    pub(super) redrive: bool,
    /// When everything must be over.
    pub(super) over_at: i64,
    /// Every so many writes the document's size is looked at.
    pub(super) weigh_every: u64,
}

/// What is ordered of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ordered {
    Cancel,
    Pause,
    Resume,
}

/// What happens to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Appears,
    Vanishes,
    Changes,
}

/// How often what goes wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// A process dies, at a call.
    pub(super) crash: f64,
    /// A call fails, before or behind its effect.
    pub(super) error: f64,
    /// A call takes time, and others act meanwhile.
    pub(super) wait: f64,
    /// A call takes so long that others think that the process has died.
    pub(super) stall: f64,
    /// A message comes again.
    pub(super) repeat: f64,
    /// A message takes long.
    pub(super) delay: f64,
    /// A record takes long at the backend.
    pub(super) slow: f64,
    /// How far the clocks of processes differ.
    pub(super) skew: i64,
}

impl Plan {
    /// A small history, full of surprises.
    pub(super) fn small(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let entities = rng.u32(0..=60);
        let mut plan = Self {
            seed,
            entities,
            border: rng.u32(0..=entities),
            limits: limits(rng),
            window: rng.u64(1..=40),
            rate_per_s: rng.bool().then(|| rng.u32(1..=20)),
            jobs: (0..rng.usize(1..=3)).map(|_| rng.i64(0..20 * SECOND)).collect(),
            walks: Vec::new(),
            orders: Vec::new(),
            changes: Vec::new(),
            outages: Vec::new(),
            faults: faults(rng),
            chunk: rng.usize(1..=4),
            bad: some(rng, 0.3),
            unsendable: some(rng, 0.1),
            set_back: some(rng, 0.2),
            redrive: chance(rng, 0.3),
            over_at: 4 * 3_600 * SECOND,
            weigh_every: 40,
        };
        if chance(rng, 0.3) {
            plan.walks = (0..rng.usize(1..=3)).map(|_| rng.i64(0..60 * SECOND)).collect();
        }
        if chance(rng, 0.4) {
            plan.outages = (0..rng.usize(1..=2)).map(|_| stretch(rng)).collect();
        }
        if chance(rng, 0.4) {
            let kinds = [Change::Appears, Change::Vanishes, Change::Changes];
            let change = |rng: &mut Rng| {
                (rng.i64(0..60 * SECOND), rng.u32(0..60), *rng.choice(&kinds).unwrap())
            };
            plan.changes = (0..rng.usize(1..=12)).map(|_| change(rng)).collect();
            plan.changes.retain(|it| it.1 < entities);
        }
        if chance(rng, 0.5) {
            let kinds = [Ordered::Cancel, Ordered::Pause, Ordered::Resume, Ordered::Pause];
            let count = rng.usize(1..=3);
            let jobs = plan.jobs.len();
            let order = |rng: &mut Rng| {
                (rng.i64(0..90 * SECOND), rng.usize(0..jobs), *rng.choice(&kinds).unwrap())
            };
            plan.orders = (0..count).map(|_| order(rng)).collect();
        }
        plan
    }

    /// The same with more of everything.
    pub(super) fn medium(seed: u64) -> Self {
        let mut plan = Self::small(seed);
        let mut rng = Rng::with_seed(!seed);
        plan.entities = rng.u32(500..=5_000);
        plan.border = rng.u32(0..=plan.entities);
        plan.window = rng.u64(20..=800);
        plan.rate_per_s = None;
        plan.limits.window_total = rng.u64(20..=800);
        plan.limits.children_max = rng.usize(2..=64);
        plan.limits.bulk_requests = rng.u64(5..=100);
        plan.chunk = rng.usize(1..=50);
        plan
    }

    /// A full sync of so many entities, with crashes and an outage.
    pub(super) fn large(seed: u64, entities: u32) -> Self {
        Self {
            seed,
            entities,
            border: entities / 50,
            limits: Limits { budget: PATIENT, ..Limits::default() },
            window: 4_000,
            rate_per_s: None,
            jobs: vec![0],
            walks: Vec::new(),
            orders: Vec::new(),
            changes: Vec::new(),
            outages: vec![(20 * SECOND, 95 * SECOND)],
            faults: Faults {
                crash: 0.000_5,
                error: 0.001,
                wait: 0.05,
                stall: 0.000_1,
                repeat: 0.02,
                delay: 0.01,
                slow: 0.001,
                skew: 100,
            },
            chunk: 60,
            bad: 0.001,
            unsendable: 0.001,
            set_back: 0.001,
            redrive: true,
            over_at: 12 * 3_600 * SECOND,
            weigh_every: 500,
        }
    }

    /// Whether a job may end by its deadline.
    pub(super) fn is_short_lived(&self) -> bool {
        self.limits.job_seconds < 3_600 || self.limits.bulk_seconds < 3_600
    }

    /// How many entities appear: a bulk may find one more than its parent counted.
    pub(super) fn appearing(&self) -> u64 {
        self.changes.iter().filter(|it| it.2 == Change::Appears).count() as u64
    }

    /// When the last order of a person is given.
    pub(super) fn last_order_at(&self) -> i64 {
        self.orders.iter().map(|it| it.0).max().unwrap_or_default()
    }

    /// When the backend takes records again; now where it does.
    pub(super) fn works_at(&self, now: i64) -> i64 {
        let of = |at: i64| {
            self.outages.iter().filter(move |it| (it.0..it.1).contains(&at)).map(|it| it.1)
        };
        let mut at = now;
        while let Some(end) = of(at).max() {
            at = end;
        }
        at
    }
}

/// A budget that nothing exceeds.
const PATIENT: Budget =
    Budget { count: u64::MAX, share: 1.0, share_after: u64::MAX, run: u64::MAX };

fn limits(rng: &mut Rng) -> Limits {
    let mut limits = Limits {
        window_total: rng.u64(1..=30),
        children_max: rng.usize(1..=6),
        bulk_requests: rng.u64(1..=10),
        record_seconds: rng.u64(5..=30),
        ask_again_seconds: rng.u64(2..=10),
        tell_every_ms: rng.u64(0..=1_500),
        budget: PATIENT,
        ..Limits::default()
    };
    limits.cancel_seconds = limits.record_seconds * 2 + rng.u64(60..200);
    if chance(rng, 0.15) {
        limits.budget = Budget {
            count: rng.u64(0..10),
            share: rng.f64(),
            share_after: rng.u64(1..20),
            run: rng.u64(1..10),
        };
    }
    if chance(rng, 0.1) {
        limits.job_seconds = rng.u64(5..200);
    }
    if chance(rng, 0.1) {
        limits.bulk_seconds = rng.u64(20..200);
    }
    limits
}

fn faults(rng: &mut Rng) -> Faults {
    if chance(rng, 0.1) {
        return Faults::default();
    }
    let mut one_of = |all: &[f64]| *rng.choice(all).unwrap();
    let mut faults = Faults {
        crash: one_of(&[0.0, 0.001, 0.004, 0.012]),
        error: one_of(&[0.0, 0.002, 0.01]),
        wait: one_of(&[0.0, 0.05, 0.2, 0.5]),
        stall: one_of(&[0.0, 0.0, 0.002, 0.01]),
        repeat: one_of(&[0.0, 0.02, 0.2]),
        delay: one_of(&[0.0, 0.02, 0.2]),
        slow: one_of(&[0.0, 0.02, 0.2]),
        skew: 0,
    };
    faults.skew = rng.i64(0..300);
    faults
}

fn stretch(rng: &mut Rng) -> (i64, i64) {
    let from = rng.i64(0..60 * SECOND);
    (from, from + rng.i64(5 * SECOND..300 * SECOND))
}

fn some(rng: &mut Rng, most: f64) -> f64 {
    if rng.bool() { 0.0 } else { rng.f64() * most }
}

/// Whether what happens with this probability happens.
pub(super) fn chance(rng: &mut Rng, probability: f64) -> bool {
    probability > 0.0 && rng.f64() < probability
}
