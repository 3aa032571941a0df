//! What the backend must hold after provisioning events, worked out from the events alone.
//!
//! It shares no code with the product: it would repeat the product's mistakes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use testkit::records::Event;

const IOT: &[&str] =
    &["speaker", "camera", "thermostat", "light", "plug", "appliance", "sensor", "printer", "tv"];

static NOBODY: Value = Value::Null;

/// What is known of one entity: its highest revision, and its state unless it is deleted.
#[derive(Default)]
struct Known<'a> {
    revision: u64,
    state: Option<&'a Value>,
}

/// The newest of each entity, by id.
#[derive(Default)]
struct Source<'a> {
    accounts: BTreeMap<&'a str, Known<'a>>,
    users: BTreeMap<&'a str, Known<'a>>,
    devices: BTreeMap<&'a str, Known<'a>>,
    configurations: BTreeMap<&'a str, Known<'a>>,
    /// The highest revision of any deletion of an account: it ends every user and device below.
    ended: BTreeMap<&'a str, u64>,
    /// Commands that the backend heard of last, by device: the next publication carries none.
    actions: BTreeMap<&'a str, &'a Value>,
}

/// `{"devices":{id:…},"routers":{id:…}}` for payloads of ProvisionCreated: the highest revision of each
/// entity counts, wherever it stands. Where routers have flags or upload intervals, `"feature_flags":{id:…}` too.
#[must_use]
pub fn expected<'a>(payloads: impl Iterator<Item = &'a Value>) -> Value {
    let mut source = Source::default();
    payloads.for_each(|it| source.provision(it));
    source.held()
}

/// The same for events of any kind; commands are not followed.
#[must_use]
pub fn expected_of<'a>(events: impl Iterator<Item = &'a Event>) -> Value {
    let mut source = Source::default();
    events.for_each(|it| source.event(&it.event_type, &it.data));
    source.actions.clear();
    source.held()
}

/// `{id:{"/services/threat_protection/enabled":"user",…}}`: who decides about each leaf of each device that is served.
#[must_use]
pub fn decided_of<'a>(events: impl Iterator<Item = &'a Event>) -> Value {
    let mut source = Source::default();
    events.for_each(|it| source.event(&it.event_type, &it.data));
    source.served().map(|(id, levels)| (id.to_owned(), deciders(&levels))).collect()
}

/// How many devices, routers included, the payloads name.
pub(super) fn devices_in<'a>(payloads: impl Iterator<Item = &'a Value>) -> usize {
    let mut source = Source::default();
    payloads.for_each(|it| source.provision(it));
    source.devices.len()
}

impl<'a> Source<'a> {
    fn event(&mut self, event_type: &str, data: &'a Value) {
        match event_type {
            "ProvisionCreated" | "ProvisionUpdated" => self.provision(data),
            "ProvisionDeleted" | "AccountDeleted" => {
                let ended = self.ended.entry(text(data, "account_id")).or_default();
                *ended = revision(data).max(*ended);
                delete(&mut self.accounts, "account_id", data);
            }
            "UserDeleted" => delete(&mut self.users, "user_id", data),
            "DeviceDeleted" => delete(&mut self.devices, "device_id", data),
            "AccountCreated" | "AccountUpdated" => self.account(data),
            "UserCreated" | "UserUpdated" => self.user(data),
            "DeviceCreated" | "DeviceUpdated" => self.device(data),
            _ => drop(newest(&mut self.configurations, "isp_id", data)),
        }
    }

    /// Takes in one payload, which publishes every device that it touches.
    fn provision(&mut self, payload: &'a Value) {
        self.account(&payload["account"]);
        payload["users"].as_array().into_iter().flatten().for_each(|it| self.user(it));
        payload["devices"].as_array().into_iter().flatten().for_each(|it| self.device(it));
    }

    fn account(&mut self, account: &'a Value) {
        if newest(&mut self.accounts, "account_id", account) {
            self.published("account_id", account);
        }
    }

