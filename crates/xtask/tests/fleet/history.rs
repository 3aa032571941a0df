//! Random histories: events of ISPs, accounts, users and devices, and what ISPs set by REST meanwhile.

use fastrand::Rng;
use serde_json::{Map, Value, json};
use testkit::records::Event;
use xtask::demo::Put;

const EVENTS: usize = 120;
/// Requests of each ISP.
const CHANGES: usize = 6;
/// Revisions are drawn from few, so that late, equal and superseded events are common.
const REVISIONS: u64 = 30;

const CATEGORIES: &[&str] =
    &["adult", "gambling", "violence", "drugs", "social", "games", "chat", "malware_risk"];
const TYPES: &[&str] = &["router", "phone", "tablet", "tv", "camera", "plug", "printer", "other"];

/// What one ISP sets by REST, one after the other.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) isp_id: String,
    pub(crate) all: Vec<(&'static str, Value)>,
}

impl Changes {
    /// The requests as the source of an expectation.
    pub(crate) fn puts(&self) -> impl Iterator<Item = Put<'_>> {
        let isp_id = &self.isp_id;
        self.all.iter().map(move |(path, body)| Put { isp_id, path, body })
    }
}

/// One small world: its ids begin with its seed, two ISPs share its homes.
struct History {
    rng: Rng,
    seed: u64,
    /// Two different states never have one revision: entity, id, revision.
    taken: std::collections::BTreeSet<(&'static str, String, u64)>,
}

impl History {
    fn id(&mut self, kind: &str, of: u64) -> (String, u64) {
        let number = self.rng.u64(..of);
        (format!("h{}-{kind}{number}", self.seed), number % 2)
    }

    fn isp(&self, number: u64) -> String {
        format!("h{}-isp{number}", self.seed)
    }

    /// An account of this ISP.
    fn account_of(&mut self, isp: u64) -> String {
        format!("h{}-a{}", self.seed, self.rng.u64(..2) * 2 + isp)
    }

    fn pick(&mut self, from: &[&str]) -> Value {
        json!(from[self.rng.usize(..from.len())])
    }

    fn sometimes(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    /// A revision that no other state of this entity has.
    fn revision(&mut self, kind: &'static str, id: &str) -> Option<u64> {
        let revision = self.rng.u64(1..=REVISIONS);
        self.taken.insert((kind, id.to_owned(), revision)).then_some(revision)
    }

    fn says(&mut self, mut entity: Value) -> Value {
        if self.sometimes(60) {
            entity["services"] = self.services();
        }
        if self.sometimes(40) {
            let list = |history: &mut Self| -> Vec<String> {
                (0..history.rng.u8(..3))
                    .map(|_| format!("d{}.example", history.rng.u8(..5)))
                    .collect()
            };
            let (allow, block) = (list(self), list(self));
            entity["rules"] = json!({"allow": allow, "block": block});
        }
        entity
    }

    fn services(&mut self) -> Value {
        let mut filtering = Map::new();
        for leaf in ["enabled", "safe_search"] {
            if self.sometimes(40) {
                filtering.insert(leaf.to_owned(), json!(self.rng.bool()));
            }
        }
        if self.sometimes(40) {
            let categories: Vec<Value> =
                (0..self.rng.u8(..4)).map(|_| self.pick(CATEGORIES)).collect();
            filtering.insert("categories".to_owned(), json!(categories));
        }
        if self.sometimes(20) {
            filtering.insert("blocking_page_url".to_owned(), json!("https://isp.example/blocked"));
        }
        let protection =
            if self.sometimes(40) { json!({"enabled": self.rng.bool()}) } else { Value::Null };
        json!({"content_filtering": filtering, "threat_protection": protection})
    }

    fn account(&mut self) -> Option<Value> {
        let (id, isp) = self.id("a", 4);
        let revision = self.revision("account", &id)?;
        let status = self.pick(&["active", "active", "suspended"]);
        Some(self.says(json!({
            "isp_id": self.isp(isp), "account_id": id, "revision": revision, "status": status,
        })))
    }

    fn user(&mut self) -> Option<Value> {
        let (id, isp) = self.id("u", 6);
        let revision = self.revision("user", &id)?;
        let (kind, age) =
            (self.pick(&["parent", "child", "child"]), self.pick(&["child", "teen", "adult"]));
        let account = self.account_of(isp);
        Some(self.says(json!({
            "isp_id": self.isp(isp), "account_id": account, "user_id": id, "revision": revision,
            "name": "somebody", "kind": kind, "age_group": age,
        })))
    }

    fn device(&mut self) -> Option<Value> {
        let (id, isp) = self.id("d", 12);
        let revision = self.revision("device", &id)?;
        let (account, kind) = (self.account_of(isp), self.pick(&["router", "device", "device"]));
        let device_type = self.pick(TYPES);
        let user = self.rng.u64(..3) * 2 + isp;
        let user = self.sometimes(70).then(|| format!("h{}-u{user}", self.seed));
        let enabled = self.sometimes(30).then(|| self.rng.bool());
        let flags = self.sometimes(30).then(|| json!({"dns_over_tls": self.rng.bool()}));
        let intervals = self.sometimes(20).then(|| json!({"status": self.rng.u8(1..=60)}));
        Some(self.says(json!({
            "isp_id": self.isp(isp), "account_id": account, "device_id": id, "revision": revision,
            "kind": kind, "name": "something", "device_type": device_type,
            "mac": "3c:22:fb:00:00:01", "user_id": user, "enabled": enabled,
            "flags": flags, "upload_intervals": intervals,
        })))
    }

    fn deletion(&mut self, kind: &str, of: u64) -> (String, Value) {
        let (id, isp) = self.id(kind, of);
        let account = if kind == "a" { id.clone() } else { self.account_of(isp) };
        let revision = self.rng.u64(1..=REVISIONS);
        (id, json!({"isp_id": self.isp(isp), "account_id": account, "revision": revision}))
    }

    fn event(&mut self) -> Option<(&'static str, Value)> {
        let happened = |created, updated, now: bool| if now { created } else { updated };
        let now = self.rng.bool();
        Some(match self.rng.u8(..100) {
            0..8 => {
                let isp = self.rng.u64(..2);
                let isp = self.isp(isp);
                let revision = self.revision("isp", &isp)?;
                let said = self.says(json!({"isp_id": isp, "revision": revision}));
                (
                    happened(
                        "ISPGlobalConfigurationsCreated",
                        "ISPGlobalConfigurationsUpdated",
                        now,
                    ),
                    said,
                )
            }
            8..25 => (happened("AccountCreated", "AccountUpdated", now), self.account()?),
            25..30 => {
                (happened("AccountDeleted", "ProvisionDeleted", now), self.deletion("a", 4).1)
            }
            30..45 => (happened("UserCreated", "UserUpdated", now), self.user()?),
            45..50 => {
                let (id, mut deletion) = self.deletion("u", 6);
                deletion["user_id"] = json!(id);
                ("UserDeleted", deletion)
            }
            50..85 => (happened("DeviceCreated", "DeviceUpdated", now), self.device()?),
            85..92 => {
                let (id, mut deletion) = self.deletion("d", 12);
                deletion["device_id"] = json!(id);
                ("DeviceDeleted", deletion)
            }
            _ => {
                let account = self.account()?;
                let of_home = |it: &Value| it["account_id"] == account["account_id"];
                let users: Vec<Value> =
                    (0..3).filter_map(|_| self.user()).filter(of_home).collect();
                let devices: Vec<Value> =
                    (0..4).filter_map(|_| self.device()).filter(of_home).collect();
                let provision = json!({
                    "isp_id": account["isp_id"], "account": account, "users": users, "devices": devices,
                });
                (happened("ProvisionCreated", "ProvisionUpdated", now), provision)
            }
        })
    }
}

impl History {
    fn of(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), seed, taken: std::collections::BTreeSet::new() }
    }

