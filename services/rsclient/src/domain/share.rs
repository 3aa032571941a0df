//! Shares: the routers of a group that run another package already, while a rollout moves them.

use events::{AgentPackageId, DeviceId, JobId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeviceState, Group};

/// All routers of a group.
pub const WHOLE_PER_MILLE: u16 = 1_000;
/// The namespace of the names that give routers their places.
const PLACES: Uuid = Uuid::from_u128(0x7d0c_52f1_6b0e_5a6f_9e2b_41c8_53d0_9a17);

/// Who of a group runs a package instead of another one: those of its routers whose place in the rollout is below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which rollout has made it and raises it.
    pub rollout_id: JobId,
    /// Whose routers.
    pub group: Group,
    /// Those that would run this one.
    pub from: AgentPackageId,
    /// How many of a thousand.
    pub per_mille: u16,
    /// The fence of whoever is about to end the rollout: nobody who has read it before him may.
    #[serde(default)]
    pub ended_by: i64,
}

/// How narrowly a package is meant for a router; the narrowest is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// For this very router.
    Router,
    /// For the routers of its model that follow its version.
    Version,
    /// For the routers of its model.
    Model,
    /// For the routers of its model for which nothing else is said.
    Default,
}

impl Share {
    /// Whether a router has its place in it.
    pub fn contains(&self, router: &DeviceId) -> bool {
        place(&self.rollout_id, router) < self.per_mille
    }

    /// It takes routers away from packages that are meant for them as broadly as this, or more so.
    pub(super) fn level(&self) -> Level {
        match self.group.target_version {
            Some(_) => Level::Version,
            None => Level::Model,
        }
    }
}

impl Group {
    /// Whether a router is one of the group.
    pub fn has(&self, state: &DeviceState) -> bool {
        let follows = |it| state.target_version.as_ref() == Some(it);
        state.model.as_ref() == Some(&self.model)
            && self.target_version.as_ref().is_none_or(follows)
    }
}

/// The place of a router in a rollout, below a thousand: the same wherever and whenever it is asked for, and another one
/// in another rollout, so that it is not always the same homes that go first.
pub fn place(rollout_id: &JobId, router: &DeviceId) -> u16 {
    let name = format!("{rollout_id}/{router}");
    let (number, _) = Uuid::new_v5(&PLACES, name.as_bytes()).as_u64_pair();
    u16::try_from(number % u64::from(WHOLE_PER_MILLE)).expect("a thousand places have numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(rollout: &str) -> Vec<u16> {
        let rollout: JobId = rollout.parse().unwrap();
        let router = |n: u32| -> DeviceId { format!("r-{n}").parse().unwrap() };
        (0..100_000).map(|n| place(&rollout, &router(n))).collect()
    }

    #[test]
    fn a_router_has_one_place_in_each_rollout() {
        let (rollout, router) = ("rollout-1".parse().unwrap(), "r-1".parse().unwrap());
        assert_eq!(place(&rollout, &router), 727);
        assert_eq!(places("rollout-1"), places("rollout-1"));
        assert_ne!(places("rollout-1")[..10], places("rollout-2")[..10]);
    }

    #[test]
    fn a_share_has_as_many_routers_as_it_says_give_or_take_a_few() {
        let places = places("rollout-1");
        for per_mille in [1, 10, 50, 100, 500, 900, 999] {
            let inside = places.iter().filter(|it| **it < per_mille).count();
            let wanted = usize::from(per_mille) * 100;
            assert!(inside.abs_diff(wanted) < 40 + wanted / 20, "{per_mille}: {inside}");
        }
        assert!(places.iter().all(|it| *it < WHOLE_PER_MILLE));
    }
}
