//! Many histories of one rollout: two processes that die between any two steps, routers whose reports are lost, doubled
//! and late, people who steer; time and chance are chosen.

mod world;

use std::time::Duration;

use async_task::At;

use self::world::{Luck, World};
use super::{Act, Fact, Rollout, RolloutEnd, RolloutState, Steer, Walked};

/// For how long a process has what it has claimed.
const LEASE: Duration = Duration::from_secs(10);
/// How often a rollout is looked at.
const PACE: Duration = Duration::from_secs(5);
/// A history that is longer than so many steps does not end.
const STEPS_MAX: usize = 200_000;

/// What a process is about to do.
#[derive(Clone, Debug)]
enum Next {
    /// To look whether anything is due.
    Look,
    /// To claim what it has read.
    Claim(Rollout),
    /// To do one of the writes of an act.
    Write(Rollout, usize),
    /// To write what follows.
    Keep(Rollout, Fact),
}

impl Next {
    /// One step of a process: at most one read and one write. It may die behind each.
    fn step(self, world: &mut World) -> Self {
        match self {
            Self::Look => {
                let due = world.rollout.wake_at.is_some_and(|it| it <= world.now);
                if due { Self::Claim(world.rollout.clone()) } else { Self::Look }
            }
            Self::Claim(mut rollout) => {
                rollout.claim(world.now.plus(LEASE));
                if keep(world, &mut rollout) { Self::Write(rollout, 0) } else { Self::Look }
            }
            Self::Write(rollout, at) => match write(world, &rollout, at) {
                None => Self::Write(rollout, at + 1),
                Some(fact) => Self::Keep(rollout, fact),
            },
            Self::Keep(mut rollout, fact) => {
                rollout.after(fact, world.now, PACE);
                keep(world, &mut rollout);
                Self::Look
            }
        }
    }
}

/// Keeps a rollout where nobody has written it since it was read.
fn keep(world: &mut World, rollout: &mut Rollout) -> bool {
    let is_last = world.rollout.fence == rollout.fence;
    if is_last {
        rollout.fence += 1;
        world.rollout = rollout.clone();
    }
    is_last
}

/// Does one of the writes of an act; answers how it went behind the last.
fn write(world: &mut World, rollout: &Rollout, at: usize) -> Option<Fact> {
    let (id, wanted) = (&rollout.id, rollout.wanted_per_mille());
    match (rollout.act(), at) {
        (Act::Pin, 0) => world.pin(id),
        (Act::Pin, _) => {
            world.make_share(rollout);
            return Some(Fact::Pinned(Ok(())));
        }
        (Act::Raise, 0) => world.raise(id, wanted),
        (Act::Raise, _) => {
            world.begin_walk(&rollout.walk_id());
            return Some(Fact::Raised);
        }
        (Act::Look, _) => return Some(Fact::Looked(world.look(rollout))),
        (Act::Settle, 0) => world.lead(id),
        (Act::Settle, _) => {
            world.leave(id);
            return Some(Fact::Settled(Ok(())));
        }
        (Act::Withdraw, 0) => world.withdraw(id),
        (Act::Withdraw, _) => {
            world.begin_walk(&rollout.walk_id());
            return Some(Fact::Withdrawn(world.walked(&rollout.walk_id())));
        }
        (Act::Tidy, 0) => world.withdraw(id),
        (Act::Tidy, _) => {
            world.unpin(id);
            return Some(Fact::Tidied);
        }
    }
    None
}

/// What people do in a history.
#[derive(Clone, Copy, PartialEq, Eq)]
enum People {
    /// Nothing.
    Nobody,
    /// They resume what has paused.
    Patient,
    /// Anything at any time.
    Restless,
}

/// Lives a history to its end, and looks at it after each step.
fn live(seed: u64, luck: Luck, people: People) -> World {
    let mut world = World::new(seed, luck);
    let mut processes = [Next::Look, Next::Look];
    for _ in 0..STEPS_MAX {
        if world.rollout.wake_at.is_none() && world.is_quiet() {
            return world;
        }
        let idle = processes.iter().all(|it| matches!(it, Next::Look));
        if idle {
            world.wait();
        }
        match world.random.u32(0..100) {
            0..60 => {
                let process = &mut processes[world.random.usize(0..2)];
                *process = std::mem::replace(process, Next::Look).step(&mut world);
            }
            60..95 => world.happen(),
            95..97 if luck.dies => processes[world.random.usize(0..2)] = Next::Look,
            // A process that is cut off for long goes on as if nothing had happened.
            97..98 if luck.dies => world.now = world.now.plus(Duration::from_secs(15)),
            _ => steer(&mut world, people),
        }
        world.check();
    }
    panic!("seed {seed}: it does not end: {:?}", world.rollout);
}

fn steer(world: &mut World, people: People) {
    let is_paused = matches!(world.rollout.state, RolloutState::Paused { .. });
    let steer = match people {
        People::Nobody => return,
        People::Patient if is_paused => Steer::Resume,
        People::Patient => return,
        People::Restless => match world.random.u32(0..400) {
            0..10 => Steer::Pause,
            10..40 => Steer::Resume,
            40 => Steer::Abort,
            _ => return,
        },
    };
    let mut rollout = world.rollout.clone();
    if rollout.steer(steer, "a test", world.now).is_ok() {
        keep(world, &mut rollout);
    }
}