    fn addresses(&mut self, of: impl Fn(u8) -> String) -> Value {
        let all: std::collections::BTreeSet<String> =
            (0..self.rng.u8(..4)).map(|_| of(self.rng.u8(1..=9))).collect();
        json!(all)
    }

    /// Something that an ISP sets, in the form in which it is told to others.
    fn change(&mut self) -> (&'static str, Value) {
        let on = |history: &mut Self| history.rng.bool();
        match self.rng.u8(..5) {
            0 => {
                let page = self.sometimes(50).then(|| format!("192.0.2.{}", self.rng.u8(1..=9)));
                ("/router-protection", json!({"enabled": on(self), "block_page_ip": page}))
            }
            1 => {
                let list = self.addresses(|it| format!("192.0.2.{it}"));
                ("/router-protection/dns-allowed-list", json!({"dns_allowed_list": list}))
            }
            2 => {
                let list = self.addresses(|it| format!("198.51.{it}.0/24"));
                ("/router-protection/allowed-list", json!({"allowed_list": list}))
            }
            3 => {
                let [enabled, isolate_iot, arp_guard] = [on(self), on(self), on(self)];
                let body =
                    json!({"enabled": enabled, "isolate_iot": isolate_iot, "arp_guard": arp_guard});
                ("/lan-protection", body)
            }
            _ => {
                let level = self.pick(&["error", "warn", "info", "debug"]);
                let features = json!({"beta": on(self)});
                let body = json!({"log_level": level, "telemetry": on(self), "features": features});
                ("/advanced-configuration", body)
            }
        }
    }
}

/// What the ISPs of a history set.
pub(crate) fn changes(seed: u64) -> Vec<Changes> {
    let mut history = History::of(seed);
    let of_isp = |number| Changes {
        isp_id: history.isp(number),
        all: (0..CHANGES).map(|_| history.change()).collect(),
    };
    (0..2).map(of_isp).collect()
}

/// The events of a history, in the order in which they are sent.
pub(crate) fn events(seed: u64) -> Vec<Event> {
    let mut history = History::of(seed);
    let mut events = Vec::new();
    while events.len() < EVENTS {
        let Some((event_type, data)) = history.event() else { continue };
        let topic = match event_type.starts_with("ISP") {
            true => "as-configuration-topic",
            false => "as-provision-topic",
        };
        let (topic, event_type) = (topic.to_owned(), event_type.to_owned());
        events.push(Event { topic, event_type, key: None, data });
    }
    events
}
