//! What a town has sent, in numbers.

use std::collections::BTreeMap;

use events::{HsEvent, InstallationStatus, TopicEvent as _};
use serde::Serialize;

use super::{Bad, Sending};

/// What the broker has acknowledged, to the event.
#[derive(Clone, Debug, Serialize)]
pub struct Counts {
    /// All of it.
    pub sent: u64,
    /// Events that are as they should be, by type.
    pub good: BTreeMap<&'static str, u64>,
    /// Bad ones, by what is wrong with them.
    pub bad: BTreeMap<&'static str, u64>,
    /// Among the good ones: how installations of agent packages went.
    pub agents: BTreeMap<&'static str, u64>,
    /// Events that the broker did not acknowledge; it may still have them.
    pub unsent: u64,
}

impl Default for Counts {
    fn default() -> Self {
        let zero = |name| (name, 0);
        Self {
            sent: 0,
            good: HsEvent::topic().events.iter().map(|it| zero(it.name)).collect(),
            bad: Bad::ALL.map(|it| zero(it.as_str())).into(),
            agents: STATUSES.map(|it| zero(name(it))).into(),
            unsent: 0,
        }
    }
}

const STATUSES: [InstallationStatus; 2] =
    [InstallationStatus::Installed, InstallationStatus::Failed];

impl Counts {
    pub(super) fn add(&mut self, it: &Sending) {
        self.sent += 1;
        match it.bad {
            Some(bad) => *self.bad.entry(bad.as_str()).or_default() += 1,
            None => *self.good.entry(it.event.event_type()).or_default() += 1,
        }
        match &it.event {
            HsEvent::Agent(it) => *self.agents.entry(name(it.detail.status)).or_default() += 1,
            HsEvent::Connected(_)
            | HsEvent::NewDevice(_)
            | HsEvent::Active(_)
            | HsEvent::Blocked(_)
            | HsEvent::Threat(_) => {}
        }
    }
}

fn name(status: InstallationStatus) -> &'static str {
    match status {
        InstallationStatus::Installed => "installed",
        InstallationStatus::Failed => "failed",
    }
}
