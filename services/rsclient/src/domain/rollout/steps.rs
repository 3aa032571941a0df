//! The steps of a rollout, pure.

use std::{mem::Discriminant, time::Duration};

use async_task::At;

use super::{
    Act, Counts, Fact, Forgiven, Look, RefusedSteer, Rollout, RolloutEnd, RolloutState, Steer,
    Walked, WaveDone,
};

/// How often an abort has the routers told, where they cannot be.
const ABORT_WALKS_MAX: u32 = 5;
/// How often what a rollout leaves behind is looked for once it is over: a second time for what a process does that was
/// cut off for long.
const TIDY_TIMES: u32 = 2;
/// How long after the first time.
const TIDY_AGAIN: Duration = Duration::from_secs(600);
/// How much less often a rollout is looked at that is paused.
const PAUSED_SLOWNESS: u32 = 5;

/// Where a rollout is: wherever it comes to, it goes on at once.
type Place = (Discriminant<RolloutState>, u32, u32);

impl Rollout {
    /// What is to be done in the world.
    pub fn act(&self) -> Act {
        match &self.state {
            RolloutState::Starting => Act::Pin,
            RolloutState::Raising => Act::Raise,
            RolloutState::Walking { .. }
            | RolloutState::Soaking { .. }
            | RolloutState::Paused { .. } => Act::Look,
            RolloutState::Finishing => Act::Settle,
            RolloutState::Aborting { .. } => Act::Withdraw,
            RolloutState::Ended { .. } => Act::Tidy,
        }
    }

    /// Whoever has written this looks at it again not before then, and nobody else does.
    pub fn claim(&mut self, until: At) {
        self.wake_at = Some(until);
    }

    /// Goes on from how the act went. `pace` is how often it is looked at.
    pub fn after(&mut self, fact: Fact, now: At, pace: Duration) {
        let before = self.place();
        match fact {
            Fact::Pinned(Ok(())) => {
                self.pinned = true;
                self.raise();
            }
            Fact::Pinned(Err(why)) => self.end(RolloutEnd::Failed, Some(why), now),
            Fact::Raised => {
                self.share_per_mille = self.wanted_per_mille();
                match self.pauses.take() {
                    Some(why) => self.pause(why, now),
                    None => self.state = RolloutState::Walking { since: now },
                }
            }
            Fact::Looked(look) => self.looked(look, now),
            Fact::Settled(Ok(())) => self.end(RolloutEnd::Completed, None, now),
            Fact::Settled(Err(why)) => self.pause(why, now),
            Fact::Withdrawn(walked) => self.withdrawn(walked, now),
            Fact::Tidied => self.tidied(),
        }
        self.keep_deadline(now);
        self.wake(before, now, pace);
    }

    /// Does what a person wants; what it does already is done.
    ///
    /// # Errors
    /// Its state does not allow it.
    pub fn steer(&mut self, steer: Steer, who: &str, now: At) -> Result<(), RefusedSteer> {
        let before = self.place();
        match (&self.state, steer) {
            (RolloutState::Ended { .. }, _) => return Err(RefusedSteer("it has ended")),
            (RolloutState::Finishing, _) => return Err(RefusedSteer("its last wave is done")),
            (RolloutState::Aborting { .. }, Steer::Abort)
            | (RolloutState::Paused { .. }, Steer::Pause) => return Ok(()),
            (RolloutState::Aborting { .. }, Steer::Pause | Steer::Resume) => {
                return Err(RefusedSteer("it is being aborted"));
            }
            (RolloutState::Paused { .. }, Steer::Resume) => self.resume(),
            (RolloutState::Raising, Steer::Resume) => self.pauses = None,
            (
                RolloutState::Starting
                | RolloutState::Walking { .. }
                | RolloutState::Soaking { .. },
                Steer::Resume,
            ) => return Ok(()),
            // The share may be raised already, whatever is written here.
            (RolloutState::Raising, Steer::Pause) => {
                self.pauses.get_or_insert_with(|| format!("by {who}"));
            }
            (
                RolloutState::Starting
                | RolloutState::Walking { .. }
                | RolloutState::Soaking { .. },
                Steer::Pause,
            ) => self.pause(format!("by {who}"), now),
            (
                RolloutState::Starting
                | RolloutState::Raising
                | RolloutState::Walking { .. }
                | RolloutState::Soaking { .. }
                | RolloutState::Paused { .. },
                Steer::Abort,
            ) => self.abort(format!("by {who}")),
        }
        self.wake(before, now, Duration::ZERO);
        Ok(())
    }

    fn place(&self) -> Place {
        (std::mem::discriminant(&self.state), self.walks, self.wave)
    }

    fn raise(&mut self) {
        (self.told, self.standstill) = (false, None);
        self.walks += 1;
        self.state = RolloutState::Raising;
    }

    fn pause(&mut self, why: String, now: At) {
        self.state = RolloutState::Paused { why, since: now };
    }

    /// Whoever resumes knows of the failures so far: only more of them pause it again.
    fn resume(&mut self) {
        self.forgiven = Forgiven { all: self.counts.failed, of_wave: self.of_wave.failed };
        match self.pinned {
            true => self.raise(),
            false => self.state = RolloutState::Starting,
        }
    }

    fn abort(&mut self, why: String) {
        (self.told, self.standstill, self.pauses) = (false, None, None);
        self.walks += 1;
        self.state = RolloutState::Aborting { why, walks: 1 };
    }

    fn end(&mut self, end: RolloutEnd, reason: Option<String>, now: At) {
        (self.open, self.ended_at, self.standstill) = (false, Some(now), None);
        self.state = RolloutState::Ended { end, reason, tidy: TIDY_TIMES };
    }

