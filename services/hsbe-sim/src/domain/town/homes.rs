//! Who lives where: homes that are in the town, and those that would be if there were room.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
};

use events::{AccountId, AgentPackageId, DeviceId, IspId, MacAddress};
use fastrand::Rng;

/// A device or a router that the backend holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resident {
    /// The entity.
    pub id: DeviceId,
    /// The tenant.
    pub isp_id: IspId,
    /// The household.
    pub account_id: AccountId,
    /// Its address in the home's network.
    pub mac: MacAddress,
    /// Which of both it is.
    pub role: Role,
}

/// A device or a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A device.
    Device,
    /// A router.
    Router {
        /// The agent package that it is to run.
        target: Option<AgentPackageId>,
    },
}

/// Something changed in what the backend holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// It holds this now.
    In(Resident),
    /// It does not hold this device any more.
    DeviceOut(DeviceId),
    /// It does not hold this router any more.
    RouterOut(DeviceId),
    /// It holds nothing any more.
    AllOut,
}

pub(super) type Address = (IspId, AccountId);

/// The homes of a town.
#[derive(Clone, Debug)]
pub(super) struct Homes {
    most: usize,
    all: BTreeMap<Address, Home>,
    /// Homes with a router for which there is no room.
    waiting: BTreeSet<Address>,
    doors: Picks<Address>,
    devices: Picks<DeviceId>,
    device_at: HashMap<DeviceId, Address>,
    router_at: HashMap<DeviceId, Address>,
}

#[derive(Clone, Debug, Default)]
struct Home {
    routers: BTreeSet<DeviceId>,
    devices: BTreeMap<DeviceId, MacAddress>,
}

/// A device of the town with its home.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) id: &'a DeviceId,
    pub(super) isp_id: &'a IspId,
    pub(super) account_id: &'a AccountId,
    pub(super) mac: &'a MacAddress,
    pub(super) router_id: &'a DeviceId,
}

impl Homes {
    /// Room for so many homes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            all: BTreeMap::new(),
            waiting: BTreeSet::new(),
            doors: Picks::default(),
            devices: Picks::default(),
            device_at: HashMap::new(),
            router_at: HashMap::new(),
        }
    }

    /// How many homes the town has.
    pub(super) fn len(&self) -> usize {
        self.doors.len()
    }

    /// How many devices those have, without their routers.
    pub(super) fn devices(&self) -> usize {
        self.devices.len()
    }

    /// One of the homes.
    pub(super) fn any_home(&self, rng: &mut Rng) -> Option<&Address> {
        self.doors.any(rng)
    }

    /// One of the devices.
    pub(super) fn any_device(&self, rng: &mut Rng) -> Option<Subject<'_>> {
        let id = self.devices.any(rng)?;
        let address = self.device_at.get(id)?;
        let home = self.all.get(address)?;
        let (isp_id, account_id) = address;
        let (mac, router_id) = (home.devices.get(id)?, home.routers.first()?);
        Some(Subject { id, isp_id, account_id, mac, router_id })
    }

    /// Somebody is there, whether for the first time or not.
    pub(super) fn arrive(&mut self, it: &Resident) {
        let address = (it.isp_id.clone(), it.account_id.clone());
        match &it.role {
            Role::Device => {
                if self.device_at.get(&it.id).is_some_and(|at| *at != address) {
                    self.device_leaves(&it.id);
                }
                self.device_at.insert(it.id.clone(), address.clone());
                if self.doors.has(&address) {
                    self.devices.add(&it.id);
                }
                let home = self.all.entry(address).or_default();
                home.devices.insert(it.id.clone(), it.mac.clone());
            }
            Role::Router { .. } => {
                if self.router_at.get(&it.id).is_some_and(|at| *at != address) {
                    self.router_leaves(&it.id);
                }
                self.router_at.insert(it.id.clone(), address.clone());
                let home = self.all.entry(address.clone()).or_default();
                home.routers.insert(it.id.clone());
                if !self.doors.has(&address) {
                    self.waiting.insert(address);
                    self.fill();
                }
            }
        }
    }

    /// A device is gone.
    pub(super) fn device_leaves(&mut self, id: &DeviceId) {
        let Some(address) = self.device_at.remove(id) else { return };
        self.devices.remove(id);
        if let Some(home) = self.all.get_mut(&address) {
            home.devices.remove(id);
        }
        self.drop_empty(&address);
    }

    /// A router is gone, and its home with it where that has no other.
    pub(super) fn router_leaves(&mut self, id: &DeviceId) {
        let Some(address) = self.router_at.remove(id) else { return };
        let Some(home) = self.all.get_mut(&address) else { return };
        home.routers.remove(id);
        if home.routers.is_empty() {
            home.devices.keys().for_each(|it| self.devices.remove(it));
            self.doors.remove(&address);
            self.waiting.remove(&address);
        }
        self.drop_empty(&address);
        self.fill();
    }

    /// Nobody is there.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most);
    }

    /// Lets those in who wait, as far as there is room.
    fn fill(&mut self) {
        while self.doors.len() < self.most {
            let Some(address) = self.waiting.pop_first() else { return };
            if let Some(home) = self.all.get(&address) {
                home.devices.keys().for_each(|it| self.devices.add(it));
            }
            self.doors.add(&address);
        }
    }

    fn drop_empty(&mut self, address: &Address) {
        let is_empty = |it: &Home| it.routers.is_empty() && it.devices.is_empty();
        if self.all.get(address).is_some_and(is_empty) {
            self.all.remove(address);
        }
    }
}

