//! Bodies that the simulator accepts.

use serde_json::{Value, json};

pub(crate) fn device(id: &str) -> Value {
    json!({
        "device": identity(id, "tablet"),
        "services": services(),
        "action": {"id": "act-1", "name": "block", "expires_at": "2026-11-21T10:00:00Z"},
        "is_iot": false,
        "act_rules": [{"action": "block", "domain": "bad.example", "level": "device"}],
    })
}

pub(crate) fn router(id: &str) -> Value {
    json!({
        "device": identity(id, "router"),
        "services": services(),
        "enabled": true,
        "identifiers": {"serial": "SN-1", "mac": "00:11:22:33:44:55", "model": null},
        "target_agent_package": null,
        "action": null,
    })
}

pub(crate) fn router_with_package(id: &str, package: &str) -> Value {
    let mut router = router(id);
    router["target_agent_package"] = package.into();
    router
}

pub(crate) fn agent_package(id: &str) -> Value {
    json!({
        "id": id, "version": "4.2.0", "models": ["hg-8000"], "url": "https://packages.example/p",
        "sha256": "00ff", "size_bytes": 1_048_576, "signature": "MEUC",
    })
}

pub(crate) fn flags() -> Value {
    json!({"flags": {"dns_over_tls": true}, "upload_intervals": {"stats_seconds": 300}})
}

/// One body for each path of the API that takes one.
pub(crate) fn all() -> Vec<(&'static str, Value)> {
    let lan = json!({"enabled": true, "isolate_iot": false, "arp_guard": true});
    let advanced = json!({"log_level": "info", "telemetry": true, "features": {"x": true}});
    let package = json!({"agent_package_id": "p-1", "version": "4.2.0", "models": ["hg-8000"]});
    let allowed = json!({"enabled": true, "allowed": ["198.51.100.0/24"], "block_page_ip": null});
    vec![
        ("/devices/d-1", device("d-1")),
        ("/agent-packages/p-1", agent_package("p-1")),
        ("/routers/r-1", router_with_package("r-1", "p-1")),
        ("/routers/r-1/feature-flags", flags()),
        ("/system/isp-1/router-dns", json!({"enabled": true, "allowed": ["192.0.2.53"]})),
        ("/system/isp-1/router-allowed-ip", allowed),
        ("/system/isp-1/general", json!({"lan_protection": lan, "advanced": advanced})),
        ("/system/isp-1/agent-versions", json!({"packages": [package]})),
        ("/system/isp-1/agent-default", json!({"defaults": {"hg-8000": "p-1"}})),
    ]
}

fn identity(id: &str, device_type: &str) -> Value {
    json!({
        "id": id, "isp_id": "isp-1", "account_id": "a-1", "user_id": null, "name": "a name",
        "type": device_type, "mac": "3c:22:fb:01:02:03",
    })
}

fn services() -> Value {
    let bedtime = json!({
        "name": "bedtime", "days": ["mon"], "from": "21:00", "to": "06:30",
        "timezone": "Europe/Madrid",
    });
    json!({
        "content_filtering": {
            "enabled": true, "categories": ["adult"], "safe_search": true,
            "schedules": [bedtime], "blocking_page_url": null,
        },
        "threat_protection": {"enabled": true, "blocking_page_url": "https://block.example/"},
    })
}