    fn looked(&mut self, look: Look, now: At) {
        (self.counts, self.of_wave) = (look.counts, look.of_wave);
        if matches!(self.state, RolloutState::Paused { .. }) {
            return;
        }
        let failed = match look.walked {
            Walked::UnderWay(standstill) => {
                self.standstill = standstill;
                None
            }
            // Who was not told does not report.
            Walked::Done | Walked::Partly(_) => {
                (self.told, self.standstill) = (true, None);
                None
            }
            Walked::Failed(why) => Some(format!("the routers could not be told: {why}")),
        };
        if let Some(why) = look.trouble.or_else(|| self.errors()).or(failed) {
            return self.pause(why, now);
        }
        let has_enough = self.told && self.of_wave.installed >= self.needed();
        match self.state {
            RolloutState::Walking { .. } if has_enough && self.of_wave.routers == 0 => {
                self.next_wave(now);
            }
            RolloutState::Walking { .. } if has_enough => {
                self.state = RolloutState::Soaking { since: now };
            }
            RolloutState::Walking { since } => {
                if now.since(since) >= Duration::from_secs(self.plan.wave_seconds) {
                    self.pause(self.too_slow(), now);
                }
            }
            RolloutState::Soaking { .. } if !has_enough => {
                self.state = RolloutState::Walking { since: now };
            }
            RolloutState::Soaking { since } => {
                if now.since(since) >= Duration::from_secs(self.plan.soak_seconds) {
                    self.next_wave(now);
                }
            }
            RolloutState::Starting
            | RolloutState::Raising
            | RolloutState::Paused { .. }
            | RolloutState::Finishing
            | RolloutState::Aborting { .. }
            | RolloutState::Ended { .. } => (),
        }
    }

    /// What is wrong with what the routers report.
    fn errors(&self) -> Option<String> {
        let limit = self.plan.error_per_mille;
        let wave = (&self.of_wave, self.forgiven.of_wave, "of the wave");
        let all = (&self.counts, self.forgiven.all, "that were moved");
        let over = [wave, all].into_iter().find(|(it, forgiven, _)| it.is_over(limit, *forgiven));
        let (Counts { failed, routers, .. }, _, which) = over?;
        Some(format!(
            "{failed} of {routers} routers {which} report a failure: more than {limit} of a thousand"
        ))
    }

    fn next_wave(&mut self, now: At) {
        let (share_per_mille, counts) = (self.share_per_mille, self.of_wave);
        let waves = self.plan.waves_per_mille.len();
        // The last wave is gone through again where what follows it could not be done.
        if self.done.len() < waves {
            self.done.push(WaveDone { share_per_mille, counts, at: now });
        }
        if self.done.len() == waves {
            self.state = RolloutState::Finishing;
            return;
        }
        self.wave += 1;
        (self.of_wave, self.forgiven.of_wave) = (Counts::default(), 0);
        self.raise();
    }

    fn withdrawn(&mut self, walked: Walked, now: At) {
        self.share_per_mille = 0;
        let RolloutState::Aborting { why, walks } = &self.state else { return };
        let (why, walks) = (why.clone(), *walks);
        match walked {
            Walked::UnderWay(standstill) => self.standstill = standstill,
            Walked::Done => {
                (self.counts, self.of_wave) = (Counts::default(), Counts::default());
                self.end(RolloutEnd::Aborted, Some(why), now);
            }
            Walked::Partly(_) | Walked::Failed(_) if walks < ABORT_WALKS_MAX => {
                self.walks += 1;
                self.state = RolloutState::Aborting { why, walks: walks + 1 };
            }
            Walked::Partly(reason) | Walked::Failed(reason) => {
                let reason = format!("{why}; some routers could not be told: {reason}");
                self.end(RolloutEnd::Aborted, Some(reason), now);
            }
        }
    }

    fn tidied(&mut self) {
        if let RolloutState::Ended { tidy, .. } = &mut self.state {
            *tidy = tidy.saturating_sub(1);
        }
    }

    /// What nobody attends to leads the routers back where they were.
    fn keep_deadline(&mut self, now: At) {
        let is_late = now >= self.deadline_at;
        match &self.state {
            RolloutState::Starting
            | RolloutState::Raising
            | RolloutState::Walking { .. }
            | RolloutState::Soaking { .. }
                if is_late =>
            {
                self.abort(format!("not complete after {} s", self.plan.rollout_seconds));
            }
            RolloutState::Paused { why, .. } if is_late => {
                let seconds = self.plan.rollout_seconds;
                self.abort(format!("not complete after {seconds} s; it was paused: {why}"));
            }
            RolloutState::Starting
            | RolloutState::Raising
            | RolloutState::Walking { .. }
            | RolloutState::Soaking { .. }
            | RolloutState::Paused { .. }
            | RolloutState::Finishing
            | RolloutState::Aborting { .. }
            | RolloutState::Ended { .. } => (),
        }
    }

    fn wake(&mut self, before: Place, now: At, pace: Duration) {
        self.updated_at = now;
        if self.place() != before {
            self.wake_at = Some(now);
            return;
        }
        self.wake_at = match &self.state {
            RolloutState::Ended { tidy: 0, .. } => None,
            RolloutState::Ended { .. } => Some(now.plus(TIDY_AGAIN)),
            RolloutState::Paused { .. } => {
                Some(now.plus(pace * PAUSED_SLOWNESS).min(self.deadline_at.max(now)))
            }
            RolloutState::Soaking { since } => {
                let over = since.plus(Duration::from_secs(self.plan.soak_seconds)).max(now);
                Some(now.plus(pace).min(over))
            }
            RolloutState::Starting
            | RolloutState::Raising
            | RolloutState::Walking { .. }
            | RolloutState::Finishing
            | RolloutState::Aborting { .. } => Some(now.plus(pace)),
        };
    }
}
