//! What the demo feeds: provisioning payloads, or events of any kind.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use testkit::records::Event;

use super::expected::{devices_in, expected};

/// The lines of an input, in order.
#[derive(Debug)]
pub struct Input {
    events: Vec<Event>,
    /// Whether each line is a ProvisionCreated: then what must come of it is known.
    provisions_only: bool,
}

impl Input {
    /// Reads a file of newline-delimited JSON; empty lines are passed over.
    ///
    /// # Errors
    /// When the file cannot be read or a line is neither a payload nor an event.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let mut input = Self { events: Vec::new(), provisions_only: true };
        for (number, line) in text.lines().enumerate().filter(|it| !it.1.trim().is_empty()) {
            let place = || format!("line {} of {}", number + 1, path.display());
            let value: Value = serde_json::from_str(line).with_context(place)?;
            if value.get("account").is_some() {
                input.events.push(Event::provision(value));
            } else if value.get("topic").is_some() {
                let event: Event = serde_json::from_value(value).with_context(place)?;
                let known = events::topics::Topic::find(&event.topic).is_some();
                ensure!(known, "{}: there is no topic {}", place(), event.topic);
                input.events.push(event);
                input.provisions_only = false;
            } else {
                bail!("{}: neither a ProvisionCreated payload nor an event", place());
            }
        }
        Ok(input)
    }

    /// An input of ProvisionCreated payloads.
    #[must_use]
    pub fn of_homes(homes: Vec<Value>) -> Self {
        let events = homes.into_iter().map(Event::provision).collect();
        Self { events, provisions_only: true }
    }

    /// The events to send.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What the backend must hold at the end, where that is known.
    #[must_use]
    pub fn expected(&self) -> Option<Value> {
        self.provisions_only.then(|| expected(self.events.iter().map(|it| &it.data)))
    }

    /// The same after a full sync: what it sends carries no commands.
    #[must_use]
    pub fn expected_of_sync(&self) -> Option<Value> {
        let mut expected = self.expected()?;
        for kind in ["devices", "routers"] {
            let all = expected[kind].as_object_mut()?;
            all.values_mut().for_each(|it| it["action"] = Value::Null);
        }
        Some(expected)
    }

    /// How many devices, routers included, the source names, where that is known.
    #[must_use]
    pub fn devices(&self) -> Option<usize> {
        self.provisions_only.then(|| devices_in(self.events.iter().map(|it| &it.data)))
    }
}
