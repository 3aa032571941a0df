//! The wire form of every model.

use serde::de::DeserializeOwned;

use super::*;

/// Reads the text as `T`, writes it again and expects the same text, the order of members included.
fn check<T: DeserializeOwned + Serialize>(text: &str) {
    let text: String = text.lines().map(str::trim).collect();
    let model: T = serde_json::from_str(&text).expect("the model reads its wire form");
    let again = serde_json::to_string(&model).expect("the model writes its wire form");
    assert_eq!(again, text);
}

#[test]
fn a_device_is_written_member_by_member() {
    check::<DeviceConfiguration>(
        r#"{"device":{"id":"d-1","isp_id":"isp-1","account_id":"a-1","user_id":"u-1","name":"Mia's tablet","type":"tablet","mac":"3c:22:fb:01:02:03"},
        "services":{"content_filtering":{"enabled":true,"categories":["adult","malware_risk"],"safe_search":true,
        "schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],
        "blocking_page_url":"https://block.example/"},"threat_protection":{"enabled":true,"blocking_page_url":null}},
        "action":{"id":"act-1","name":"block","expires_at":"2026-11-21T10:00:00Z"},"is_iot":false,
        "act_rules":[{"action":"block","domain":"bad.example","level":"device"},{"action":"allow","domain":"good.example","level":"isp"}]}"#,
    );
}

#[test]
fn a_router_is_written_member_by_member() {
    check::<RouterConfiguration>(
        r#"{"device":{"id":"r-1","isp_id":"isp-1","account_id":"a-1","user_id":null,"name":"router","type":"router","mac":"00:11:22:33:44:55"},
        "services":{"content_filtering":{"enabled":false,"categories":[],"safe_search":false,"schedules":[],"blocking_page_url":null},
        "threat_protection":{"enabled":true,"blocking_page_url":null}},"enabled":true,
        "identifiers":{"serial":"SN-1","mac":"00:11:22:33:44:55","model":null},"target_agent_package":"p-1","action":null}"#,
    );
}

#[test]
fn everything_else_is_written_member_by_member() {
    check::<FeatureFlags>(
        r#"{"flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300}}"#,
    );
    check::<AgentPackage>(
        r#"{"id":"p-1","version":"4.2.0","models":["hg-8000"],"url":"https://p.example/p-1","sha256":"00ff","size_bytes":1048576,"signature":"MEUC"}"#,
    );
    check::<SystemRouterDNS>(r#"{"enabled":true,"allowed":["192.0.2.53"]}"#);
    check::<SystemRouterAllowedIP>(
        r#"{"enabled":true,"allowed":["198.51.100.0/24"],"block_page_ip":null}"#,
    );
    check::<SystemGeneral>(
        r#"{"lan_protection":{"enabled":true,"isolate_iot":false,"arp_guard":true},
        "advanced":{"log_level":"info","telemetry":true,"features":{"fast_path":false}}}"#,
    );
    check::<SystemAgentVersions>(
        r#"{"packages":[{"agent_package_id":"p-1","version":"4.2.0","models":["hg-8000"]}]}"#,
    );
    check::<SystemAgentDefault>(r#"{"defaults":{"hg-8000":"p-1"}}"#);
}
