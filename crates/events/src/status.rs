//! What RouterSecure keeps with a device at accounts, and what it tells a household: built here, so that nobody else
//! knows how that looks as JSON.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    AccountId, DeviceId, DeviceKind, DeviceType, Discovered, DiscoveredDevice, IspId, Notice,
    PatchDevice, PostDevice, Text, Threat, Timestamp,
};

/// What a device that told no name is called.
const NAMELESS: &str = "New device";

impl PostDevice {
    /// Asks accounts to take a discovered device in: it is new, and it was active just now.
    pub fn discovered(
        isp_id: IspId,
        account_id: AccountId,
        device_id: DeviceId,
        said: &Discovered,
        at: &Timestamp,
    ) -> Self {
        let status = json!({"is_new": true, "active": true, "active_timestamp": at});
        let device = DiscoveredDevice {
            device_id,
            kind: DeviceKind::Device,
            name: said.name.clone().unwrap_or_else(nameless),
            device_type: said.device_type.unwrap_or(DeviceType::Other),
            mac: said.mac.clone(),
            product_data: product_data(status),
        };
        Self { isp_id, account_id, device }
    }
}

impl PatchDevice {
    /// Tells accounts whether a device is active, and since when that is known.
    pub fn activity(isp_id: IspId, device_id: DeviceId, active: bool, at: &Timestamp) -> Self {
        let status = json!({"active": active, "active_timestamp": at});
        let patch = one("product_data", Value::Object(product_data(status)));
        Self { isp_id, device_id, patch }
    }
}

impl Notice {
    /// A device that nobody knew is in the home's network.
    pub fn new_device(
        (isp_id, account_id): (IspId, AccountId),
        device_id: DeviceId,
        said: &Discovered,
        at: Timestamp,
    ) -> Self {
        let subject = text("A new device is in your network");
        Self { isp_id, account_id, device_id, subject, data: members(said), at }
    }

    /// A device was kept from something dangerous.
    pub fn threat_blocked(
        (isp_id, account_id): (IspId, AccountId),
        device_id: DeviceId,
        said: &Threat,
        at: Timestamp,
    ) -> Self {
        let subject = text("A threat was blocked");
        Self { isp_id, account_id, device_id, subject, data: members(said), at }
    }
}

fn product_data(status: Value) -> Map<String, Value> {
    one("RouterSecure", Value::Object(one("status", status)))
}

fn one(name: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), value)])
}

fn members(said: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(said) {
        Ok(Value::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(),
    }
}

fn nameless() -> Text {
    text(NAMELESS)
}

fn text(words: &str) -> Text {
    words.to_owned().try_into().expect("a short sentence is a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-03-01T10:00:00Z".to_owned().try_into().unwrap()
    }

    fn discovered(members: Value) -> Discovered {
        serde_json::from_value(members).unwrap()
    }

    #[test]
    fn a_discovered_device_is_new_and_active() {
        let said = discovered(json!({"mac": "3c:22:fb:01:02:03"}));
        let post = PostDevice::discovered(
            "isp-1".parse().unwrap(),
            "a-1".parse().unwrap(),
            "d-1".parse().unwrap(),
            &said,
            &at(),
        );
        let wanted = json!({"isp_id": "isp-1", "account_id": "a-1", "device": {
            "device_id": "d-1", "kind": "device", "name": "New device", "device_type": "other",
            "mac": "3c:22:fb:01:02:03",
            "product_data": {"RouterSecure": {"status":
                {"is_new": true, "active": true, "active_timestamp": "2026-03-01T10:00:00Z"}}},
        }});
        assert_eq!(serde_json::to_value(post).unwrap(), wanted);
    }

    #[test]
    fn a_patch_says_nothing_but_what_has_changed() {
        let patch =
            PatchDevice::activity("isp-1".parse().unwrap(), "d-1".parse().unwrap(), false, &at());
        let status = json!({"active": false, "active_timestamp": "2026-03-01T10:00:00Z"});
        let wanted = json!({"isp_id": "isp-1", "device_id": "d-1",
            "patch": {"product_data": {"RouterSecure": {"status": status}}}});
        assert_eq!(serde_json::to_value(patch).unwrap(), wanted);
    }

    #[test]
    fn a_notice_has_what_a_template_may_use() {
        let home = ("isp-1".parse().unwrap(), "a-1".parse().unwrap());
        let said = discovered(json!({"mac": "3c:22:fb:01:02:03", "device_type": "phone"}));
        let notice = Notice::new_device(home, "d-1".parse().unwrap(), &said, at());
        let data = json!({"mac": "3c:22:fb:01:02:03", "device_type": "phone"});
        assert_eq!(Value::Object(notice.data), data);
        assert_eq!(notice.subject.as_str(), "A new device is in your network");
    }
}
