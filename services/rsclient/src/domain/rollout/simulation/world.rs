//! The world of a simulated rollout: packages, routers that are told and report, walks.

use std::{collections::BTreeMap, time::Duration};

use async_task::At;
use events::{
    AgentPackageId, DeviceId, DeviceKind, DeviceType, InstallationStatus, IspId, JobId,
    ListedPackage, Text,
};
use fastrand::Rng;

use super::super::{Counts, Look, Plan, Rollout, RolloutState, Walked};
use crate::domain::{
    Agents, Association, DeviceState, Group, Led, ListedAgents, Moved, Package, Share, Software,
    Target, place,
};

/// How many routers there are.
const ROUTERS: usize = 60;

/// How kind the world is: chances from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Luck {
    /// That a router cannot install a package.
    pub(super) fails: f64,
    /// That a report is lost.
    pub(super) lost: f64,
    /// That it comes twice.
    pub(super) doubled: f64,
    /// That it comes after hours.
    pub(super) late: f64,
    /// Whether processes die.
    pub(super) dies: bool,
}

impl Luck {
    pub(super) const GOOD: Self =
        Self { fails: 0.0, lost: 0.0, doubled: 0.1, late: 0.0, dies: false };
}

/// A router.
#[derive(Clone, Debug)]
pub(super) struct Router {
    id: DeviceId,
    place: u16,
    /// What it was last told to run.
    pub(super) told: Option<AgentPackageId>,
    /// What it has reported last: when, of what, how it went.
    reported: Option<(At, AgentPackageId, InstallationStatus)>,
    /// Whether it will ever be able to install the new package.
    is_able: bool,
}

/// A report on its way.
struct Report {
    due: At,
    router: usize,
    said: (At, AgentPackageId, InstallationStatus),
}

pub(super) struct World {
    pub(super) random: Rng,
    pub(super) now: At,
    pub(super) rollout: Rollout,
    pub(super) packages: [Package; 2],
    pub(super) routers: Vec<Router>,
    /// The most routers that were told to run the new package at a time.
    pub(super) most_told: usize,
    luck: Luck,
    agents: Agents,
    state: DeviceState,
    /// How many routers each walk has told.
    walks: BTreeMap<JobId, usize>,
    reports: Vec<Report>,
}

impl World {
    pub(super) fn new(seed: u64, luck: Luck) -> Self {
        let mut random = Rng::with_seed(seed);
        let group = Group { model: text("hg-1"), target_version: None };
        let groups = vec![group.clone()];
        let revision = 7.try_into().unwrap();
        let association = Association { revision, groups, ..Association::default() };
        let (from, to) = (package("a", Some(association)), package("b", None));
        let rollout = rollout(group, (&from, &to));
        let router = |n: usize| {
            let id: DeviceId = format!("r-{n}").parse().unwrap();
            let place = place(&rollout.id, &id);
            let (told, is_able) = (Some(from.id.clone()), random.f64() >= luck.fails);
            Router { id, place, told, reported: None, is_able }
        };
        let routers = (0..ROUTERS).map(router).collect();
        Self {
            now: rollout.started_at,
            agents: agents(&rollout.isp_id, &[&from.id, &to.id]),
            packages: [from, to],
            state: router_state(),
            walks: BTreeMap::new(),
            reports: Vec::new(),
            most_told: 0,
            random,
            rollout,
            routers,
            luck,
        }
    }