    fn user(&mut self, user: &'a Value) {
        if newest(&mut self.users, "user_id", user) {
            self.published("user_id", user);
        }
    }

    fn device(&mut self, device: &'a Value) {
        if newest(&mut self.devices, "device_id", device) {
            let id = text(device, "device_id");
            self.actions.remove(id);
            if is_due(&device["action"]) {
                self.actions.insert(id, &device["action"]);
            }
        }
    }

    /// Devices of an account or user are published again.
    fn published(&mut self, id: &str, of: &Value) {
        let devices = &self.devices;
        let is_of = |it: &str| devices[it].state.is_some_and(|it| it[id] == of[id]);
        self.actions.retain(|it, _| !is_of(it));
    }

    /// The devices that are served, each with all who speak of it.
    fn served(&self) -> impl Iterator<Item = (&'a str, Levels<'a>)> {
        self.devices.iter().filter_map(|(&id, known)| {
            let device = known.state?;
            let ended = self.ended.get(text(device, "account_id")).copied().unwrap_or_default();
            let account = self.accounts.get(text(device, "account_id"))?.state?;
            if account["isp_id"] != device["isp_id"] || known.revision < ended {
                return None;
            }
            let isp = self.configurations.get(text(device, "isp_id")).and_then(|it| it.state);
            let user = self.user_of(device, ended);
            Some((id, Levels { device, user, account, isp: isp.unwrap_or(&NOBODY) }))
        })
    }

    fn held(&self) -> Value {
        let mut held = json!({"devices": {}, "routers": {}});
        for (id, levels) in self.served() {
            let router = levels.device["kind"] == "router";
            let kind = if router { "routers" } else { "devices" };
            held[kind][id] = configuration(&levels, router);
            held[kind][id]["action"] = self.actions.get(id).map_or(Value::Null, |it| (*it).clone());
            if router && let Some(flags) = flags(levels.device) {
                held["feature_flags"][id] = flags;
            }
        }
        held
    }

    /// The user of a device, where known, of the same home, and not ended with it.
    fn user_of(&self, device: &Value, ended: u64) -> Option<&'a Value> {
        let known = self.users.get(text(device, "user_id"))?;
        let user = known.state.filter(|_| known.revision >= ended)?;
        let same = |member: &str| user[member] == device[member];
        (same("account_id") && same("isp_id")).then_some(user)
    }
}

/// Keeps the entity unless something newer, or a deletion of the same revision, is known.
fn newest<'a>(all: &mut BTreeMap<&'a str, Known<'a>>, id: &str, entity: &'a Value) -> bool {
    let first = !all.contains_key(text(entity, id));
    let known = all.entry(text(entity, id)).or_default();
    let revision = revision(entity);
    let is_newest =
        first || revision > known.revision || (revision == known.revision && known.state.is_some());
    if is_newest {
        *known = Known { revision, state: Some(entity) };
    }
    is_newest
}

fn delete<'a>(all: &mut BTreeMap<&'a str, Known<'a>>, id: &str, deletion: &'a Value) {
    let known = all.entry(text(deletion, id)).or_default();
    if revision(deletion) >= known.revision {
        *known = Known { revision: revision(deletion), state: None };
    }
}

fn revision(entity: &Value) -> u64 {
    entity["revision"].as_u64().unwrap_or_default()
}

fn is_due(action: &Value) -> bool {
    let expires_at: Option<jiff::Timestamp> = text(action, "expires_at").parse().ok();
    expires_at.is_some_and(|it| it > jiff::Timestamp::now())
}

/// Who speaks of a device, the nearest first.
struct Levels<'a> {
    device: &'a Value,
    user: Option<&'a Value>,
    account: &'a Value,
    isp: &'a Value,
}

