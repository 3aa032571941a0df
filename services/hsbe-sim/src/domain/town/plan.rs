//! What a town is to be like.

use std::collections::BTreeMap;

use events::{AgentPackageId, EventId};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::domain::Refusal;

/// Most characters of a name, so that the ids that begin with it are ids.
const NAME_CHARS_MAX: usize = 32;
/// More than one process could send.
const EVENTS_PER_S_MAX: f64 = 1_000_000.0;

/// What a town is to be like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Most homes whose devices send events: accounts with a router that is held.
    pub homes: usize,
    /// Events of devices a second, in the mean of a day.
    pub events_per_s: f64,
    /// How many events of devices there are in all; absent means that they never end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// Seconds that a day takes, from six in the evening on, with few events in its night and many in its evening;
    /// absent means that it is always the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_seconds: Option<f64>,
    /// What everything drawn follows from.
    #[serde(default)]
    pub seed: u64,
    /// How the ids of its events begin; absent means a name that no other town has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<EventId>,
    /// How often there is which event.
    #[serde(default)]
    pub mix: Mix,
    /// Which shares of the events are bad ones.
    #[serde(default)]
    pub bad: BadShares,
    /// How routers install agent packages.
    #[serde(default)]
    pub agents: Installing,
}

/// How often there is which event of a device, beside the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// A device comes into its home's network.
    #[serde(default)]
    pub device_event_connected: f64,
    /// A device that nobody knew does.
    #[serde(default)]
    pub device_event_new_device: f64,
    /// A device begins or ceases to send.
    #[serde(default)]
    pub device_event_active: f64,
    /// A device is kept from a domain.
    #[serde(default)]
    pub device_event_blocked: f64,
    /// The same for its safety.
    #[serde(default)]
    pub device_event_threat: f64,
}

/// Which shares of the events are bad ones, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BadShares {
    /// They name an ISP that the device is not of.
    pub wrong_isp: f64,
    /// They happen in an hour.
    pub future: f64,
    /// They happened a day before the oldest that the topic keeps.
    pub too_old: f64,
    /// They are of a device that nobody has.
    pub unknown_device: f64,
}

/// How routers install the agent packages that they are to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Installing {
    /// Milliseconds that it takes.
    pub after_ms: u64,
    /// How likely it goes well, from 0 to 1.
    pub success: f64,
    /// The same for single packages.
    pub success_of: BTreeMap<AgentPackageId, f64>,
}

/// An event of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    Connected,
    NewDevice,
    Active,
    Blocked,
    Threat,
}

/// What makes an event a bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bad {
    /// It names an ISP that the device is not of.
    WrongIsp,
    /// It is yet to happen.
    Future,
    /// It is older than the topic keeps.
    TooOld,
    /// Nobody has the device.
    UnknownDevice,
}

impl Bad {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::WrongIsp, Self::Future, Self::TooOld, Self::UnknownDevice];

    /// Its name in a plan, in counts, and at the end of the event's id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WrongIsp => "wrong_isp",
            Self::Future => "future",
            Self::TooOld => "too_old",
            Self::UnknownDevice => "unknown_device",
        }
    }
}

impl Default for Mix {
    /// An ordinary day.
    fn default() -> Self {
        Self {
            device_event_connected: 18.0,
            device_event_new_device: 0.1,
            device_event_active: 50.0,
            device_event_blocked: 30.0,
            device_event_threat: 1.9,
        }
    }
}

impl Default for Installing {
    /// Two seconds, and it goes well.
    fn default() -> Self {
        Self { after_ms: 2_000, success: 1.0, success_of: BTreeMap::new() }
    }
}

impl Plan {
    /// Whether there can be such a town.
    ///
    /// # Errors
    /// Numbers out of their range, a name that is too long, a mix of nothing.
    pub fn check(&self) -> Result<(), Refusal> {
        let refuse = |detail: &str| Err(Refusal::malformed(detail));
        if !(0.0..=EVENTS_PER_S_MAX).contains(&self.events_per_s) {
            return refuse("events_per_s must be between 0 and 1000000");
        }
        if self.day_seconds.is_some_and(|it| !it.is_finite() || it < 1.0) {
            return refuse("day_seconds must be at least 1");
        }
        if self.name.as_ref().is_some_and(|it| it.as_str().len() > NAME_CHARS_MAX) {
            return refuse("name must have at most 32 characters");
        }
        let weights = self.mix.weights().map(|it| it.1);
        let is_weight = |it: &f64| it.is_finite() && *it >= 0.0;
        if !weights.iter().all(is_weight) || weights.iter().sum::<f64>() <= 0.0 {
            return refuse("a mix is of numbers from 0 on, not all of them 0");
        }
        let shares = self.bad.shares().map(|it| it.1);
        if !shares.iter().all(is_weight) || shares.iter().sum::<f64>() > 1.0 {
            return refuse("shares of bad events must be at least 0, and at most 1 together");
        }
        let mut successes = self.agents.success_of.values().chain([&self.agents.success]);
        if !successes.all(|it| (0.0..=1.0).contains(it)) {
            return refuse("success must be between 0 and 1");
        }
        Ok(())
    }
}

impl Mix {
    fn weights(&self) -> [(Happening, f64); 5] {
        [
            (Happening::Connected, self.device_event_connected),
            (Happening::NewDevice, self.device_event_new_device),
            (Happening::Active, self.device_event_active),
            (Happening::Blocked, self.device_event_blocked),
            (Happening::Threat, self.device_event_threat),
        ]
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> Happening {
        let weights = self.weights();
        let sum = weights.iter().map(|it| it.1).sum::<f64>();
        // What rounding leaves over is given to the last.
        draw(&weights, rng.f64() * sum).unwrap_or(Happening::Threat)
    }
}

impl BadShares {
    fn shares(&self) -> [(Bad, f64); 4] {
        let of = |bad| match bad {
            Bad::WrongIsp => self.wrong_isp,
            Bad::Future => self.future,
            Bad::TooOld => self.too_old,
            Bad::UnknownDevice => self.unknown_device,
        };
        Bad::ALL.map(|it| (it, of(it)))
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> Option<Bad> {
        draw(&self.shares(), rng.f64())
    }
}

impl Installing {
    pub(super) fn success_of(&self, package: &AgentPackageId) -> f64 {
        self.success_of.get(package).copied().unwrap_or(self.success)
    }
}

/// The one of these in whose stretch the point lies; nothing behind the last.
fn draw<T: Copy>(stretches: &[(T, f64)], point: f64) -> Option<T> {
    let mut end = 0.0;
    let lies_in = |it: &&(T, f64)| {
        end += it.1;
        point < end
    };
    stretches.iter().find(lies_in).map(|it| it.0)
}
