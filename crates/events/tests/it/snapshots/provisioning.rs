//! What is said to the subsystems.

use events::*;
use expect_test::expect;

use super::check;

#[test]
fn accounts_on_the_wire() {
    check::<ProvisioningEvent>(
        "AccountCreated",
        r#"{"isp_id":"isp-1","account_id":"a-1","external_id":"C-1001","revision":1795248000000,"status":"active","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","external_id":"C-1001","revision":1795248000000,"status":"active","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}"#]],
    );
    check::<ProvisioningEvent>(
        "AccountUpdated",
        r#"{"isp_id":"isp-1","account_id":"a-1","external_id":"C-1001","revision":1795248000000,"status":"active","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","external_id":"C-1001","revision":1795248000000,"status":"active","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}"#]],
    );
    check::<ProvisioningEvent>(
        "AccountDeleted",
        r#"{"isp_id":"isp-1","account_id":"a-1","revision":2}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","revision":2}"#]],
    );
}

#[test]
fn users_on_the_wire() {
    check::<ProvisioningEvent>(
        "UserCreated",
        r#"{"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":1,"name":"Mia","kind":"child","age_group":"teen","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":1,"name":"Mia","kind":"child","age_group":"teen","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}"#]],
    );
    check::<ProvisioningEvent>(
        "UserUpdated",
        r#"{"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":1,"name":"Mia","kind":"child","age_group":"teen","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":1,"name":"Mia","kind":"child","age_group":"teen","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}"#]],
    );
    check::<ProvisioningEvent>(
        "UserDeleted",
        r#"{"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":2}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":2}"#]],
    );
}

#[test]
fn devices_on_the_wire() {
    check::<ProvisioningEvent>(
        "DeviceCreated",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","external_id":"X-1","revision":1,"kind":"router","name":"Hallway","device_type":"router","mac":"3c:22:fb:01:02:03","model":"hg-8000","serial":"SN-1","enabled":true,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"target_version":"stable","flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300},"action":{"id":"act-1","name":"block","expires_at":"2026-12-01T00:00:00Z"},"product_data":{"RouterSecure":{"status":{"is_new":true}}}}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","external_id":"X-1","revision":1,"kind":"router","name":"Hallway","device_type":"router","mac":"3c:22:fb:01:02:03","model":"hg-8000","serial":"SN-1","enabled":true,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"target_version":"stable","flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300},"action":{"id":"act-1","name":"block","expires_at":"2026-12-01T00:00:00Z"},"product_data":{"RouterSecure":{"status":{"is_new":true}}}}"#]],
    );
    check::<ProvisioningEvent>(
        "DeviceUpdated",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","external_id":"X-1","revision":1,"kind":"router","name":"Hallway","device_type":"router","mac":"3c:22:fb:01:02:03","model":"hg-8000","serial":"SN-1","enabled":true,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"target_version":"stable","flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300},"action":{"id":"act-1","name":"block","expires_at":"2026-12-01T00:00:00Z"},"product_data":{"RouterSecure":{"status":{"is_new":true}}}}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","external_id":"X-1","revision":1,"kind":"router","name":"Hallway","device_type":"router","mac":"3c:22:fb:01:02:03","model":"hg-8000","serial":"SN-1","enabled":true,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"target_version":"stable","flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300},"action":{"id":"act-1","name":"block","expires_at":"2026-12-01T00:00:00Z"},"product_data":{"RouterSecure":{"status":{"is_new":true}}}}"#]],
    );
    check::<ProvisioningEvent>(
        "DeviceDeleted",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","revision":2}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","revision":2}"#]],
    );
}