fn configuration(levels: &Levels<'_>, router: bool) -> Value {
    let Levels { device, user, account, .. } = levels;
    let active = account["status"] == "active";
    let user_id = user.map_or(Value::Null, |it| it["user_id"].clone());
    let mut made = json!({
        "device": {
            "id": device["device_id"], "isp_id": device["isp_id"],
            "account_id": device["account_id"], "user_id": user_id, "name": device["name"],
            "type": device["device_type"], "mac": device["mac"],
        },
        "services": services(levels, active),
        "action": null,
    });
    if router {
        made["enabled"] = json!(active && device["enabled"].as_bool().unwrap_or(true));
        made["identifiers"] =
            json!({"serial": device["serial"], "mac": device["mac"], "model": device["model"]});
        made["target_agent_package"] = Value::Null;
    } else {
        made["is_iot"] = json!(IOT.contains(&text(device, "device_type")));
        made["act_rules"] = rules(levels);
    }
    made
}

/// The flags and intervals of a router that has any.
fn flags(router: &Value) -> Option<Value> {
    let [flags, intervals] = ["flags", "upload_intervals"].map(|it| router[it].clone());
    if flags.is_null() && intervals.is_null() {
        return None;
    }
    let whole = |it: Value| if it.is_null() { json!({}) } else { it };
    let (flags, intervals) = (whole(flags), whole(intervals));
    let none = flags == json!({}) && intervals == json!({});
    (!none).then(|| json!({"flags": flags, "upload_intervals": intervals}))
}

/// Each leaf from the nearest level that has it.
fn services(of: &Levels<'_>, active: bool) -> Value {
    let levels = said_by_levels(of);
    let mut made = levels[levels.len() - 1].1["services"].clone();
    for (service, leaves) in made.as_object_mut().into_iter().flatten() {
        for (leaf, value) in leaves.as_object_mut().into_iter().flatten() {
            let said = levels.iter().map(|it| &it.1["services"][service][leaf]);
            *value = said.into_iter().find(|it| !it.is_null()).cloned().unwrap_or_default();
        }
        if !active {
            leaves["enabled"] = json!(false);
        }
    }
    if let Some(categories) = made["content_filtering"]["categories"].as_array_mut() {
        categories.sort_by_key(ToString::to_string);
        categories.dedup();
    }
    made
}

/// Who decides about each leaf.
fn deciders(of: &Levels<'_>) -> Value {
    let levels = said_by_levels(of);
    let active = of.account["status"] == "active";
    let mut made = Map::new();
    for (service, leaves) in
        levels[levels.len() - 1].1["services"].as_object().into_iter().flatten()
    {
        for leaf in leaves.as_object().into_iter().flatten().map(|it| it.0) {
            let nearest = levels.iter().find(|it| !it.1["services"][service][leaf].is_null());
            let decider = nearest.map_or("default", |it| it.0);
            let decider = if leaf == "enabled" && !active { "account" } else { decider };
            made.insert(format!("/services/{service}/{leaf}"), json!(decider));
        }
    }
    Value::Object(made)
}

/// What each level says, the nearest first.
fn said_by_levels(of: &Levels<'_>) -> [(&'static str, Value); 6] {
    let standard = json!({"services": {
        "content_filtering": {"enabled": false, "categories": [], "safe_search": false,
                              "schedules": [], "blocking_page_url": null},
        "threat_protection": {"enabled": true, "blocking_page_url": null},
    }});
    [
        ("device", of.device.clone()),
        ("user", of.user.cloned().unwrap_or_default()),
        ("preset", json!({"services": preset(of.user)})),
        ("account", of.account.clone()),
        ("isp", of.isp.clone()),
        ("default", standard),
    ]
}

fn preset(user: Option<&Value>) -> Value {
    let Some(user) = user.filter(|it| it["kind"] == "child") else { return Value::Null };
    let categories = match text(user, "age_group") {
        "child" => json!([
            "adult", "gambling", "violence", "drugs", "weapons", "dating", "social", "chat",
            "proxies"
        ]),
        "teen" => json!(["adult", "gambling", "drugs", "weapons", "dating", "proxies"]),
        _ => return Value::Null,
    };
    json!({"content_filtering":
        {"enabled": true, "categories": categories, "safe_search": true}})
}

