//! What the backend is told and when: pure rules without a clock, a network or a store.
//!
//! - [`configuration_of`], [`Body`]: effective configurations as HS Admin models
//! - [`router_dns`] and its neighbours: what holds for a whole ISP
//! - [`plan`], [`plan_flags`]: what a record asks for, against what is applied already
//! - [`Gate`]: what an answer of the backend means for the record that asked

mod applied;
mod attempt;
mod builders;
mod flags;
mod gate;
mod recent;
mod subject;
mod system;

pub use applied::{Applied, AppliedFlags, Plan, Spared, Want, Wish, holds, plan};
pub use attempt::{Attempt, Ending, Later, TENANT_MISMATCH};
pub use builders::{Body, agent_package, configuration_of, feature_flags, live_action};
pub use flags::{FlagsPlan, FlagsWish, plan_flags};
pub use gate::{Call, Called, Circuit, Counts, Gate, GateLimits, WaitReason};
pub use hs_admin::{Hash, Json};
pub use subject::{Kind, Subject};
pub use system::{agent_default, agent_versions, general, router_allowed_ip, router_dns};

#[cfg(test)]
mod tests {
    use events::EffectiveDevice;
    use serde_json::{Value, json};

    /// A device with some members of its own.
    pub(crate) fn device(members: &[(&str, Value)]) -> EffectiveDevice {
        let mut device = json!({
            "isp_id": "isp-1", "account_id": "a-1", "device_id": "d-1", "user_id": null,
            "revision": 1, "kind": "device", "name": "Mia's tablet", "device_type": "tablet",
            "is_iot": false, "mac": "3c:22:fb:01:02:03", "model": null, "serial": null,
            "enabled": true, "target_agent_package": null, "act_rules": [],
            "services": {
                "content_filtering": {
                    "enabled": true, "categories": ["adult"], "safe_search": true,
                    "schedules": [], "blocking_page_url": null
                },
                "threat_protection": { "enabled": true, "blocking_page_url": null }
            }
        });
        for (name, value) in members {
            device[*name] = value.clone();
        }
        serde_json::from_value(device).unwrap()
    }
}
