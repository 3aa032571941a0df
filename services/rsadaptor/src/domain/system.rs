//! From what holds for a whole ISP to its documents in the backend.

use events::{Agents, DefaultAgents, RouterProtection, SystemConfiguration};
use hs_admin::{
    AgentVersion, SystemAdvanced, SystemAgentDefault, SystemAgentVersions, SystemGeneral,
    SystemLanProtection, SystemRouterAllowedIP, SystemRouterDNS,
};

/// The half of router protection that says which name servers homes may use.
pub fn router_dns(protection: &RouterProtection) -> SystemRouterDNS {
    SystemRouterDNS {
        enabled: protection.router_protection.enabled,
        allowed: protection.dns_allowed_list.as_slice().to_vec(),
    }
}

/// The half of router protection that says which networks routers may be reached from.
pub fn router_allowed_ip(protection: &RouterProtection) -> SystemRouterAllowedIP {
    SystemRouterAllowedIP {
        enabled: protection.router_protection.enabled,
        allowed: protection.allowed_list.as_slice().to_vec(),
        block_page_ip: protection.router_protection.block_page_ip.clone(),
    }
}

/// LAN protection and advanced configuration.
pub fn general(system: &SystemConfiguration) -> SystemGeneral {
    let (lan, advanced) = (&system.lan_protection, &system.advanced);
    SystemGeneral {
        lan_protection: SystemLanProtection {
            enabled: lan.enabled,
            isolate_iot: lan.isolate_iot,
            arp_guard: lan.arp_guard,
        },
        advanced: SystemAdvanced {
            log_level: advanced.log_level.clone(),
            telemetry: advanced.telemetry,
            features: advanced.features.clone(),
        },
    }
}

/// The packages that routers may run.
pub fn agent_versions(agents: &Agents) -> SystemAgentVersions {
    let packages = agents.packages.as_slice().iter().map(|it| AgentVersion {
        agent_package_id: it.agent_package_id.clone(),
        version: it.version.clone(),
        models: it.models.as_slice().to_vec(),
    });
    SystemAgentVersions { packages: packages.collect() }
}

/// The package of each model.
pub fn agent_default(agents: &DefaultAgents) -> SystemAgentDefault {
    SystemAgentDefault { defaults: agents.defaults.clone() }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::{Value, json};

    use super::*;

    fn shown<E: DeserializeOwned, D: Serialize>(event: Value, document: fn(&E) -> D) -> String {
        let event = serde_json::from_value(event).unwrap();
        serde_json::to_string(&document(&event)).unwrap()
    }

    #[test]
    fn router_protection_is_told_in_two_documents() {
        let event = json!({
            "isp_id": "isp-1", "revision": 1,
            "router_protection": {"enabled": true, "block_page_ip": "192.0.2.1"},
            "dns_allowed_list": ["192.0.2.53", "2001:db8::53"],
            "allowed_list": ["198.51.100.0/24"]
        });
        expect![[r#"{"enabled":true,"allowed":["192.0.2.53","2001:db8::53"]}"#]]
            .assert_eq(&shown(event.clone(), router_dns));
        expect![[r#"{"enabled":true,"allowed":["198.51.100.0/24"],"block_page_ip":"192.0.2.1"}"#]]
            .assert_eq(&shown(event, router_allowed_ip));
    }

    #[test]
    fn everything_else_is_told_in_one() {
        let system = json!({
            "isp_id": "isp-1", "revision": 1,
            "lan_protection": {"enabled": true, "isolate_iot": false, "arp_guard": true},
            "advanced": {"log_level": "info", "telemetry": true, "features": {"fast_path": false}}
        });
        expect![[r#"{"lan_protection":{"enabled":true,"isolate_iot":false,"arp_guard":true},"advanced":{"log_level":"info","telemetry":true,"features":{"fast_path":false}}}"#]]
            .assert_eq(&shown(system, general));
        let package = json!({"agent_package_id": "p-1", "version": "4.2.0", "models": ["hg-8000"]});
        let agents = json!({"isp_id": "isp-1", "revision": 1, "packages": [package]});
        expect![[
            r#"{"packages":[{"agent_package_id":"p-1","version":"4.2.0","models":["hg-8000"]}]}"#
        ]]
        .assert_eq(&shown(agents, agent_versions));
        let defaults = json!({"isp_id": "isp-1", "revision": 1, "defaults": {"hg-8000": "p-1"}});
        expect![[r#"{"defaults":{"hg-8000":"p-1"}}"#]].assert_eq(&shown(defaults, agent_default));
    }
}