/// Device before user before account before ISP; a domain that an earlier rule names is left out.
fn rules(of: &Levels<'_>) -> Value {
    let nobody = Value::Null;
    let user = of.user.unwrap_or(&nobody);
    let levels = [("device", of.device), ("user", user), ("account", of.account), ("isp", of.isp)];
    let mut made: Map<String, Value> = Map::new();
    let mut order = Vec::new();
    for (level, entity) in levels {
        for action in ["allow", "block"] {
            for domain in entity["rules"][action].as_array().into_iter().flatten() {
                let key = domain.to_string();
                if !made.contains_key(&key) {
                    let rule = json!({"action": action, "domain": domain, "level": level});
                    made.insert(key.clone(), rule);
                    order.push(key);
                }
            }
        }
    }
    order.into_iter().map(|it| made[&it].clone()).collect()
}

fn text<'a>(entity: &'a Value, member: &str) -> &'a str {
    entity[member].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_written_cases_come_out_as_written() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut tried = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let events: Vec<Event> = serde_json::from_value(case["events"].clone()).unwrap();
            assert_eq!(expected_of(events.iter()), case["expected"], "{}", path.display());
            tried += 1;
        }
        assert!(tried >= 20, "only {tried} cases");
    }

    #[test]
    fn a_command_is_seen_until_the_next_publication() {
        let home = |revision: u64, action: Value| {
            json!({
                "isp_id": "i", "users": [],
                "account": {"isp_id": "i", "account_id": "a", "revision": 1, "status": "active"},
                "devices": [{"isp_id": "i", "account_id": "a", "device_id": "d", "kind": "device",
                    "revision": revision, "action": action}],
            })
        };
        let action = |expires_at| json!({"id": "x", "name": "block", "expires_at": expires_at});
        let due = home(1, action("2100-01-01T00:00:00Z"));
        let held = |lines: &[Value]| expected(lines.iter())["devices"]["d"]["action"].clone();
        assert_eq!(held(std::slice::from_ref(&due)), due["devices"][0]["action"]);
        assert_eq!(held(&[home(1, action("2020-01-01T00:00:00Z"))]), Value::Null);
        assert_eq!(held(&[due, home(2, Value::Null)]), Value::Null);
    }

    #[test]
    fn only_routers_that_say_something_of_flags_have_them() {
        let device = |id: &str, kind: &str, flags: Value, intervals: Value| {
            json!({"isp_id": "i", "account_id": "a", "device_id": id, "kind": kind, "revision": 1,
                "flags": flags, "upload_intervals": intervals})
        };
        let home = json!({
            "isp_id": "i", "users": [],
            "account": {"isp_id": "i", "account_id": "a", "revision": 1, "status": "active"},
            "devices": [
                device("r-1", "router", json!({"dns_over_tls": true}), Value::Null),
                device("r-2", "router", Value::Null, Value::Null),
                device("d-1", "device", json!({"dns_over_tls": true}), json!({})),
            ],
        });
        let held = expected(std::iter::once(&home));
        let only = json!({"r-1": {"flags": {"dns_over_tls": true}, "upload_intervals": {}}});
        assert_eq!(held["feature_flags"], only);
    }

    #[test]
    fn the_higher_revision_wins_wherever_it_stands() {
        let home = |revision: u64, name: &str| {
            json!({
                "isp_id": "isp-1", "users": [],
                "account": {"isp_id": "isp-1", "account_id": "a-1", "revision": 1, "status": "active"},
                "devices": [{"isp_id": "isp-1", "account_id": "a-1", "device_id": "d-1",
                    "revision": revision, "kind": "device", "name": name, "device_type": "tv",
                    "mac": "02:00:00:00:00:01"}],
            })
        };
        let lines = [home(2, "new"), home(1, "old")];
        let made = expected(lines.iter());
        assert_eq!(made["devices"]["d-1"]["device"]["name"], "new");
        assert_eq!(made["devices"]["d-1"]["is_iot"], true);
    }
}
