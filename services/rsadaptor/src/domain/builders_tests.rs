//! What is put, member by member.

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
