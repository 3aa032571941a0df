//! From an effective configuration to what the backend takes.

use events::{Action, DeviceId, DeviceKind, EffectiveDevice};
use hs_admin::{DeviceConfiguration, DeviceIdentity, Identifiers, Resource, RouterConfiguration};
use serde::Serialize;

use super::Hash;

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
    pub fn kind(&self) -> DeviceKind {
        match self {
            Self::Device(_) => DeviceKind::Device,
            Self::Router(_) => DeviceKind::Router,
        }
    }

    /// The hash of its JSON.
    pub fn hash(&self) -> Hash {
        Hash::of(self)
    }
}

/// Where the backend holds a device of this kind.
pub fn resource_of(kind: DeviceKind, id: &DeviceId) -> Resource {
    match kind {
        DeviceKind::Router => Resource::Router(id.clone()),
        DeviceKind::Device => Resource::Device(id.clone()),
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
#[path = "builders_tests.rs"]
mod tests;
