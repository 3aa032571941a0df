//! Homes whose devices say something all the time: who says what in the event of a number.

use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::bulk::Pair;

const HOMES: usize = 4_000;
const DEVICES_OF_HOME: usize = 10;

/// Homes, and the second in which everything happens there.
#[derive(Debug, Clone)]
pub(super) struct Homes {
    second: String,
}

/// The event of a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) number: usize,
    pub(super) kind: Kind,
    pub(super) device: usize,
}

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Connected,
    NewDevice,
    Active,
    Blocked,
    Threat,
    Agent,
}

impl Homes {
    pub(super) fn new() -> Self {
        let mut second = Timestamp::now().to_string();
        second.truncate("0000-00-00T00:00:00".len());
        Self { second }
    }

    pub(super) fn devices(&self) -> usize {
        HOMES * DEVICES_OF_HOME
    }

    /// The payload of a `ProvisionCreated` for each home.
    pub(super) fn provisions(&self) -> impl Iterator<Item = Value> {
        (0..HOMES).map(|home| {
            let account = format!("a-{home}");
            let devices = (0..DEVICES_OF_HOME).map(|it| {
                json!({"isp_id": "isp-1", "account_id": account, "revision": 1,
                    "device_id": format!("d-{}", home * DEVICES_OF_HOME + it), "kind": "device",
                    "name": "A device", "device_type": "phone", "mac": "3c:22:fb:01:02:03"})
            });
            json!({"isp_id": "isp-1", "users": [], "devices": devices.collect::<Vec<_>>(),
                "account": {"isp_id": "isp-1", "account_id": account, "revision": 1,
                    "status": "active"}})
        })
    }

    /// Who says what: the same in every run.
    pub(super) fn event(&self, number: usize) -> Said {
        let mixed = mixed(number as u64);
        let device = (mixed >> 16) as usize % self.devices();
        let kind = match mixed % 100 {
            0..20 => Kind::Connected,
            20..22 => Kind::NewDevice,
            22..62 => Kind::Active,
            62..87 => Kind::Blocked,
            87..92 => Kind::Threat,
            _ => Kind::Agent,
        };
        Said { number, kind, device }
    }
}

impl Said {
    /// How many records of topics it causes that carry nothing that is folded.
    pub(super) fn counted(&self) -> u64 {
        match self.kind {
            Kind::Connected | Kind::NewDevice | Kind::Blocked | Kind::Agent => 1,
            Kind::Threat => 2,
            Kind::Active => 0,
        }
    }

    /// Its record, as HS-BE would write it. Its number stands in something that is told.
    pub(super) fn record(&self, homes: &Homes) -> Pair {
        let Self { number, kind, device } = self;
        let (event_type, detail) = match kind {
            Kind::Connected => (
                "device_event_connected",
                format!(r#""router_id":"r-{number}","mac":"3c:22:fb:01:02:03""#),
            ),
            Kind::NewDevice => (
                "device_event_new_device",
                format!(
                    r#""mac":"3c:22:fb:01:02:03","name":"A phone","device_type":"phone","account_id":"a-{}""#,
                    device / DEVICES_OF_HOME
                ),
            ),
            Kind::Active => ("device_event_active", format!(r#""active":{}"#, self.is_active())),
            Kind::Blocked => (
                "device_event_blocked",
                format!(r#""domain":"e{number}.example","category":"adult""#),
            ),
            Kind::Threat => (
                "device_event_threat",
                format!(r#""domain":"e{number}.example","threat":"phishing""#),
            ),
            Kind::Agent => (
                "router_event_agent",
                format!(r#""agent_package_id":"p-{number}","status":"installed""#),
            ),
        };
        let key = match kind {
            Kind::NewDevice => format!("new-{number}"),
            Kind::Connected | Kind::Active | Kind::Blocked | Kind::Threat | Kind::Agent => {
                format!("d-{device}")
            }
        };
        let second = &homes.second;
        let value = format!(
            r#"{{"event_type":"{event_type}","timestamp":"{second}.{number:09}Z","event_id":"e-{number}","isp_id":"isp-1","device_id":"{key}",{detail}}}"#
        );
        (key, value.into_bytes())
    }

    /// What it says, where it is about activity.
    pub(super) fn is_active(&self) -> bool {
        mixed(self.number as u64 ^ 0x5eed).is_multiple_of(2)
    }
}

/// SplitMix64: a number that looks random and is the same for the same `n`.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
