//! Which agent package each router runs, and which it is about to install.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use events::{AccountId, AgentPackageId, DeviceId, InstallationStatus, IspId};
use fastrand::Rng;
use serde::Serialize;

use super::{
    homes::{Resident, Role},
    plan::Installing,
};

/// The routers that the backend holds or has held.
#[derive(Clone, Debug)]
pub(super) struct Routers {
    installing: Installing,
    seed: u64,
    all: BTreeMap<DeviceId, Router>,
    due: BTreeSet<(Duration, DeviceId)>,
}

/// A router and its software.
#[derive(Clone, Debug, Serialize)]
pub struct Router {
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// What it runs.
    pub runs: Option<AgentPackageId>,
    /// What it is to run.
    pub target: Option<AgentPackageId>,
    /// How often it has tried to install something.
    pub attempts: u32,
    /// When it will have tried again.
    #[serde(skip)]
    due: Option<Duration>,
}

/// An installation that has ended.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub(super) isp_id: IspId,
    pub(super) account_id: AccountId,
    pub(super) router_id: DeviceId,
    pub(super) package: AgentPackageId,
    pub(super) status: InstallationStatus,
}

impl Routers {
    pub(super) fn new(installing: Installing, seed: u64) -> Self {
        Self { installing, seed, all: BTreeMap::new(), due: BTreeSet::new() }
    }

    /// Every router.
    pub(super) fn all(&self) -> &BTreeMap<DeviceId, Router> {
        &self.all
    }

    /// How many are installing something.
    pub(super) fn installing(&self) -> usize {
        self.due.len()
    }

    /// When the next installation ends.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|it| it.0)
    }

    /// A router that was there before the town runs what it is to run.
    pub(super) fn settle(&mut self, it: &Resident) {
        let Role::Router { target } = &it.role else { return };
        let router = self.of(it);
        (router.runs, router.target) = (target.clone(), target.clone());
    }

    /// A router was told what it is to run.
    pub(super) fn tell(&mut self, at: Duration, it: &Resident) {
        let Role::Router { target } = &it.role else { return };
        let after = Duration::from_millis(self.installing.after_ms);
        let router = self.of(it);
        if router.target == *target {
            return;
        }
        router.target.clone_from(target);
        let before = router.due.take();
        let due = target.is_some().then_some(at + after);
        router.due = due;
        self.due.extend(due.map(|due| (due, it.id.clone())));
        if let Some(before) = before.filter(|before| Some(*before) != due) {
            self.due.remove(&(before, it.id.clone()));
        }
    }

    /// A router is gone, and what it was installing is not finished.
    pub(super) fn leave(&mut self, id: &DeviceId) {
        let Some(router) = self.all.get_mut(id) else { return };
        if let Some(due) = router.due.take() {
            router.target.clone_from(&router.runs);
            self.due.remove(&(due, id.clone()));
        }
    }

    /// All are gone.
    pub(super) fn leave_all(&mut self) {
        for (_, id) in std::mem::take(&mut self.due) {
            self.leave(&id);
        }
    }

    /// The next installation ends. What runs already installs well.
    pub(super) fn finish(&mut self) -> Option<Installed> {
        let (_, id) = self.due.pop_first()?;
        let router = self.all.get_mut(&id)?;
        router.due = None;
        let package = router.target.clone()?;
        let dice = dice(self.seed, &id, &package, router.attempts);
        router.attempts += 1;
        let installs =
            router.runs.as_ref() == Some(&package) || dice < self.installing.success_of(&package);
        let status = match installs {
            true => InstallationStatus::Installed,
            false => InstallationStatus::Failed,
        };
        if installs {
            router.runs = Some(package.clone());
        }
        let (isp_id, account_id) = (router.isp_id.clone(), router.account_id.clone());
        Some(Installed { isp_id, account_id, router_id: id, package, status })
    }

    fn of(&mut self, it: &Resident) -> &mut Router {
        let (isp_id, account_id) = (it.isp_id.clone(), it.account_id.clone());
        let router = self.all.entry(it.id.clone()).or_insert_with(|| Router {
            isp_id: isp_id.clone(),
            account_id: account_id.clone(),
            runs: None,
            target: None,
            attempts: 0,
            due: None,
        });
        (router.isp_id, router.account_id) = (isp_id, account_id);
        router
    }
}

/// A number from 0 to 1 that follows from what is tried alone, whatever the order in which routers are told.
fn dice(seed: u64, id: &DeviceId, package: &AgentPackageId, attempt: u32) -> f64 {
    // FNV-1a.
    let parts = [id.as_str().as_bytes(), b"/", package.as_str().as_bytes(), &attempt.to_be_bytes()];
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = parts.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325 ^ seed, mix);
    Rng::with_seed(hash).f64()
}
