//! What the backend holds: every resource with the revision of its last write, deletions included.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use events::Revision;
use hs_admin::{Resource, ResourceKind};
use serde::{Deserialize, Serialize};

use super::{Checked, Document, Move, Refusal, Resident};

/// Most regressions that are named; all are counted.
const REGRESSED_NAMES_MAX: usize = 20;

/// What to do with a write that is older than what is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stale {
    /// Take it all the same, as a backend that ignores `X-Revision` does.
    #[default]
    Apply,
    /// Answer 409 `stale_revision`.
    Refuse,
}

/// The backend.
#[derive(Debug)]
pub struct Backend {
    stale: Stale,
    history_entries_max: usize,
    held: BTreeMap<Key, Held>,
    counts: Counts,
    arrivals: u64,
    /// What changed among devices and routers, where somebody watches.
    moves: Option<Vec<Move>>,
}

/// A write as it arrived.
#[derive(Clone, Debug)]
pub struct Write {
    /// When, RFC 3339.
    pub time: String,
    /// The HTTP method.
    pub method: &'static str,
    /// The revision that came with it.
    pub revision: Option<Revision>,
}

/// What a write asks for.
#[derive(Clone, Debug)]
pub enum Change {
    /// Hold this.
    Put(Checked),
    /// Hold nothing.
    Delete,
}

/// A write as it is remembered.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Position among all writes.
    pub sequence: u64,
    /// When it arrived.
    pub time: String,
    /// The HTTP method.
    pub method: &'static str,
    /// The revision that came with it.
    pub revision: Option<Revision>,
    /// What was answered; null where a fault left it without an answer.
    pub status: Option<u16>,
    /// The body as received.
    pub body: Option<Document>,
}

/// One page of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// Bodies as received, in the order of their ids.
    pub items: Vec<Document>,
    /// Where the next page begins; null behind the last.
    pub next: Option<String>,
}

/// What the backend holds and has seen, in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Devices held.
    pub devices: usize,
    /// Routers held.
    pub routers: usize,
    /// Routers' feature flags held.
    pub feature_flags: usize,
    /// Agent packages held.
    pub agent_packages: usize,
    /// Documents of ISPs held.
    pub system: usize,
    /// What was seen.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What the backend has seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Writes that were done, by method; an item of a batch is a write.
    pub writes: BTreeMap<&'static str, u64>,
    /// Writes older than what was held.
    pub regressions: u64,
    /// Paths of the first of them.
    pub regressed: Vec<String>,
    /// Writes that were refused for what they say.
    pub rejected: u64,
    /// Requests that a fault spoiled.
    pub faulted: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Collection {
    Devices,
    Routers,
    FeatureFlags,
    AgentPackages,
    System,
}

type Key = (Collection, String);

#[derive(Debug, Default)]
struct Held {
    /// The highest of all writes that were done, deletions included.
    revision: Option<Revision>,
    body: Option<Document>,
    resident: Option<Resident>,
    history: VecDeque<Entry>,
}

impl Backend {
    /// A backend that holds nothing.
    pub fn new(stale: Stale, history_entries_max: usize) -> Self {
        Self {
            stale,
            history_entries_max,
            held: BTreeMap::new(),
            counts: Counts::default(),
            arrivals: 0,
            moves: None,
        }
    }

    /// Does a write and answers with its status.
    ///
    /// # Errors
    /// Why it was not done.
    pub fn write(
        &mut self,
        write: Write,
        resource: &Resource,
        change: Change,
    ) -> Result<u16, Refusal> {
        let body = match &change {
            Change::Put(checked) => Some(checked.document.clone()),
            Change::Delete => None,
        };
        let answer = self.apply(&write, resource, change);
        match &answer {
            Ok(_) => *self.counts.writes.entry(write.method).or_default() += 1,
            Err(refusal) => self.count_rejected(refusal, write.method),
        }
        let status = answer.as_ref().map_or_else(|it| it.status, |it| *it);
        self.remember(write, resource, Some(status), body);
        answer
    }