#[test]
fn provisions_on_the_wire() {
    check::<ProvisioningEvent>(
        "ProvisionCreated",
        r#"{"isp_id":"isp-1","account":{"isp_id":"isp-1","account_id":"a-1","external_id":"C-1001","revision":1795248000000,"status":"active","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}},"users":[{"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":1,"name":"Mia","kind":"child","age_group":"teen","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}],"devices":[{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","external_id":"X-1","revision":1,"kind":"router","name":"Hallway","device_type":"router","mac":"3c:22:fb:01:02:03","model":"hg-8000","serial":"SN-1","enabled":true,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"target_version":"stable","flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300},"action":{"id":"act-1","name":"block","expires_at":"2026-12-01T00:00:00Z"},"product_data":{"RouterSecure":{"status":{"is_new":true}}}}]}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account":{"isp_id":"isp-1","account_id":"a-1","external_id":"C-1001","revision":1795248000000,"status":"active","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}},"users":[{"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":1,"name":"Mia","kind":"child","age_group":"teen","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}],"devices":[{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","external_id":"X-1","revision":1,"kind":"router","name":"Hallway","device_type":"router","mac":"3c:22:fb:01:02:03","model":"hg-8000","serial":"SN-1","enabled":true,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"target_version":"stable","flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300},"action":{"id":"act-1","name":"block","expires_at":"2026-12-01T00:00:00Z"},"product_data":{"RouterSecure":{"status":{"is_new":true}}}}]}"#]],
    );
    check::<ProvisioningEvent>(
        "ProvisionUpdated",
        r#"{"isp_id":"isp-1","account":{"isp_id":"isp-1","account_id":"a-1","external_id":"C-1001","revision":1795248000000,"status":"active","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}},"users":[{"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":1,"name":"Mia","kind":"child","age_group":"teen","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}],"devices":[{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","external_id":"X-1","revision":1,"kind":"router","name":"Hallway","device_type":"router","mac":"3c:22:fb:01:02:03","model":"hg-8000","serial":"SN-1","enabled":true,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"target_version":"stable","flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300},"action":{"id":"act-1","name":"block","expires_at":"2026-12-01T00:00:00Z"},"product_data":{"RouterSecure":{"status":{"is_new":true}}}}]}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account":{"isp_id":"isp-1","account_id":"a-1","external_id":"C-1001","revision":1795248000000,"status":"active","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}},"users":[{"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":1,"name":"Mia","kind":"child","age_group":"teen","services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]}}],"devices":[{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","external_id":"X-1","revision":1,"kind":"router","name":"Hallway","device_type":"router","mac":"3c:22:fb:01:02:03","model":"hg-8000","serial":"SN-1","enabled":true,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"target_version":"stable","flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300},"action":{"id":"act-1","name":"block","expires_at":"2026-12-01T00:00:00Z"},"product_data":{"RouterSecure":{"status":{"is_new":true}}}}]}"#]],
    );
    check::<ProvisioningEvent>(
        "ProvisionDeleted",
        r#"{"isp_id":"isp-1","account_id":"a-1","revision":2}"#,
        expect![[r#"
            as-provision-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","revision":2}"#]],
    );
}

#[test]
fn provision_commands_on_the_wire() {
    check::<ProvisionCommand>(
        "PostDevice",
        r#"{"isp_id":"isp-1","account_id":"a-1","device":{"device_id":"d-1","kind":"device","name":"phone","device_type":"phone","mac":"3c:22:fb:01:02:03","product_data":{"RouterSecure":{"status":{"is_new":true,"active":true,"active_timestamp":"2026-11-21T10:00:00Z"}}}}}"#,
        expect![[r#"
            as-provision-command-topic [d-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device":{"device_id":"d-1","kind":"device","name":"phone","device_type":"phone","mac":"3c:22:fb:01:02:03","product_data":{"RouterSecure":{"status":{"active":true,"active_timestamp":"2026-11-21T10:00:00Z","is_new":true}}}}}"#]],
    );
    check::<ProvisionCommand>(
        "PatchDevice",
        r#"{"isp_id":"isp-1","device_id":"d-1","patch":{"product_data":{"RouterSecure":{"status":{"active":true,"active_timestamp":"2026-11-21T10:00:00Z"}}}}}"#,
        expect![[r#"
            as-provision-command-topic [d-1] of isp-1
            {"isp_id":"isp-1","device_id":"d-1","patch":{"product_data":{"RouterSecure":{"status":{"active":true,"active_timestamp":"2026-11-21T10:00:00Z"}}}}}"#]],
    );
}

#[test]
fn configuration_events_on_the_wire() {
    check::<ConfigurationEvent>(
        "ISPGlobalConfigurationsCreated",
        r#"{"isp_id":"isp-1","revision":7,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"max_inactive_seconds":7776000,"alert_lead_seconds":604800}"#,
        expect![[r#"
            as-configuration-topic [isp-1] of isp-1
            {"isp_id":"isp-1","revision":7,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"max_inactive_seconds":7776000,"alert_lead_seconds":604800}"#]],
    );
    check::<ConfigurationEvent>(
        "ISPGlobalConfigurationsUpdated",
        r#"{"isp_id":"isp-1","revision":7,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"max_inactive_seconds":7776000,"alert_lead_seconds":604800}"#,
        expect![[r#"
            as-configuration-topic [isp-1] of isp-1
            {"isp_id":"isp-1","revision":7,"services":{"content_filtering":{"enabled":true,"categories":["adult","gambling"],"safe_search":true,"schedules":[{"name":"bedtime","days":["mon","sun"],"from":"21:00","to":"06:30","timezone":"Europe/Madrid"}],"blocking_page_url":"https://isp.example/blocked"},"threat_protection":{"enabled":true,"blocking_page_url":"https://isp.example/threat"}},"rules":{"allow":["example.org"],"block":["bad.example"]},"max_inactive_seconds":7776000,"alert_lead_seconds":604800}"#]],
    );
}
