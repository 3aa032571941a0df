//! A rollout in words: where it is, and why it does not go on.

use super::{Rollout, RolloutEnd, RolloutState};

impl RolloutState {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Raising => "raising",
            Self::Walking { .. } => "walking",
            Self::Soaking { .. } => "soaking",
            Self::Paused { .. } => "paused",
            Self::Finishing => "finishing",
            Self::Aborting { .. } => "aborting",
            Self::Ended { end: RolloutEnd::Completed, .. } => "completed",
            Self::Ended { end: RolloutEnd::Aborted, .. } => "aborted",
            Self::Ended { end: RolloutEnd::Failed, .. } => "failed",
        }
    }
}

impl Rollout {
    /// Why it stands where it stands; nothing where all is well and over.
    pub fn reason(&self) -> Option<String> {
        let told = |what: &str| match &self.standstill {
            Some(why) => format!("{what}: {why}"),
            None => what.to_owned(),
        };
        Some(match &self.state {
            RolloutState::Starting => "both packages are being told of it".to_owned(),
            RolloutState::Raising => {
                let wanted = self.wanted_per_mille();
                let raised = format!("the share is being raised to {wanted} of a thousand");
                match &self.pauses {
                    Some(why) => format!("{raised}; then it is paused: {why}"),
                    None => raised,
                }
            }
            RolloutState::Walking { .. } if !self.told => told("the routers are being told"),
            RolloutState::Walking { .. } => self.waited_for(),
            RolloutState::Soaking { since } => {
                let over = since.plus(std::time::Duration::from_secs(self.plan.soak_seconds));
                format!("it is waited until {} whether it stays well", over.timestamp())
            }
            RolloutState::Paused { why, .. } => why.clone(),
            RolloutState::Finishing => {
                format!("the routers become those of package `{}`", self.to)
            }
            RolloutState::Aborting { why, .. } => {
                told(&format!("{why}; the routers are being told to go back"))
            }
            RolloutState::Ended { reason, .. } => return reason.clone(),
        })
    }

    /// What a wave waits for.
    fn waited_for(&self) -> String {
        let (counts, needed) = (&self.of_wave, self.needed());
        format!(
            "{} of {} routers of the wave report that they are done; it needs {needed}",
            counts.installed, counts.routers
        )
    }

    /// Why a wave that is not done pauses the rollout.
    pub(super) fn too_slow(&self) -> String {
        let (what, seconds) = (self.waited_for(), self.plan.wave_seconds);
        match (&self.standstill, self.told) {
            (Some(why), _) => format!("after {seconds} s the routers are not all told: {why}"),
            (None, false) => format!("after {seconds} s the routers are not all told"),
            (None, true) => format!("after {seconds} s only {what}"),
        }
    }
}