    fn targets(&self) -> Vec<Target<'_>> {
        let software = Software { agents: Some(&self.agents), associated: &self.packages };
        self.routers.iter().map(|it| Target::of(&it.id, &self.state, software)).collect()
    }

    /// One thing happens: a walk tells a router, or a report arrives.
    pub(super) fn happen(&mut self) {
        let open: Vec<JobId> =
            self.walks.iter().filter(|it| *it.1 < ROUTERS).map(|it| it.0.clone()).collect();
        if !open.is_empty() && self.random.bool() {
            let walk = &open[self.random.usize(0..open.len())];
            let router = self.walks[walk];
            *self.walks.get_mut(walk).unwrap() += 1;
            return self.tell(router);
        }
        let due = self.reports.iter().position(|it| it.due <= self.now);
        if let Some(at) = due {
            let Report { router, said, .. } = self.reports.swap_remove(at);
            let reported = &mut self.routers[router].reported;
            if reported.as_ref().is_none_or(|it| it.0 < said.0) {
                *reported = Some(said);
            }
        }
    }

    fn tell(&mut self, router: usize) {
        let wanted = self.targets()[router].package().cloned();
        if self.routers[router].told == wanted {
            return;
        }
        self.routers[router].told.clone_from(&wanted);
        let Some(package) = wanted else { return };
        let is_well = package == self.rollout.from || self.routers[router].is_able;
        let status =
            if is_well { InstallationStatus::Installed } else { InstallationStatus::Failed };
        if self.random.f64() < self.luck.lost {
            return;
        }
        let at = self.now.plus(Duration::from_millis(self.random.u64(1..5_000)));
        let copies = if self.random.f64() < self.luck.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let is_late = self.random.f64() < self.luck.late;
            let most = if is_late { 2_000_000 } else { 10_000 };
            let due = at.plus(Duration::from_millis(self.random.u64(0..most)));
            self.reports.push(Report { due, router, said: (at, package.clone(), status) });
        }
    }

    /// Whether nothing is on its way to the routers.
    pub(super) fn is_quiet(&self) -> bool {
        self.walks.values().all(|it| *it == ROUTERS)
    }

    /// Time passes, up to the next thing that can happen.
    pub(super) fn wait(&mut self) {
        self.now = self.now.plus(Duration::from_millis(self.random.u64(0..20)));
        if self.is_quiet() {
            let reports = self.reports.iter().map(|it| it.due);
            let next = reports.chain(self.rollout.wake_at).min().unwrap_or(self.now);
            self.now = self.now.max(next);
        }
    }

    pub(super) fn look(&self, rollout: &Rollout) -> Look {
        let (mut counts, mut of_wave) = (Counts::default(), Counts::default());
        for (router, target) in self.routers.iter().zip(self.targets()) {
            if target.rollout != Some((&rollout.id, Moved::Yes)) {
                continue;
            }
            let of_wave = (router.place >= rollout.before_per_mille()).then_some(&mut of_wave);
            for counts in [Some(&mut counts), of_wave].into_iter().flatten() {
                counts.routers += 1;
                match &router.reported {
                    Some((_, package, status)) if *package == rollout.to => match status {
                        InstallationStatus::Installed => counts.installed += 1,
                        InstallationStatus::Failed => counts.failed += 1,
                    },
                    Some(_) | None => (),
                }
            }
        }
        Look { walked: self.walked(&rollout.walk_id()), trouble: None, counts, of_wave }
    }

    pub(super) fn begin_walk(&mut self, id: &JobId) {
        self.walks.entry(id.clone()).or_default();
    }

    pub(super) fn walked(&self, id: &JobId) -> Walked {
        match self.walks.get(id) {
            Some(&ROUTERS) => Walked::Done,
            Some(_) | None => Walked::UnderWay(None),
        }
    }

    pub(super) fn pin(&mut self, id: &JobId) {
        if !self.packages[0].left_by.contains(id) {
            self.packages[0].left_by.push(id.clone());
        }
    }

    pub(super) fn make_share(&mut self, rollout: &Rollout) {
        let shares = &mut self.packages[1].shares;
        if shares.is_empty() {
            shares.push(Share {
                rollout_id: rollout.id.clone(),
                group: rollout.group.clone(),
                from: rollout.from.clone(),
                per_mille: 0,
                ended_by: 0,
            });
        }
    }

    pub(super) fn raise(&mut self, id: &JobId, per_mille: u16) {
        let mut shares = self.packages[1].shares.iter_mut();
        if let Some(share) = shares.find(|it| it.rollout_id == *id && it.per_mille < per_mille) {
            share.per_mille = per_mille;
        }
    }

    pub(super) fn withdraw(&mut self, id: &JobId) {
        self.packages[1].shares.retain(|it| it.rollout_id != *id);
    }

    pub(super) fn lead(&mut self, id: &JobId) {
        let to = &mut self.packages[1];
        let Some(at) = to.shares.iter().position(|it| it.rollout_id == *id) else { return };
        let Share { group, .. } = to.shares.remove(at);
        let association = to.association.get_or_insert_default();
        association.groups.push(group.clone());
        association.led.push(Led { group, since: 8.try_into().unwrap() });
    }

    pub(super) fn leave(&mut self, id: &JobId) {
        let Package { left_by, association, .. } = &mut self.packages[0];
        if let (true, Some(association)) = (left_by.contains(id), association) {
            association.groups.retain(|it| *it != self.rollout.group);
        }
    }

    pub(super) fn unpin(&mut self, id: &JobId) {
        self.packages[0].left_by.retain(|it| it != id);
    }

    /// What must hold after every step.
    pub(super) fn check(&mut self) {
        let rollout = &self.rollout;
        let held = self.packages[1].shares.iter().map(|it| it.per_mille).max().unwrap_or(0);
        let wanted = rollout.wanted_per_mille();
        // Nothing is raised behind a pause, and what is shown is what holds.
        if matches!(rollout.state, RolloutState::Paused { .. }) && rollout.pinned {
            assert_eq!(held, rollout.share_per_mille, "{rollout:?}");
        }
        assert!(held <= wanted, "a share of {held} in a wave of {wanted}: {rollout:?}");
        let is_new = |it: &&Router| it.told.as_ref() == Some(&rollout.to);
        let told: Vec<&Router> = self.routers.iter().filter(is_new).collect();
        let beyond = told.iter().find(|it| it.place >= wanted);
        assert!(beyond.is_none(), "{beyond:?} is beyond {wanted}: {rollout:?}");
        self.most_told = self.most_told.max(told.len());
        let is_over = matches!(rollout.state, RolloutState::Ended { .. });
        assert!(is_over || rollout.reason().is_some(), "{rollout:?}");
        assert!(is_over || rollout.wake_at.is_some(), "{rollout:?}");
        assert!(rollout.done.len() <= rollout.plan.waves_per_mille.len());
    }
}

