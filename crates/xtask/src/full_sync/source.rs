//! Homes in any number, and what a backend must hold of them: compared by hash, so that neither side
//! is ever held as a whole.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use anyhow::{Context, Result};
use serde_json::Value;
use testkit::simulator::Simulator;

use crate::demo::{each_home, expected};

const HOMES_AT_ONCE: usize = 200;
const EXAMPLES: usize = 5;

/// The made-up homes, with what was changed since.
#[derive(Debug)]
pub(crate) struct Source {
    devices: usize,
    changed: HashMap<String, Value>,
}

/// How what the backend holds differs from the homes.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Expected, but not held.
    pub(crate) missing: usize,
    /// Held, but not expected.
    pub(crate) extra: usize,
    /// Held with other content.
    pub(crate) different: usize,
    /// The first few of all of these.
    pub(crate) examples: Vec<String>,
}

impl Compared {
    /// Whether there is no difference.
    pub(crate) fn is_equal(&self) -> bool {
        self.missing + self.extra + self.different == 0
    }

    fn note(&mut self, what: &str, name: &str) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{what}: {name}"));
        }
    }
}

impl Source {
    /// Homes with so many devices in all, routers included.
    pub(crate) fn of(devices: usize) -> Self {
        Self { devices, changed: HashMap::new() }
    }

    /// How many devices there are, routers included.
    pub(crate) fn devices(&self) -> usize {
        self.devices
    }

    /// Puts a newer state of a device in the place of the one it had.
    pub(crate) fn change(&mut self, device: Value) {
        let id = device["device_id"].as_str().unwrap_or_default().to_owned();
        self.changed.insert(id, device);
    }

    /// The homes, one after the other.
    pub(crate) fn homes(&self) -> impl Iterator<Item = Value> + Send {
        each_home(self.devices).map(|mut home| {
            for device in home["devices"].as_array_mut().into_iter().flatten() {
                let changed = device["device_id"].as_str().and_then(|it| self.changed.get(it));
                if let Some(changed) = changed {
                    *device = changed.clone();
                }
            }
            home
        })
    }

    /// What the backend must hold, by name as a hash.
    fn expected(&self) -> HashMap<String, u64> {
        let mut all = HashMap::with_capacity(self.devices);
        let mut homes = self.homes();
        loop {
            let some: Vec<Value> = homes.by_ref().take(HOMES_AT_ONCE).collect();
            if some.is_empty() {
                return all;
            }
            let held = expected(some.iter());
            for kind in ["devices", "routers"] {
                for (id, body) in held[kind].as_object().into_iter().flatten() {
                    all.insert(format!("{kind}/{id}"), hash(body));
                }
            }
        }
    }

    /// Compares with what the backend holds now.
    pub(crate) async fn compare(&self, simulator: &Simulator) -> Result<Compared> {
        let mut open = self.expected();
        let mut compared = Compared::default();
        for kind in ["devices", "routers"] {
            let mut cursor = String::new();
            loop {
                let (items, next) = simulator.page(kind, &cursor).await?;
                for body in &items {
                    let id = body["device"]["id"].as_str().context("what is held has an id")?;
                    let name = format!("{kind}/{id}");
                    match open.remove(&name) {
                        Some(wanted) if wanted == hash(body) => {}
                        Some(_) => {
                            compared.different += 1;
                            compared.note("different", &format!("{name} {body}"));
                        }
                        None => {
                            compared.extra += 1;
                            compared.note("extra", &name);
                        }
                    }
                }
                let Some(next) = next else { break };
                cursor = next;
            }
        }
        compared.missing = open.len();
        open.keys().take(EXAMPLES).for_each(|it| compared.note("missing", it));
        Ok(compared)
    }
}

/// Members are held in the order of their names, so equal values have equal hashes.
fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_members_does_not_count_and_their_values_do() {
        let of = |text: &str| hash(&serde_json::from_str(text).unwrap());
        assert_eq!(of(r#"{"a":1,"b":[2]}"#), of(r#"{"b":[2],"a":1}"#));
        assert_ne!(of(r#"{"a":1,"b":[2]}"#), of(r#"{"a":1,"b":[3]}"#));
    }

    #[test]
    fn a_changed_device_is_expected_as_it_was_changed() {
        let mut source = Source::of(20);
        let before = source.expected();
        assert_eq!(before.len(), 20);
        let mut device = source.homes().next().unwrap()["devices"][0].clone();
        device["name"] = json!("another name");
        source.change(device);
        let after = source.expected();
        let differ = after.iter().filter(|(id, it)| before[*id] != **it).count();
        assert_eq!(differ, 1);
    }
}
