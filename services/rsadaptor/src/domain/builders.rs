//! From an effective configuration to what the backend takes.

use events::{Action, DeviceKind, EffectiveDevice, RouterFlags};
use hs_admin::{
    AgentPackage, DeviceConfiguration, DeviceIdentity, FeatureFlags, Identifiers,
    RouterConfiguration,
};
use serde::Serialize;

use super::Kind;

/// What is put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Body {
    /// `PUT /devices/{device_id}`
    Device(DeviceConfiguration),
    /// `PUT /routers/{router_id}`
    Router(RouterConfiguration),
}

impl Body {
    /// Router or not.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Device(_) => Kind::Device,
            Self::Router(_) => Kind::Router,
        }
    }
}

/// The body for a device and, where there is one, a command to it.
pub fn configuration_of(device: &EffectiveDevice, action: Option<Action>) -> Body {
    match device.kind {
        DeviceKind::Device => Body::Device(device_configuration(device, action)),
        DeviceKind::Router => Body::Router(router_configuration(device, action)),
    }
}

/// The command, unless its time is over.
pub fn live_action(action: &Action, now: jiff::Timestamp) -> Option<Action> {
    (now <= action.expires_at.instant()).then(|| action.clone())
}

/// The body for a router's flags and upload intervals.
pub fn feature_flags(router: &RouterFlags) -> FeatureFlags {
    FeatureFlags { flags: router.flags.clone(), upload_intervals: router.upload_intervals.clone() }
}

/// The body for a package. Where in its life it is, the backend is not told.
pub fn agent_package(package: &events::AgentPackage) -> AgentPackage {
    AgentPackage {
        id: package.agent_package_id.clone(),
        version: package.version.clone(),
        models: package.models.as_slice().to_vec(),
        url: package.url.clone(),
        sha256: package.sha256.clone(),
        size_bytes: package.size_bytes,
        signature: package.signature.clone(),
    }
}

fn device_configuration(device: &EffectiveDevice, action: Option<Action>) -> DeviceConfiguration {
    DeviceConfiguration {
        device: identity(device),
        services: device.services.clone(),
        action,
        is_iot: device.is_iot,
        act_rules: device.act_rules.clone(),
    }
}

fn router_configuration(device: &EffectiveDevice, action: Option<Action>) -> RouterConfiguration {
    RouterConfiguration {
        device: identity(device),
        services: device.services.clone(),
        enabled: device.enabled,
        identifiers: Identifiers {
            serial: device.serial.clone(),
            mac: device.mac.clone(),
            model: device.model.clone(),
        },
        target_agent_package: device.target_agent_package.clone(),
        action,
    }
}

fn identity(device: &EffectiveDevice) -> DeviceIdentity {
    DeviceIdentity {
        id: device.device_id.clone(),
        isp_id: device.isp_id.clone(),
        account_id: device.account_id.clone(),
        user_id: device.user_id.clone(),
        name: device.name.clone(),
        device_type: device.device_type,
        mac: device.mac.clone(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::domain::tests::device;

    fn action() -> Action {
        let text = json!({"id": "act-1", "name": "block", "expires_at": "2026-01-01T00:00:00Z"});
        serde_json::from_value(text).unwrap()
    }

    fn shown(body: &Body) -> String {
        serde_json::to_string_pretty(body).unwrap()
    }

    #[test]
    fn a_device_is_put_with_its_command_and_rules() {
        let device = device(&[
            ("user_id", json!("u-1")),
            ("act_rules", json!([{"action": "block", "domain": "bad.example", "level": "device"}])),
        ]);
        expect![[r#"
        {
          "device": {
            "id": "d-1",
            "isp_id": "isp-1",
            "account_id": "a-1",
            "user_id": "u-1",
            "name": "Mia's tablet",
            "type": "tablet",
            "mac": "3c:22:fb:01:02:03"
          },
          "services": {
            "content_filtering": {
              "enabled": true,
              "categories": [
                "adult"
              ],
              "safe_search": true,
              "schedules": [],
              "blocking_page_url": null
            },
            "threat_protection": {
              "enabled": true,
              "blocking_page_url": null
            }
          },
          "action": {
            "id": "act-1",
            "name": "block",
            "expires_at": "2026-01-01T00:00:00Z"
          },
          "is_iot": false,
          "act_rules": [
            {
              "action": "block",
              "domain": "bad.example",
              "level": "device"
            }
          ]
        }"#]]
        .assert_eq(&shown(&configuration_of(&device, Some(action()))));
    }

    #[test]
    fn a_router_is_put_with_its_identifiers_and_package() {
        let device = device(&[
            ("kind", json!("router")),
            ("device_type", json!("router")),
            ("enabled", json!(false)),
            ("model", json!("hg-8000")),
            ("serial", json!("S-1")),
            ("target_agent_package", json!("p-1")),
        ]);
        expect![[r#"
        {
          "device": {
            "id": "d-1",
            "isp_id": "isp-1",
            "account_id": "a-1",
            "user_id": null,
            "name": "Mia's tablet",
            "type": "router",
            "mac": "3c:22:fb:01:02:03"
          },
          "services": {
            "content_filtering": {
              "enabled": true,
              "categories": [
                "adult"
              ],
              "safe_search": true,
              "schedules": [],
              "blocking_page_url": null
            },
            "threat_protection": {
              "enabled": true,
              "blocking_page_url": null
            }
          },
          "enabled": false,
          "identifiers": {
            "serial": "S-1",
            "mac": "3c:22:fb:01:02:03",
            "model": "hg-8000"
          },
          "target_agent_package": "p-1",
          "action": null
        }"#]]
        .assert_eq(&shown(&configuration_of(&device, None)));
    }

    #[test]
    fn a_command_is_live_until_its_time_is_over() {
        let live_at = |now: &str| live_action(&action(), now.parse().unwrap()).is_some();
        assert!(live_at("2025-12-31T23:59:59Z"));
        assert!(live_at("2026-01-01T00:00:00Z"));
        assert!(!live_at("2026-01-01T00:00:00.001Z"));
    }
}
