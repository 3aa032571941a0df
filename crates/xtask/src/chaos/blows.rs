//! Who is killed, when, and for how long: worked out from a seed.

use std::time::Duration;

use fastrand::Rng;
use testkit::fleet::Service;

/// Later ones might find the job ended.
const LAST: f64 = 0.85;
const PAUSE_MS_MAX: u64 = 2_000;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An instance of a service.
    Service(Service),
    /// mongod.
    Store,
    /// The broker.
    Bus,
}

impl Target {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Service(service) => service.name(),
            Self::Store => "mongod",
            Self::Bus => "broker",
        }
    }
}

/// How far the sync is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Point {
    /// This share of the agent packages is in the backend; no device is yet.
    Packages(f64),
    /// This share of the devices is.
    Devices(f64),
}

/// A kill, and a new start after a pause.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Blow {
    pub(super) at: Point,
    pub(super) target: Target,
    pub(super) instance: usize,
    pub(super) pause: Duration,
}

/// Each service twice, mongod and the broker once, in the order of their points. What works only in the
/// beginning is hit there once.
pub(super) fn plan(seed: u64) -> Vec<Blow> {
    let mut rng = Rng::with_seed(seed);
    let [rsclient, rsagents, rsadaptor, rssync] =
        [Service::RsClient, Service::RsAgents, Service::RsAdaptor, Service::RsSync]
            .map(Target::Service);
    let mut early = [rsagents, rssync];
    let mut later =
        [rsclient, rsclient, rsagents, rsadaptor, rsadaptor, rssync, Target::Store, Target::Bus];
    rng.shuffle(&mut early);
    rng.shuffle(&mut later);
    let mut shares = |count: usize| {
        let mut all: Vec<f64> = (0..count).map(|_| rng.f64() * LAST).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let first = shares(early.len()).into_iter().map(Point::Packages).zip(early);
    let second = shares(later.len()).into_iter().map(Point::Devices).zip(later);
    let all: Vec<_> = first.chain(second).collect();
    let blow = |(at, target)| {
        let instance = if target == rssync { 0 } else { rng.usize(..2) };
        let pause = Duration::from_millis(rng.u64(..PAUSE_MS_MAX));
        Blow { at, target, instance, pause }
    };
    all.into_iter().map(blow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_of_a_sync_is_killed_twice_and_each_server_once() {
        for seed in 0..100 {
            let plan = plan(seed);
            let of = |name: &str| plan.iter().filter(|it| it.target.name() == name).count();
            for service in Service::READERS.into_iter().filter(|it| *it != Service::RsEvents) {
                assert_eq!(of(service.name()), 2, "seed {seed}");
            }
            assert_eq!((of("mongod"), of("broker"), plan.len()), (1, 1, 10));
            assert!(plan.iter().all(|it| it.target.name() != "rssync" || it.instance == 0));
        }
    }

    #[test]
    fn a_seed_always_chooses_the_same() {
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }
}
