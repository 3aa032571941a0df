//! How a rollout goes: its waves, and when one is done or has failed.

use serde::{Deserialize, Serialize};

use super::super::WHOLE_PER_MILLE;

/// Most waves of a rollout: each is remembered.
const WAVES_MAX: usize = 20;
/// Longest time that may be said: a year.
const SECONDS_MAX: u64 = 365 * 86_400;

/// How a rollout goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// To how many of a thousand routers each wave raises the share; the last one is all of them.
    pub waves_per_mille: Vec<u16>,
    /// A wave is done when so many of a thousand of its routers report that they have installed the package ...
    pub success_per_mille: u16,
    /// ... and have not come to more failures than so many of a thousand after ...
    pub error_per_mille: u16,
    /// ... so many seconds.
    pub soak_seconds: u64,
    /// After so many seconds a wave that is not done pauses the rollout.
    pub wave_seconds: u64,
    /// After so many seconds a rollout that is not complete is aborted.
    pub rollout_seconds: u64,
}

/// What cannot be a plan, and why, member by member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongPlan(pub Vec<(&'static str, &'static str)>);

impl Plan {
    /// Whether it can be carried out.
    ///
    /// # Errors
    /// It cannot, and why.
    pub fn check(&self) -> Result<(), WrongPlan> {
        let mut wrong = Vec::new();
        let waves = &self.waves_per_mille;
        if !(1..=WAVES_MAX).contains(&waves.len()) {
            wrong.push(("waves_per_mille", "must be 1 to 20 numbers"));
        } else if !waves.is_sorted_by(|a, b| a < b) || waves[0] == 0 {
            wrong.push(("waves_per_mille", "must grow from wave to wave"));
        } else if waves.last() != Some(&WHOLE_PER_MILLE) {
            wrong.push(("waves_per_mille", "must end with 1000"));
        }
        let shares = [
            ("success_per_mille", self.success_per_mille),
            ("error_per_mille", self.error_per_mille),
        ];
        let too_large = shares.into_iter().filter(|(_, it)| *it > WHOLE_PER_MILLE);
        wrong.extend(too_large.map(|(name, _)| (name, "must be at most 1000")));
        if self.soak_seconds > SECONDS_MAX {
            wrong.push(("soak_seconds", "must be at most a year"));
        }
        let limits =
            [("wave_seconds", self.wave_seconds), ("rollout_seconds", self.rollout_seconds)];
        let out_of_range = limits.into_iter().filter(|(_, it)| !(1..=SECONDS_MAX).contains(it));
        wrong.extend(out_of_range.map(|(name, _)| (name, "must be from 1 to a year")));
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(WrongPlan(wrong)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(change: impl FnOnce(&mut Plan)) -> Vec<&'static str> {
        let mut plan = Plan {
            waves_per_mille: vec![10, 100, 1_000],
            success_per_mille: 900,
            error_per_mille: 50,
            soak_seconds: 0,
            wave_seconds: 1,
            rollout_seconds: 1,
        };
        change(&mut plan);
        let wrong = plan.check().err().map(|it| it.0).unwrap_or_default();
        wrong.into_iter().map(|(_, why)| why).collect()
    }

    #[test]
    fn a_plan_leads_all_routers_there_in_waves_that_grow() {
        assert_eq!(wrong(|_| ()), [""; 0]);
        assert_eq!(wrong(|it| it.waves_per_mille = vec![1_000]), [""; 0]);
        assert_eq!(wrong(|it| it.waves_per_mille.clear()), ["must be 1 to 20 numbers"]);
        let waves = |waves: &[u16]| wrong(|it| it.waves_per_mille = waves.to_vec());
        assert_eq!(waves(&[0, 1_000]), ["must grow from wave to wave"]);
        assert_eq!(waves(&[10, 10, 1_000]), ["must grow from wave to wave"]);
        assert_eq!(waves(&[100, 10, 1_000]), ["must grow from wave to wave"]);
        assert_eq!(waves(&[10, 100]), ["must end with 1000"]);
        assert_eq!(waves(&[10, 1_001]), ["must end with 1000"]);
        assert_eq!(waves(&[1; 21]), ["must be 1 to 20 numbers"]);
        let all = wrong(|it| {
            (it.success_per_mille, it.error_per_mille) = (1_001, 1_001);
            (it.soak_seconds, it.wave_seconds, it.rollout_seconds) = (u64::MAX, 0, u64::MAX);
        });
        assert_eq!(all.len(), 5, "{all:?}");
    }
}
