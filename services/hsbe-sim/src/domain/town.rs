//! A small town: homes whose devices and routers say what happens to them.
//!
//! What it says follows from its plan, from what the backend holds and from when that changed, and from nothing else.

mod counts;
mod homes;
mod pace;
mod plan;
mod routers;

use std::{collections::BTreeMap, time::Duration};

use events::{
    AccountId, Activity, AgentInstallation, Blocked, Category, Connected, DeviceId, DeviceType,
    Discovered, EventId, HomeEvent, HsEvent, InstallationStatus, IspId, MacAddress, Text, Threat,
    TopicEvent as _,
};
use fastrand::Rng;
use jiff::Timestamp;
use serde::Serialize;

pub use counts::Counts;
pub use homes::{Move, Resident, Role};
pub use plan::{Bad, BadShares, Installing, Mix, Plan};
pub use routers::Router;

use homes::{Homes, Subject};
use pace::Pace;
use plan::Happening;
use routers::{Installed, Routers};

/// How far bad events are in the future, and how much older they are than the topic keeps.
const FUTURE_MS: i64 = 60 * 60 * 1_000;
const OLDER_MS: i64 = 24 * 60 * 60 * 1_000;
const HOUR_MS: i64 = 60 * 60 * 1_000;
/// In one of so many events the backend does not say which household it is.
const ACCOUNT_UNSAID: u32 = 10;
const CATEGORIES: [Category; 6] = [
    Category::Adult,
    Category::Chat,
    Category::Gambling,
    Category::Games,
    Category::Social,
    Category::Streaming,
];
const THREATS: [&str; 3] = ["phishing", "malware", "botnet"];
const TYPES: [DeviceType; 5] =
    [DeviceType::Phone, DeviceType::Tablet, DeviceType::Tv, DeviceType::Camera, DeviceType::Other];
const NAMES: [&str; 4] = ["a phone", "a tablet", "the new television", "door camera"];

/// A town.
#[derive(Clone, Debug)]
pub struct Town {
    plan: Plan,
    name: EventId,
    began: Timestamp,
    rng: Rng,
    pace: Pace,
    homes: Homes,
    routers: Routers,
    /// Which devices send, as far as they have said so.
    active: BTreeMap<DeviceId, bool>,
    made: u64,
    counts: Counts,
}

/// An event that is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sending {
    /// The event.
    pub event: HsEvent,
    /// What is wrong with it.
    pub bad: Option<Bad>,
}

/// A town in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct TownState {
    /// How the ids of its events begin. The `n`th event has the id `<name>-<n>`, from 0 on; one that is bad says so
    /// behind it: `<name>-<n>-<kind>`.
    pub name: EventId,
    /// What it is to be like.
    pub plan: Plan,
    /// When it began.
    pub began: String,
    /// Its homes.
    pub homes: usize,
    /// Their devices.
    pub devices: usize,
    /// Routers that are installing an agent package.
    pub installing: usize,
    /// Events of devices that are still to come, where there is an end.
    pub left: Option<u64>,
    /// Whether nothing is to come and nothing on its way to the broker.
    pub quiet: bool,
    /// Events that were made; those that are neither sent nor unsent are on their way to the broker.
    pub made: u64,
    /// What was sent.
    #[serde(flatten)]
    pub counts: Counts,
}

impl Town {
    /// A town of what is held already. Its routers run what they are to run.
    pub fn new(plan: Plan, name: EventId, began: Timestamp, residents: &[Resident]) -> Self {
        let mut town = Self {
            name,
            began,
            rng: Rng::with_seed(plan.seed),
            pace: Pace::new(&plan),
            homes: Homes::new(plan.homes),
            routers: Routers::new(plan.agents.clone(), plan.seed),
            active: BTreeMap::new(),
            made: 0,
            counts: Counts::default(),
            plan,
        };
        for it in residents {
            town.homes.arrive(it);
            town.routers.settle(it);
        }
        town
    }

    /// What is held has changed, so long after the town began.
    pub fn note(&mut self, moved: &Move, at: Duration) {
        match moved {
            Move::In(it) => {
                self.homes.arrive(it);
                self.routers.tell(at, it);
            }
            Move::DeviceOut(id) => {
                self.homes.device_leaves(id);
                self.active.remove(id);
            }
            Move::RouterOut(id) => {
                self.homes.router_leaves(id);
                self.routers.leave(id);
            }
            Move::AllOut => {
                self.homes.clear();
                self.routers.leave_all();
                self.active.clear();
            }
        }
    }