/// Some of which any can be picked at once.
#[derive(Clone, Debug)]
struct Picks<T> {
    all: Vec<T>,
    at: HashMap<T, usize>,
}

impl<T> Default for Picks<T> {
    fn default() -> Self {
        Self { all: Vec::new(), at: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Picks<T> {
    fn len(&self) -> usize {
        self.all.len()
    }

    fn has(&self, it: &T) -> bool {
        self.at.contains_key(it)
    }

    fn any(&self, rng: &mut Rng) -> Option<&T> {
        rng.choice(&self.all)
    }

    fn add(&mut self, it: &T) {
        if !self.has(it) {
            self.at.insert(it.clone(), self.all.len());
            self.all.push(it.clone());
        }
    }

    fn remove(&mut self, it: &T) {
        let Some(at) = self.at.remove(it) else { return };
        self.all.swap_remove(at);
        if let Some(moved) = self.all.get(at) {
            self.at.insert(moved.clone(), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident(id: &str, account: &str) -> Resident {
        let role = match id.starts_with('r') {
            true => Role::Router { target: None },
            false => Role::Device,
        };
        Resident {
            id: id.parse().expect("an id"),
            isp_id: "isp-1".parse().expect("an id"),
            account_id: account.parse().expect("an id"),
            mac: "3c:22:fb:01:02:03".to_owned().try_into().expect("an address"),
            role,
        }
    }

    /// The devices of the town, in the order of their ids.
    fn devices(homes: &Homes) -> String {
        let mut all: Vec<_> = homes.devices.all.iter().map(DeviceId::as_str).collect();
        all.sort_unstable();
        format!("{}: {}", homes.len(), all.join(" "))
    }

    #[test]
    fn a_home_is_an_account_with_a_router_and_the_town_has_room_for_some() {
        let mut homes = Homes::new(2);
        for (id, account) in [("d-1", "a-1"), ("d-2", "a-2"), ("r-1", "a-1"), ("d-3", "a-1")] {
            homes.arrive(&resident(id, account));
        }
        assert_eq!(devices(&homes), "1: d-1 d-3");
        for (id, account) in [("r-3", "a-3"), ("d-4", "a-3"), ("r-2", "a-2"), ("r-2", "a-2")] {
            homes.arrive(&resident(id, account));
        }
        assert_eq!(devices(&homes), "2: d-1 d-3 d-4");
        // One that goes makes room for one that waits.
        homes.router_leaves(&"r-3".parse().expect("an id"));
        assert_eq!(devices(&homes), "2: d-1 d-2 d-3");
        homes.device_leaves(&"d-1".parse().expect("an id"));
        homes.device_leaves(&"d-1".parse().expect("an id"));
        assert_eq!(devices(&homes), "2: d-2 d-3");
        // A device moves.
        homes.arrive(&resident("d-3", "a-9"));
        assert_eq!(devices(&homes), "2: d-2");
        homes.clear();
        assert_eq!(devices(&homes), "0: ");
    }

    #[test]
    fn a_home_keeps_its_place_until_its_last_router_is_gone() {
        let mut homes = Homes::new(1);
        for (id, account) in [("r-1", "a-1"), ("r-2", "a-1"), ("d-1", "a-1")] {
            homes.arrive(&resident(id, account));
        }
        homes.router_leaves(&"r-1".parse().expect("an id"));
        let mut rng = Rng::with_seed(1);
        let subject = homes.any_device(&mut rng).expect("there is one");
        assert_eq!((subject.id.as_str(), subject.router_id.as_str()), ("d-1", "r-2"));
        homes.router_leaves(&"r-2".parse().expect("an id"));
        assert_eq!(devices(&homes), "0: ");
        assert!(homes.any_device(&mut rng).is_none());
    }
}