/// How a history ended: all routers run what the end says, and nothing is left behind.
fn ended(seed: u64, world: &World) -> RolloutEnd {
    let RolloutState::Ended { end, .. } = &world.rollout.state else {
        panic!("seed {seed}: {:?}", world.rollout)
    };
    let wanted = match end {
        RolloutEnd::Completed => &world.rollout.to,
        RolloutEnd::Aborted | RolloutEnd::Failed => &world.rollout.from,
    };
    let told = world.routers.iter().all(|it| it.told.as_ref() == Some(wanted));
    assert!(told, "seed {seed}: {:?}: {:?}", world.rollout, world.routers);
    assert!(world.packages.iter().all(|it| it.shares.is_empty() && it.left_by.is_empty()));
    assert!(!world.rollout.open && world.rollout.ended_at.is_some());
    *end
}

#[test]
fn where_all_is_well_all_routers_are_moved_whatever_dies() {
    for seed in 0..40 {
        let luck = Luck { dies: true, ..Luck::GOOD };
        let world = live(seed, luck, People::Nobody);
        assert_eq!(ended(seed, &world), RolloutEnd::Completed, "seed {seed}: {:?}", world.rollout);
        let shares: Vec<u16> = world.rollout.done.iter().map(|it| it.share_per_mille).collect();
        assert_eq!(shares, world.rollout.plan.waves_per_mille);
    }
}

#[test]
fn where_a_fifth_fails_it_pauses_by_itself_and_goes_back_when_nobody_comes() {
    let mut spared = 0;
    for seed in 0..40 {
        let luck = Luck { fails: 0.2, dies: true, ..Luck::GOOD };
        let world = live(seed, luck, People::Nobody);
        assert_eq!(ended(seed, &world), RolloutEnd::Aborted, "seed {seed}: {:?}", world.rollout);
        let reason = world.rollout.reason().unwrap();
        let begin = "not complete after 10000 s; it was paused: ";
        assert!(reason.starts_with(begin) && reason.contains("report a failure"), "{reason}");
        spared += usize::from(world.most_told < world.routers.len());
    }
    assert!(spared > 30, "only {spared} of 40 spared any router");
}

#[test]
fn whoever_resumes_it_again_and_again_brings_it_to_its_end() {
    for seed in 0..40 {
        let luck = Luck { fails: 0.2, dies: true, ..Luck::GOOD };
        let world = live(seed, luck, People::Patient);
        assert_eq!(ended(seed, &world), RolloutEnd::Completed, "seed {seed}: {:?}", world.rollout);
    }
}

#[test]
fn whatever_is_lost_doubled_or_late_it_ends_and_the_routers_run_what_the_end_says() {
    let mut ends = Vec::new();
    for seed in 0..150 {
        let luck = Luck { fails: 0.04, lost: 0.05, doubled: 0.2, late: 0.1, dies: true };
        let people = if seed % 3 == 0 { People::Patient } else { People::Restless };
        let world = live(seed, luck, people);
        ends.push(ended(seed, &world));
    }
    // Otherwise these histories would show nothing.
    for end in [RolloutEnd::Completed, RolloutEnd::Aborted] {
        assert!(ends.iter().filter(|it| **it == end).count() > 10, "{end:?}");
    }
}

#[test]
fn a_walk_that_cannot_tell_all_routers_pauses_and_an_abort_tries_again() {
    let mut world = World::new(1, Luck::GOOD);
    let now = At(1_000);
    let mut rollout = world.rollout.clone();
    rollout.after(Fact::Pinned(Ok(())), now, PACE);
    rollout.after(Fact::Raised, now, PACE);
    world.rollout = rollout.clone();
    let look =
        super::Look { walked: Walked::Failed("too late".to_owned()), ..world.look(&rollout) };
    rollout.after(Fact::Looked(look), now, PACE);
    assert_eq!(rollout.reason().unwrap(), "the routers could not be told: too late");
    rollout.steer(Steer::Abort, "mia", now).unwrap();
    let first = rollout.walk_id();
    // Also where the walk came to its end, and the backend has not taken all.
    let (failed, partly) = (Walked::Failed("too late".to_owned()), Walked::Partly("2".to_owned()));
    for walked in [&failed, &partly, &failed, &partly] {
        rollout.after(Fact::Withdrawn(walked.clone()), now, PACE);
        assert!(!rollout.has_ended());
    }
    assert_ne!(rollout.walk_id(), first);
    rollout.after(Fact::Withdrawn(failed), now, PACE);
    assert!(rollout.has_ended());
    assert_eq!(rollout.reason().unwrap(), "by mia; some routers could not be told: too late");
}

#[test]
fn a_last_wave_that_is_gone_through_again_is_judged_by_its_own_routers() {
    let mut rollout = World::new(1, Luck::GOOD).rollout;
    let now = At(1_000);
    rollout.after(Fact::Pinned(Ok(())), now, PACE);
    let waves = rollout.plan.waves_per_mille.clone();
    for share_per_mille in waves {
        assert_eq!(rollout.wanted_per_mille(), share_per_mille);
        rollout.after(Fact::Raised, now, PACE);
        let soaked = now.plus(Duration::from_secs(rollout.plan.soak_seconds));
        for at in [now, soaked] {
            let counts = super::Counts { routers: 1, installed: 1, failed: 0 };
            let look = super::Look { walked: Walked::Done, trouble: None, counts, of_wave: counts };
            rollout.after(Fact::Looked(look), at, PACE);
        }
    }
    assert_eq!(rollout.before_per_mille(), 500);
    rollout.after(Fact::Settled(Err("not listed".to_owned())), now, PACE);
    rollout.steer(Steer::Resume, "mia", now).unwrap();
    assert_eq!((rollout.before_per_mille(), rollout.wanted_per_mille()), (500, 1_000));
}