    /// What has happened so long after the town began and was not yet told, at most so many events.
    pub fn step(&mut self, until: Duration, most: usize) -> Vec<Sending> {
        let mut all = Vec::new();
        let is_empty = self.homes.len() == 0;
        if is_empty {
            self.pace.wait_until(until);
        }
        while all.len() < most {
            let of_device = self.pace.next().filter(|it| !is_empty && *it <= until);
            let of_router = self.routers.next().filter(|it| *it <= until);
            match (of_device, of_router) {
                (None, None) => break,
                (Some(at), None) => all.extend(self.happen(at)),
                (Some(at), Some(later)) if at < later => all.extend(self.happen(at)),
                (_, Some(at)) => {
                    if let Some(it) = self.routers.finish() {
                        all.push(self.installation(at, it));
                    }
                }
            }
        }
        all
    }

    /// The broker has acknowledged an event.
    pub fn count_sent(&mut self, it: &Sending) {
        self.counts.add(it);
    }

    /// The broker has not acknowledged an event, and nobody waits for that any more.
    pub fn count_unsent(&mut self) {
        self.counts.unsent += 1;
    }

    /// The town in numbers.
    pub fn state(&self) -> TownState {
        let (left, installing) = (self.pace.left(), self.routers.installing());
        let on_their_way = self.made - self.counts.sent - self.counts.unsent;
        TownState {
            name: self.name.clone(),
            plan: self.plan.clone(),
            began: self.began.to_string(),
            homes: self.homes.len(),
            devices: self.homes.devices(),
            installing,
            left,
            quiet: left == Some(0) && installing == 0 && on_their_way == 0,
            made: self.made,
            counts: self.counts.clone(),
        }
    }

    /// Every router and its software.
    pub fn routers(&self) -> &BTreeMap<DeviceId, Router> {
        self.routers.all()
    }

    /// Which devices send, by the last that they have said of it.
    pub fn active(&self) -> &BTreeMap<DeviceId, bool> {
        &self.active
    }

    /// Something happens to a device, where there is one that it could happen to.
    fn happen(&mut self, at: Duration) -> Option<Sending> {
        let bad = self.plan.bad.draw(&mut self.rng);
        let mut happening = self.plan.mix.draw(&mut self.rng);
        if bad.is_some() && happening == Happening::NewDevice {
            // Whoever hears of a new device cannot know that something is wrong.
            happening = Happening::Active;
        }
        let made = match happening {
            Happening::NewDevice => self.discover(at),
            Happening::Connected | Happening::Active | Happening::Blocked | Happening::Threat => {
                self.happen_to_device(at, happening, bad)
            }
        };
        self.pace.pass(made.is_some());
        made
    }

    fn discover(&mut self, at: Duration) -> Option<Sending> {
        let (isp_id, account_id) = self.homes.any_home(&mut self.rng)?.clone();
        let named = self.rng.bool().then(|| text(self.pick(&NAMES)));
        let typed = self.rng.bool().then(|| self.pick(&TYPES));
        let (number, name) = (self.made, &self.name);
        let device_id = id(format!("{name}-d{number}"));
        let mac = self.new_mac();
        let detail = Discovered { mac, name: named, device_type: typed };
        let said = Said { at: self.time(at), isp_id, device_id, account_id: Some(account_id) };
        Some(self.sending(None, |event_id| HsEvent::NewDevice(said.with(event_id, detail))))
    }

    fn happen_to_device(
        &mut self,
        at: Duration,
        happening: Happening,
        bad: Option<Bad>,
    ) -> Option<Sending> {
        let Subject { id: device_id, isp_id, account_id, mac, router_id } =
            self.homes.any_device(&mut self.rng)?;
        let (mac, router_id) = (mac.clone(), router_id.clone());
        let unsaid = self.rng.u32(..ACCOUNT_UNSAID) == 0;
        let account_id = (!unsaid).then(|| account_id.clone());
        let mut said =
            Said { at: 0, isp_id: isp_id.clone(), device_id: device_id.clone(), account_id };
        said.at = self.time(at);
        self.spoil(&mut said, bad);
        Some(match happening {
            Happening::Connected => {
                let detail = Connected { router_id, mac };
                self.sending(bad, |id| HsEvent::Connected(said.with(id, detail)))
            }
            Happening::Active | Happening::NewDevice => {
                let active = self.turn(&said.device_id, bad);
                self.sending(bad, |id| HsEvent::Active(said.with(id, Activity { active })))
            }
            Happening::Blocked => {
                let number = self.rng.u8(..50);
                let domain = domain(format!("site-{number}.example"));
                let detail = Blocked { domain, category: self.pick(&CATEGORIES) };
                self.sending(bad, |id| HsEvent::Blocked(said.with(id, detail)))
            }
            Happening::Threat => {
                let number = self.rng.u8(..50);
                let domain = domain(format!("trap-{number}.example"));
                let detail = Threat { domain, threat: text(self.pick(&THREATS)) };
                self.sending(bad, |id| HsEvent::Threat(said.with(id, detail)))
            }
        })
    }

