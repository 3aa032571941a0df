//! What the backend must hold after provisioning payloads, worked out from the payloads alone.
//!
//! It shares no code with the product: it would repeat the product's mistakes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const IOT: &[&str] =
    &["speaker", "camera", "thermostat", "light", "plug", "appliance", "sensor", "printer", "tv"];

/// The newest state of each entity, by id.
#[derive(Default)]
struct Source<'a> {
    accounts: BTreeMap<&'a str, &'a Value>,
    users: BTreeMap<&'a str, &'a Value>,
    devices: BTreeMap<&'a str, &'a Value>,
    /// Commands that the backend heard of last, by device: the next publication carries none.
    actions: BTreeMap<&'a str, &'a Value>,
}

/// `{"devices":{id:…},"routers":{id:…}}` for payloads of ProvisionCreated: the highest revision of each
/// entity counts, wherever it stands.
#[must_use]
pub fn expected<'a>(payloads: impl Iterator<Item = &'a Value>) -> Value {
    let source = Source::of(payloads);
    let mut held = json!({"devices": {}, "routers": {}});
    for (&id, &device) in &source.devices {
        let account = source.accounts.get(text(device, "account_id"));
        let account = account.filter(|it| it["isp_id"] == device["isp_id"]);
        let Some(account) = account else { continue };
        let router = device["kind"] == "router";
        let kind = if router { "routers" } else { "devices" };
        held[kind][id] = configuration(device, source.user_of(device), account, router);
        held[kind][id]["action"] = source.actions.get(id).map_or(Value::Null, |it| (*it).clone());
    }
    held
}

/// How many devices, routers included, the payloads name.
pub(super) fn devices_in<'a>(payloads: impl Iterator<Item = &'a Value>) -> usize {
    Source::of(payloads).devices.len()
}

impl<'a> Source<'a> {
    fn of(payloads: impl Iterator<Item = &'a Value>) -> Self {
        let mut source = Self::default();
        for payload in payloads {
            source.take(payload);
        }
        source
    }

    /// Takes in one payload, which publishes every device that it touches.
    fn take(&mut self, payload: &'a Value) {
        if newest(&mut self.accounts, "account_id", &payload["account"]) {
            self.published("account_id", &payload["account"]);
        }
        for user in payload["users"].as_array().into_iter().flatten() {
            if newest(&mut self.users, "user_id", user) {
                self.published("user_id", user);
            }
        }
        for device in payload["devices"].as_array().into_iter().flatten() {
            if newest(&mut self.devices, "device_id", device) {
                let id = text(device, "device_id");
                self.actions.remove(id);
                if is_due(&device["action"]) {
                    self.actions.insert(id, &device["action"]);
                }
            }
        }
    }

    /// Devices of an account or user are published again.
    fn published(&mut self, id: &str, of: &Value) {
        let devices = &self.devices;
        self.actions.retain(|it, _| devices[it][id] != of[id]);
    }

    /// The user of a device, where known and of the same home.
    fn user_of(&self, device: &Value) -> Option<&'a Value> {
        let user = *self.users.get(text(device, "user_id"))?;
        let same = |member: &str| user[member] == device[member];
        (same("account_id") && same("isp_id")).then_some(user)
    }
}

/// Keeps the entity unless a newer one is known.
fn newest<'a>(all: &mut BTreeMap<&'a str, &'a Value>, id: &str, entity: &'a Value) -> bool {
    let known = all.entry(text(entity, id)).or_insert(entity);
    let is_newest = entity["revision"].as_u64() >= known["revision"].as_u64();
    if is_newest {
        *known = entity;
    }
    is_newest
}

fn is_due(action: &Value) -> bool {
    let expires_at: Option<jiff::Timestamp> = text(action, "expires_at").parse().ok();
    expires_at.is_some_and(|it| it > jiff::Timestamp::now())
}

fn configuration(device: &Value, user: Option<&Value>, account: &Value, router: bool) -> Value {
    let active = account["status"] == "active";
    let user_id = user.map_or(Value::Null, |it| it["user_id"].clone());
    let mut made = json!({
        "device": {
            "id": device["device_id"], "isp_id": device["isp_id"],
            "account_id": device["account_id"], "user_id": user_id, "name": device["name"],
            "type": device["device_type"], "mac": device["mac"],
        },
        "services": services(device, user, account, active),
        "action": null,
    });
    if router {
        made["enabled"] = json!(active && device["enabled"].as_bool().unwrap_or(true));
        made["identifiers"] =
            json!({"serial": device["serial"], "mac": device["mac"], "model": device["model"]});
        made["target_agent_package"] = Value::Null;
    } else {
        made["is_iot"] = json!(IOT.contains(&text(device, "device_type")));
        made["act_rules"] = rules(device, user, account);
    }
    made
}

/// Each leaf from the nearest level that has it.
fn services(device: &Value, user: Option<&Value>, account: &Value, active: bool) -> Value {
    let preset = json!({"services": preset(user)});
    let standard = json!({"services": {
        "content_filtering": {"enabled": false, "categories": [], "safe_search": false,
                              "schedules": [], "blocking_page_url": null},
        "threat_protection": {"enabled": true, "blocking_page_url": null},
    }});
    let nobody = Value::Null;
    let levels = [device, user.unwrap_or(&nobody), &preset, account, &standard];
    let mut made = standard["services"].clone();
    for (service, leaves) in made.as_object_mut().into_iter().flatten() {
        for (leaf, value) in leaves.as_object_mut().into_iter().flatten() {
            let said = levels.iter().map(|it| &it["services"][service][leaf]);
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

/// Device before user before account; a domain that an earlier rule names is left out.
fn rules(device: &Value, user: Option<&Value>, account: &Value) -> Value {
    let nobody = Value::Null;
    let levels = [("device", device), ("user", user.unwrap_or(&nobody)), ("account", account)];
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
    fn the_written_cases_that_are_provisions_alone_come_out_as_written() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut tried = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let events = case["events"].as_array().unwrap();
            if events.iter().all(|it| it["type"] == "ProvisionCreated") {
                tried += 1;
                let made = expected(events.iter().map(|it| &it["data"]));
                assert_eq!(made, case["expected"], "{}", path.display());
            }
        }
        assert!(tried >= 5, "only {tried} cases");
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