fn text(text: &str) -> Text {
    text.to_owned().try_into().unwrap()
}

fn package(id: &str, association: Option<Association>) -> Package {
    Package {
        id: id.parse().unwrap(),
        isp_id: None,
        said: None,
        reserved: false,
        association,
        shares: Vec::new(),
        left_by: Vec::new(),
    }
}

fn agents(isp_id: &IspId, packages: &[&AgentPackageId]) -> Agents {
    let listed = |it: &&AgentPackageId| ListedPackage {
        agent_package_id: (*it).clone(),
        version: text("1.0.0"),
        models: vec![text("hg-1")].try_into().unwrap(),
    };
    let packages = packages.iter().map(listed).collect();
    let listed = Some(ListedAgents { revision: 1.try_into().unwrap(), packages });
    Agents { isp_id: isp_id.clone(), listed, defaults: None }
}

fn router_state() -> DeviceState {
    DeviceState {
        user_id: None,
        external_id: None,
        kind: DeviceKind::Router,
        name: text("router"),
        device_type: DeviceType::Router,
        mac: "3c:22:fb:01:02:03".to_owned().try_into().unwrap(),
        model: Some(text("hg-1")),
        serial: None,
        enabled: None,
        services: None,
        rules: None,
        target_version: None,
        flags: None,
        upload_intervals: None,
    }
}

fn rollout(group: Group, (from, to): (&Package, &Package)) -> Rollout {
    let plan = Plan {
        waves_per_mille: vec![20, 100, 500, 1_000],
        success_per_mille: 900,
        error_per_mille: 50,
        soak_seconds: 60,
        wave_seconds: 1_000,
        rollout_seconds: 10_000,
    };
    let (id, isp_id) = ("rollout-1".parse().unwrap(), "isp-1".parse().unwrap());
    let packages = (from.id.clone(), to.id.clone());
    Rollout::new(id, isp_id, group, packages, plan, "a test", At(1_000_000))
}