    fn installation(&mut self, at: Duration, it: Installed) -> Sending {
        let Installed { isp_id, account_id, router_id, package, status } = it;
        let error = match status {
            InstallationStatus::Installed => None,
            InstallationStatus::Failed => Some(text("the new image does not start")),
        };
        let detail = AgentInstallation { agent_package_id: package, status, error };
        let account_id = Some(account_id);
        let said = Said { at: self.time(at), isp_id, device_id: router_id, account_id };
        self.sending(None, |id| HsEvent::Agent(said.with(id, detail)))
    }

    /// A device begins to send, or ceases to. A bad event changes nothing.
    fn turn(&mut self, device_id: &DeviceId, bad: Option<Bad>) -> bool {
        let active = !self.active.get(device_id).copied().unwrap_or_default();
        if bad.is_none() {
            self.active.insert(device_id.clone(), active);
        }
        active
    }

    fn spoil(&self, said: &mut Said, bad: Option<Bad>) {
        match bad {
            None => {}
            Some(Bad::WrongIsp) => {
                let elsewhere = match said.isp_id.as_str() {
                    "isp-elsewhere" => "isp-nowhere",
                    _ => "isp-elsewhere",
                };
                said.isp_id = elsewhere.parse().expect("well formed");
            }
            Some(Bad::Future) => said.at += FUTURE_MS,
            Some(Bad::TooOld) => {
                let kept = i64::from(HsEvent::topic().retention_hours) * HOUR_MS;
                said.at -= kept + OLDER_MS;
            }
            Some(Bad::UnknownDevice) => {
                let (number, name) = (self.made, &self.name);
                said.device_id = id(format!("{name}-x{number}"));
            }
        }
    }

    /// Gives an event its id.
    fn sending(&mut self, bad: Option<Bad>, event: impl FnOnce(EventId) -> HsEvent) -> Sending {
        let (number, name) = (self.made, &self.name);
        self.made += 1;
        let event_id = match bad {
            None => format!("{name}-{number}"),
            Some(bad) => format!("{name}-{number}-{}", bad.as_str()),
        };
        let event_id = event_id.parse().expect("names are short, and of the characters of ids");
        Sending { event: event(event_id), bad }
    }

    /// Milliseconds since 1970.
    fn time(&self, at: Duration) -> i64 {
        let after = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        self.began.as_millisecond().saturating_add(after)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *self.rng.choice(from).expect("there are some")
    }

    /// An address that no other new device has.
    fn new_mac(&self) -> MacAddress {
        let [.., a, b, c, d] = self.made.to_be_bytes();
        let town = self.name.as_str().bytes().fold(0_u8, |sum, it| sum.wrapping_mul(31) ^ it);
        let mac = format!("06:{town:02x}:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
        mac.try_into().expect("written as an address")
    }
}

/// What every event says.
#[derive(Clone, Debug)]
struct Said {
    at: i64,
    isp_id: IspId,
    device_id: DeviceId,
    account_id: Option<AccountId>,
}

impl Said {
    fn with<D>(self, event_id: EventId, detail: D) -> HomeEvent<D> {
        let Self { at, isp_id, device_id, account_id } = self;
        let timestamp = Timestamp::from_millisecond(at).unwrap_or_default().into();
        HomeEvent { timestamp, event_id, isp_id, device_id, account_id, detail }
    }
}

fn id(text: String) -> DeviceId {
    text.try_into().expect("names are short, and of the characters of ids")
}

fn text(text: &str) -> Text {
    text.to_owned().try_into().expect("short, without control characters")
}

fn domain(text: String) -> events::DomainName {
    text.try_into().expect("labels with dots")
}

#[cfg(test)]
mod tests;
