//! Who is ready: for each destination a line of keys with live records and one of keys with sync records.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{call::Epoch, partition::KeyId};
use crate::{Destination, Lane};

/// A key that was ready when it was put in line; whoever takes it out looks again.
pub(crate) type Waiter = (Epoch, KeyId);

/// The line before one destination, or before none.
pub(crate) struct Line {
    pub(crate) destination: Option<Destination>,
    live: VecDeque<Waiter>,
    sync: VecDeque<Waiter>,
    /// What has expired is not sent: it passes, whatever the destination admits.
    pub(crate) expired: VecDeque<Waiter>,
    /// When the destination may admit again.
    pub(crate) not_before: Option<Instant>,
}

/// All lines, and whose turn it is.
pub(crate) struct Lines {
    lines: Vec<Line>,
    turn: usize,
    /// Starts of live records since the last sync one had its turn.
    since_sync: u32,
    sync_every: u32,
}

impl Lines {
    /// While live records are ready too, a sync one starts after `sync_every` of them.
    pub(crate) fn new(sync_every: u32) -> Self {
        Self { lines: Vec::new(), turn: 0, since_sync: 0, sync_every }
    }

    /// The line before a destination.
    pub(crate) fn of(&mut self, destination: Option<&Destination>) -> usize {
        let same = |it: &Line| match (&it.destination, destination) {
            (Some(one), Some(other)) => one.is(other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.lines.iter().position(same).unwrap_or_else(|| {
            self.lines.push(Line::before(destination.cloned()));
            self.lines.len() - 1
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.lines.len()
    }

    /// The destinations of the lines, from the oldest line on.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = Option<&Destination>> {
        self.lines.iter().map(|it| it.destination.as_ref())
    }

    pub(crate) fn get(&mut self, line: usize) -> &mut Line {
        &mut self.lines[line]
    }

    /// Whether anybody is in line.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines
            .iter()
            .all(|it| it.live.is_empty() && it.sync.is_empty() && it.expired.is_empty())
    }

    /// How many keys are in line.
    pub(crate) fn len(&self) -> usize {
        self.lines.iter().map(|it| it.live.len() + it.sync.len() + it.expired.len()).sum()
    }

    /// The lines in the order in which they are looked at: which lane of which.
    pub(crate) fn order(&mut self) -> impl Iterator<Item = (usize, Lane)> + use<> {
        let (count, first) = (self.lines.len(), self.turn);
        self.turn = self.turn.wrapping_add(1);
        let lanes = match self.since_sync >= self.sync_every {
            true => [Lane::Sync, Lane::Live],
            false => [Lane::Live, Lane::Sync],
        };
        let lines = move |lane| (0..count).map(move |it| (first.wrapping_add(it) % count, lane));
        lanes.into_iter().flat_map(lines)
    }

    /// A record of this lane starts.
    pub(crate) fn started(&mut self, lane: Lane) {
        self.since_sync = match lane {
            Lane::Live => self.since_sync.saturating_add(1),
            Lane::Sync => 0,
        };
    }

    /// The earliest time at which a destination that refused may admit.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.lines.iter().filter_map(|it| it.not_before).min()
    }

    pub(crate) fn forget_refusals(&mut self) {
        self.lines.iter_mut().for_each(|it| it.not_before = None);
    }

    /// What was refused until now may be asked for again.
    pub(crate) fn forget_due_refusals(&mut self, now: Instant) {
        for it in &mut self.lines {
            it.not_before = it.not_before.filter(|it| *it > now);
        }
    }
}

impl Line {
    fn before(destination: Option<Destination>) -> Self {
        Self {
            destination,
            live: VecDeque::new(),
            sync: VecDeque::new(),
            expired: VecDeque::new(),
            not_before: None,
        }
    }

    pub(crate) fn lane(&mut self, lane: Lane) -> &mut VecDeque<Waiter> {
        match lane {
            Lane::Live => &mut self.live,
            Lane::Sync => &mut self.sync,
        }
    }
}