    /// Remembers a write that was refused before it could be read as one.
    pub fn reject(
        &mut self,
        write: Write,
        resource: &Resource,
        refusal: &Refusal,
        body: Option<Document>,
    ) {
        self.count_rejected(refusal, write.method);
        self.remember(write, resource, Some(refusal.status), body);
    }

    /// Counts a refusal that belongs to no resource.
    pub fn count_rejected(&mut self, refusal: &Refusal, method: &str) {
        // To delete what is not there is a success by another name.
        if !(method == "DELETE" && refusal.status == 404) {
            self.counts.rejected += 1;
        }
    }

    /// Counts a request that a fault spoiled.
    pub fn count_faulted(&mut self) {
        self.counts.faulted += 1;
    }

    /// Remembers a write as it arrived and what was answered.
    pub fn remember(
        &mut self,
        write: Write,
        resource: &Resource,
        status: Option<u16>,
        body: Option<Document>,
    ) {
        self.arrivals += 1;
        let Write { time, method, revision } = write;
        let sequence = self.arrivals;
        let held = self.held.entry(key(resource)).or_default();
        if held.history.len() >= self.history_entries_max {
            held.history.pop_front();
        }
        held.history.push_back(Entry { sequence, time, method, revision, status, body });
    }

    /// Devices, routers or agent packages in the order of their ids; other kinds have no list.
    pub fn list(&self, kind: ResourceKind, after: Option<&str>, limit: usize) -> Page {
        let Some(collection) = listed(kind) else { return Page { items: vec![], next: None } };
        let from = match after {
            Some(id) => Bound::Excluded((collection, id.to_owned())),
            None => Bound::Included((collection, String::new())),
        };
        let mut held = self
            .held
            .range((from, Bound::Unbounded))
            .take_while(|(key, _)| key.0 == collection)
            .filter_map(|(key, held)| Some((&key.1, held.body.as_ref()?)));
        let page: Vec<_> = held.by_ref().take(limit).collect();
        let next = held.next().and(page.last()).map(|(id, _)| (*id).clone());
        Page { items: page.into_iter().map(|(_, body)| body.clone()).collect(), next }
    }

    /// What is held and what was seen.
    pub fn summary(&self) -> Summary {
        let count = |collection| {
            self.held.iter().filter(|(key, it)| key.0 == collection && it.body.is_some()).count()
        };
        Summary {
            devices: count(Collection::Devices),
            routers: count(Collection::Routers),
            feature_flags: count(Collection::FeatureFlags),
            agent_packages: count(Collection::AgentPackages),
            system: count(Collection::System),
            counts: self.counts.clone(),
        }
    }

    /// Everything, by id; flags by that of their router, documents of ISPs by `<isp_id>/<document>`.
    pub fn dump(&self) -> BTreeMap<&'static str, BTreeMap<String, Document>> {
        let all = |collection| {
            let held = self.held.iter().filter(|(key, _)| key.0 == collection);
            held.filter_map(|(key, it)| Some((key.1.clone(), it.body.clone()?))).collect()
        };
        BTreeMap::from([
            ("devices", all(Collection::Devices)),
            ("routers", all(Collection::Routers)),
            ("feature_flags", all(Collection::FeatureFlags)),
            ("agent_packages", all(Collection::AgentPackages)),
            ("system", all(Collection::System)),
        ])
    }

    /// Whether a resource is there.
    pub fn holds(&self, resource: &Resource) -> bool {
        self.held.get(&key(resource)).is_some_and(|it| it.body.is_some())
    }

    /// The last writes of a resource, the oldest first.
    pub fn history(&self, resource: &Resource) -> Vec<Entry> {
        self.held
            .get(&key(resource))
            .map_or_else(Vec::new, |it| it.history.iter().cloned().collect())
    }

    /// Forgets everything, revisions and counts included.
    pub fn forget(&mut self) {
        let moves = self.moves.is_some().then(|| vec![Move::AllOut]);
        *self = Self::new(self.stale, self.history_entries_max);
        self.moves = moves;
    }

    /// The devices and routers that are held, in the order of their ids. From now on changes among them are noted.
    pub fn watch(&mut self) -> Vec<Resident> {
        self.moves = Some(Vec::new());
        self.held.values().filter_map(|it| it.resident.clone()).collect()
    }

    /// The changes among devices and routers since the last look.
    pub fn moved(&mut self) -> Vec<Move> {
        self.moves.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nobody looks at the changes any more.
    pub fn unwatch(&mut self) {
        self.moves = None;
    }

    fn apply(
        &mut self,
        write: &Write,
        resource: &Resource,
        change: Change,
    ) -> Result<u16, Refusal> {
        let key = key(resource);
        self.guard_revision(write, resource, &key)?;
        if let Change::Put(checked) = &change {
            self.guard_references(resource, checked)?;
        }
        let held = self.held.entry(key).or_default();
        held.revision = held.revision.max(write.revision);
        match change {
            Change::Put(checked) => {
                held.body = Some(checked.document);
                held.resident = checked.resident;
                if let Some(moves) = &mut self.moves {
                    moves.extend(held.resident.clone().map(Move::In));
                }
                Ok(204)
            }
            Change::Delete => {
                let held_before = held.body.take();
                held.resident = None;
                if let (Some(moves), Some(_)) = (&mut self.moves, &held_before) {
                    moves.extend(out(resource));
                }
                if let Resource::Router(id) = resource
                    && let Some(flags) =
                        self.held.get_mut(&self::key(&Resource::FeatureFlags(id.clone())))
                {
                    // A router takes its flags along.
                    flags.body = None;
                }
                match held_before {
                    Some(_) => Ok(204),
                    None => Err(Refusal::not_found("there is no such resource")),
                }
            }
        }
    }

    fn guard_revision(
        &mut self,
        write: &Write,
        resource: &Resource,
        key: &Key,
    ) -> Result<(), Refusal> {
        let held = self.held.get(key).and_then(|it| it.revision);
        let (Some(held), Some(revision)) = (held, write.revision) else { return Ok(()) };
        if revision >= held {
            return Ok(());
        }
        self.counts.regressions += 1;
        if self.counts.regressed.len() < REGRESSED_NAMES_MAX {
            self.counts.regressed.push(format!("{resource}: {revision} after {held}"));
        }
        match self.stale {
            Stale::Apply => Ok(()),
            Stale::Refuse => {
                Err(Refusal::new(409, "stale_revision", format!("revision {held} is held")))
            }
        }
    }

    fn guard_references(&self, resource: &Resource, checked: &Checked) -> Result<(), Refusal> {
        if let Some(package) = checked.target_agent_package()
            && !self.holds(&Resource::AgentPackage(package.clone()))
        {
            return Err(Refusal::new(
                409,
                "unknown_agent_package",
                format!("no package {package}"),
            ));
        }
        if let Resource::FeatureFlags(router) = resource
            && !self.holds(&Resource::Router(router.clone()))
        {
            return Err(Refusal::not_found(format!("no router {router}")));
        }
        Ok(())
    }
}

/// What is gone with a resource.
fn out(resource: &Resource) -> Option<Move> {
    match resource {
        Resource::Device(id) => Some(Move::DeviceOut(id.clone())),
        Resource::Router(id) => Some(Move::RouterOut(id.clone())),
        Resource::FeatureFlags(_) | Resource::AgentPackage(_) | Resource::System(..) => None,
    }
}

fn listed(kind: ResourceKind) -> Option<Collection> {
    match kind {
        ResourceKind::Device => Some(Collection::Devices),
        ResourceKind::Router => Some(Collection::Routers),
        ResourceKind::AgentPackage => Some(Collection::AgentPackages),
        ResourceKind::FeatureFlags | ResourceKind::System | ResourceKind::Status => None,
    }
}

fn key(resource: &Resource) -> Key {
    match resource {
        Resource::Device(id) => (Collection::Devices, id.to_string()),
        Resource::Router(id) => (Collection::Routers, id.to_string()),
        Resource::FeatureFlags(id) => (Collection::FeatureFlags, id.to_string()),
        Resource::AgentPackage(id) => (Collection::AgentPackages, id.to_string()),
        Resource::System(isp_id, document) => {
            (Collection::System, format!("{isp_id}/{}", document.as_str()))
        }
    }
}
