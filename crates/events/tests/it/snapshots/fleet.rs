//! What the subsystems say among themselves, to HS-BE and to others.

use events::*;
use expect_test::expect;

use super::check;

#[test]
fn rs_provisioning_events_on_the_wire() {
    check::<RsProvisioningEvent>(
        "RSDeviceCreated",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","revision":1795248000123,"kind":"device","name":"Tablet","device_type":"tablet","is_iot":false,"mac":"3c:22:fb:01:02:03","model":null,"serial":null,"enabled":true,"target_agent_package":null,"act_rules":[{"action":"block","domain":"bad.example","level":"device"}],"services":{"content_filtering":{"enabled":true,"categories":["adult"],"safe_search":true,"schedules":[],"blocking_page_url":null},"threat_protection":{"enabled":true,"blocking_page_url":null}}}"#,
        expect![[r#"
            as-rs-provision-topic [d-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","revision":1795248000123,"kind":"device","name":"Tablet","device_type":"tablet","is_iot":false,"mac":"3c:22:fb:01:02:03","model":null,"serial":null,"enabled":true,"target_agent_package":null,"act_rules":[{"action":"block","domain":"bad.example","level":"device"}],"services":{"content_filtering":{"enabled":true,"categories":["adult"],"safe_search":true,"schedules":[],"blocking_page_url":null},"threat_protection":{"enabled":true,"blocking_page_url":null}}}"#]],
    );
    check::<RsProvisioningEvent>(
        "RSDeviceUpdated",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","revision":1795248000123,"kind":"device","name":"Tablet","device_type":"tablet","is_iot":false,"mac":"3c:22:fb:01:02:03","model":null,"serial":null,"enabled":true,"target_agent_package":null,"act_rules":[{"action":"block","domain":"bad.example","level":"device"}],"services":{"content_filtering":{"enabled":true,"categories":["adult"],"safe_search":true,"schedules":[],"blocking_page_url":null},"threat_protection":{"enabled":true,"blocking_page_url":null}}}"#,
        expect![[r#"
            as-rs-provision-topic [d-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","revision":1795248000123,"kind":"device","name":"Tablet","device_type":"tablet","is_iot":false,"mac":"3c:22:fb:01:02:03","model":null,"serial":null,"enabled":true,"target_agent_package":null,"act_rules":[{"action":"block","domain":"bad.example","level":"device"}],"services":{"content_filtering":{"enabled":true,"categories":["adult"],"safe_search":true,"schedules":[],"blocking_page_url":null},"threat_protection":{"enabled":true,"blocking_page_url":null}}}"#]],
    );
    check::<RsProvisioningEvent>(
        "RSDeviceDeleted",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","kind":"device","revision":9}"#,
        expect![[r#"
            as-rs-provision-topic [d-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","kind":"device","revision":9}"#]],
    );
    check::<RsProvisioningEvent>(
        "RSDeviceAction",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","revision":1795248000123,"kind":"device","name":"Tablet","device_type":"tablet","is_iot":false,"mac":"3c:22:fb:01:02:03","model":null,"serial":null,"enabled":true,"target_agent_package":null,"act_rules":[{"action":"block","domain":"bad.example","level":"device"}],"services":{"content_filtering":{"enabled":true,"categories":["adult"],"safe_search":true,"schedules":[],"blocking_page_url":null},"threat_protection":{"enabled":true,"blocking_page_url":null}},"action":{"id":"act-1","name":"reboot","expires_at":"2026-12-01T00:00:00Z"}}"#,
        expect![[r#"
            as-rs-provision-topic [d-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","user_id":"u-1","revision":1795248000123,"kind":"device","name":"Tablet","device_type":"tablet","is_iot":false,"mac":"3c:22:fb:01:02:03","model":null,"serial":null,"enabled":true,"target_agent_package":null,"act_rules":[{"action":"block","domain":"bad.example","level":"device"}],"services":{"content_filtering":{"enabled":true,"categories":["adult"],"safe_search":true,"schedules":[],"blocking_page_url":null},"threat_protection":{"enabled":true,"blocking_page_url":null}},"action":{"id":"act-1","name":"reboot","expires_at":"2026-12-01T00:00:00Z"}}"#]],
    );
    check::<RsProvisioningEvent>(
        "RSUserUpdated",
        r#"{"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":3}"#,
        expect![[r#"
            as-rs-provision-topic [u-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","user_id":"u-1","revision":3}"#]],
    );
    check::<RsProvisioningEvent>(
        "RSCustomFlagsUpdated",
        r#"{"isp_id":"isp-1","device_id":"r-1","revision":4,"flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300}}"#,
        expect![[r#"
            as-rs-provision-topic [r-1] of isp-1
            {"isp_id":"isp-1","device_id":"r-1","revision":4,"flags":{"dns_over_tls":true},"upload_intervals":{"stats_seconds":300}}"#]],
    );
    check::<RsProvisioningEvent>(
        "RSRouterUploadIntervalsUpdated",
        r#"{"isp_id":"isp-1","device_id":"r-1","revision":4,"flags":{},"upload_intervals":{"stats_seconds":300}}"#,
        expect![[r#"
            as-rs-provision-topic [r-1] of isp-1
            {"isp_id":"isp-1","device_id":"r-1","revision":4,"flags":{},"upload_intervals":{"stats_seconds":300}}"#]],
    );
}

#[test]
fn rs_system_events_on_the_wire() {
    check::<RsSystemEvent>(
        "RSRouterProtectionUpdated",
        r#"{"isp_id":"isp-1","revision":4,"router_protection":{"enabled":true,"block_page_ip":"192.0.2.1"},"dns_allowed_list":["192.0.2.53"],"allowed_list":["198.51.100.0/24"]}"#,
        expect![[r#"
            as-rs-system-configuration-topic [isp-1] of isp-1
            {"isp_id":"isp-1","revision":4,"router_protection":{"enabled":true,"block_page_ip":"192.0.2.1"},"dns_allowed_list":["192.0.2.53"],"allowed_list":["198.51.100.0/24"]}"#]],
    );
    check::<RsSystemEvent>(
        "RSSystemUpdated",
        r#"{"isp_id":"isp-1","revision":4,"lan_protection":{"enabled":true,"isolate_iot":false,"arp_guard":true},"advanced":{"log_level":"info","telemetry":true,"features":{"beta":false}}}"#,
        expect![[r#"
            as-rs-system-configuration-topic [isp-1] of isp-1
            {"isp_id":"isp-1","revision":4,"lan_protection":{"enabled":true,"isolate_iot":false,"arp_guard":true},"advanced":{"log_level":"info","telemetry":true,"features":{"beta":false}}}"#]],
    );
}

#[test]
fn rs_agent_events_on_the_wire() {
    check::<RsAgentEvent>(
        "RSAgentsUpdated",
        r#"{"isp_id":"isp-1","revision":4,"packages":[{"agent_package_id":"p-1","version":"4.2.0","models":["hg-8000"]}]}"#,
        expect![[r#"
            as-rs-agent-topic [isp-1] of isp-1
            {"isp_id":"isp-1","revision":4,"packages":[{"agent_package_id":"p-1","version":"4.2.0","models":["hg-8000"]}]}"#]],
    );
    check::<RsAgentEvent>(
        "RSDefaultAgentsUpdated",
        r#"{"isp_id":"isp-1","revision":4,"defaults":{"hg-8000":"p-1"}}"#,
        expect![[r#"
            as-rs-agent-topic [isp-1] of isp-1
            {"isp_id":"isp-1","revision":4,"defaults":{"hg-8000":"p-1"}}"#]],
    );
    check::<RsAgentEvent>(
        "RSAgentPackageCreated",
        r#"{"agent_package_id":"p-1","isp_id":"isp-1","revision":5,"version":"4.2.0","models":["hg-8000"],"url":"https://packages.example/p-1","sha256":"00ff","size_bytes":1048576,"signature":"c2ln","state":"released"}"#,
        expect![[r#"
            as-rs-agent-topic [p-1] of isp-1
            {"agent_package_id":"p-1","isp_id":"isp-1","revision":5,"version":"4.2.0","models":["hg-8000"],"url":"https://packages.example/p-1","sha256":"00ff","size_bytes":1048576,"signature":"c2ln","state":"released"}"#]],
    );
    check::<RsAgentEvent>(
        "RSAgentPackageDeleted",
        r#"{"agent_package_id":"p-1","revision":6}"#,
        expect![[r#"
            as-rs-agent-topic [p-1] of nobody
            {"agent_package_id":"p-1","revision":6}"#]],
    );
}

#[test]
fn adaptor_replies_on_the_wire() {
    check::<AdaptorReply>(
        "RSDeviceCreatedReply",
        r#"{"request_id":"t-1/d-1","job_id":"j-1","resource":"d-1","revision":7,"held_revision":7,"status":"not_sent","http_status":204,"error":null}"#,
        expect![[r#"
            as-rs-adaptor-reply-topic [t-1] of nobody
            {"request_id":"t-1/d-1","job_id":"j-1","resource":"d-1","revision":7,"held_revision":7,"status":"not_sent","http_status":204,"error":null}"#]],
    );
    check::<AdaptorReply>(
        "RSAgentPackageCreatedReply",
        r#"{"request_id":"t-1/d-1","job_id":"j-1","resource":"d-1","revision":7,"held_revision":7,"status":"not_sent","http_status":204,"error":null}"#,
        expect![[r#"
            as-rs-adaptor-reply-topic [t-1] of nobody
            {"request_id":"t-1/d-1","job_id":"j-1","resource":"d-1","revision":7,"held_revision":7,"status":"not_sent","http_status":204,"error":null}"#]],
    );
    check::<AdaptorReply>(
        "RSSystemReply",
        r#"{"request_id":"t-1/d-1","job_id":"j-1","resource":"d-1","revision":7,"held_revision":7,"status":"not_sent","http_status":204,"error":null}"#,
        expect![[r#"
            as-rs-adaptor-reply-topic [t-1] of nobody
            {"request_id":"t-1/d-1","job_id":"j-1","resource":"d-1","revision":7,"held_revision":7,"status":"not_sent","http_status":204,"error":null}"#]],
    );
}

#[test]
fn agents_requests_on_the_wire() {
    check::<AgentsRequest>(
        "RSSyncAgentPackages",
        r#"{"job_id":"j-1","request_id":"j-1/accounts","scope":{"isp_id":"isp-1","account_id":"a-1","model":"hg-8000"},"mode":"force","window":2000,"rate_per_s":null}"#,
        expect![[r#"
            as-rs-agents-request-topic [j-1] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts","scope":{"isp_id":"isp-1","account_id":"a-1","model":"hg-8000"},"mode":"force","window":2000,"rate_per_s":null}"#]],
    );
    check::<AgentsRequest>(
        "RSSyncAgentPackagesBulk",
        r#"{"job_id":"j-1","request_id":"j-1/accounts/000017","after":"d-0042","up_to":"d-0542"}"#,
        expect![[r#"
            as-rs-agents-request-topic [j-1/accounts] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts/000017","after":"d-0042","up_to":"d-0542"}"#]],
    );
    check::<AgentsRequest>(
        "RSCancelSync",
        r#"{"job_id":"j-1"}"#,
        expect![[r#"
        as-rs-agents-request-topic [j-1] of nobody
        {"job_id":"j-1"}"#]],
    );
    check::<AgentsRequest>(
        "RSSyncControl",
        r#"{"job_id":"j-1","action":"redrive"}"#,
        expect![[r#"
            as-rs-agents-request-topic [j-1] of nobody
            {"job_id":"j-1","action":"redrive"}"#]],
    );
}

#[test]
fn agents_replies_on_the_wire() {
    check::<AgentsReply>(
        "RSSyncAgentPackagesReply",
        r#"{"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#,
        expect![[r#"
            as-rs-agents-reply-topic [j-1] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#]],
    );
    check::<AgentsReply>(
        "RSSyncAgentPackagesBulkReply",
        r#"{"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#,
        expect![[r#"
            as-rs-agents-reply-topic [j-1] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#]],
    );
}

#[test]
fn client_requests_on_the_wire() {
    check::<ClientRequest>(
        "RSSyncSystem",
        r#"{"job_id":"j-1","request_id":"j-1/accounts","scope":{"isp_id":"isp-1","account_id":"a-1","model":"hg-8000"},"mode":"force","window":2000,"rate_per_s":null}"#,
        expect![[r#"
            as-rs-client-request-topic [j-1] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts","scope":{"isp_id":"isp-1","account_id":"a-1","model":"hg-8000"},"mode":"force","window":2000,"rate_per_s":null}"#]],
    );
    check::<ClientRequest>(
        "RSSyncAccounts",
        r#"{"job_id":"j-1","request_id":"j-1/accounts","scope":{"isp_id":"isp-1","account_id":"a-1","model":"hg-8000"},"mode":"force","window":2000,"rate_per_s":null}"#,
        expect![[r#"
            as-rs-client-request-topic [j-1] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts","scope":{"isp_id":"isp-1","account_id":"a-1","model":"hg-8000"},"mode":"force","window":2000,"rate_per_s":null}"#]],
    );
    check::<ClientRequest>(
        "RSSyncAccountsBulk",
        r#"{"job_id":"j-1","request_id":"j-1/accounts/000017","after":"d-0042","up_to":"d-0542"}"#,
        expect![[r#"
            as-rs-client-request-topic [j-1/accounts] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts/000017","after":"d-0042","up_to":"d-0542"}"#]],
    );
    check::<ClientRequest>(
        "RSCancelSync",
        r#"{"job_id":"j-1"}"#,
        expect![[r#"
        as-rs-client-request-topic [j-1] of nobody
        {"job_id":"j-1"}"#]],
    );
    check::<ClientRequest>(
        "RSSyncControl",
        r#"{"job_id":"j-1","action":"redrive"}"#,
        expect![[r#"
            as-rs-client-request-topic [j-1] of nobody
            {"job_id":"j-1","action":"redrive"}"#]],
    );
}

#[test]
fn client_replies_on_the_wire() {
    check::<ClientReply>(
        "RSSyncSystemReply",
        r#"{"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#,
        expect![[r#"
            as-rs-client-reply-topic [j-1] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#]],
    );
    check::<ClientReply>(
        "RSSyncAccountsReply",
        r#"{"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#,
        expect![[r#"
            as-rs-client-reply-topic [j-1] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#]],
    );
    check::<ClientReply>(
        "RSSyncAccountsBulkReply",
        r#"{"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#,
        expect![[r#"
            as-rs-client-reply-topic [j-1] of nobody
            {"job_id":"j-1","request_id":"j-1/accounts","status":"completed_with_failures","counts":{"total":500,"applied":490,"unchanged":0,"superseded":2,"gone":3,"rejected":5,"not_sent":0,"unknown":0},"reason":null}"#]],
    );
}

#[test]
fn hs_events_on_the_wire() {
    check::<HsEvent>(
        "device_event_connected",
        r#"{"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","router_id":"r-1","mac":"3c:22:fb:01:02:03"}"#,
        expect![[r#"
            hs-event-topic [d-1] of isp-1
            {"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","router_id":"r-1","mac":"3c:22:fb:01:02:03"}"#]],
    );
    check::<HsEvent>(
        "device_event_new_device",
        r#"{"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","mac":"3c:22:fb:01:02:03","name":"phone","device_type":"phone"}"#,
        expect![[r#"
            hs-event-topic [d-1] of isp-1
            {"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","mac":"3c:22:fb:01:02:03","name":"phone","device_type":"phone"}"#]],
    );
    check::<HsEvent>(
        "device_event_active",
        r#"{"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","active":true}"#,
        expect![[r#"
            hs-event-topic [d-1] of isp-1
            {"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","active":true}"#]],
    );
    check::<HsEvent>(
        "device_event_blocked",
        r#"{"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","domain":"bad.example","category":"gambling"}"#,
        expect![[r#"
            hs-event-topic [d-1] of isp-1
            {"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","domain":"bad.example","category":"gambling"}"#]],
    );
    check::<HsEvent>(
        "device_event_threat",
        r#"{"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","domain":"bad.example","threat":"phishing"}"#,
        expect![[r#"
            hs-event-topic [d-1] of isp-1
            {"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","domain":"bad.example","threat":"phishing"}"#]],
    );
    check::<HsEvent>(
        "router_event_agent",
        r#"{"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","agent_package_id":"p-1","status":"failed","error":"no space"}"#,
        expect![[r#"
            hs-event-topic [d-1] of isp-1
            {"timestamp":"2026-11-21T10:00:00Z","event_id":"e-1","isp_id":"isp-1","device_id":"d-1","account_id":"a-1","agent_package_id":"p-1","status":"failed","error":"no space"}"#]],
    );
}

#[test]
fn rs_events_on_the_wire() {
    check::<RsEvent>(
        "RSDeviceEventConnected",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","router_id":"r-1","mac":"3c:22:fb:01:02:03","at":"2026-11-21T10:00:00Z"}"#,
        expect![[r#"
            as-rs-event-topic [d-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","router_id":"r-1","mac":"3c:22:fb:01:02:03","at":"2026-11-21T10:00:00Z"}"#]],
    );
    check::<RsEvent>(
        "RSRouterAgentReported",
        r#"{"isp_id":"isp-1","device_id":"r-1","agent_package_id":"p-1","status":"installed","error":"none","at":"2026-11-21T10:00:00Z"}"#,
        expect![[r#"
            as-rs-event-topic [r-1] of isp-1
            {"isp_id":"isp-1","device_id":"r-1","agent_package_id":"p-1","status":"installed","error":"none","at":"2026-11-21T10:00:00Z"}"#]],
    );
}

#[test]
fn notification_events_on_the_wire() {
    check::<NotificationEvent>(
        "device_event_new_device",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A new device","data":{"name":"phone"},"at":"2026-11-21T10:00:00Z"}"#,
        expect![[r#"
            as-notification-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A new device","data":{"name":"phone"},"at":"2026-11-21T10:00:00Z"}"#]],
    );
    check::<NotificationEvent>(
        "device_inactive_delete_alert",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A new device","data":{"name":"phone"},"at":"2026-11-21T10:00:00Z"}"#,
        expect![[r#"
            as-notification-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A new device","data":{"name":"phone"},"at":"2026-11-21T10:00:00Z"}"#]],
    );
    check::<NotificationEvent>(
        "device_inactive_deleted",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A new device","data":{"name":"phone"},"at":"2026-11-21T10:00:00Z"}"#,
        expect![[r#"
            as-notification-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A new device","data":{"name":"phone"},"at":"2026-11-21T10:00:00Z"}"#]],
    );
    check::<NotificationEvent>(
        "threat_blocked",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A new device","data":{"name":"phone"},"at":"2026-11-21T10:00:00Z"}"#,
        expect![[r#"
            as-notification-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A new device","data":{"name":"phone"},"at":"2026-11-21T10:00:00Z"}"#]],
    );
}

#[test]
fn report_events_on_the_wire() {
    check::<ReportEvent>(
        "WSPRequest",
        r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","kind":"blocked","domain":"bad.example","category":"gambling","at":"2026-11-21T10:00:00Z"}"#,
        expect![[r#"
            as-wsp-request-topic [a-1] of isp-1
            {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","kind":"blocked","domain":"bad.example","category":"gambling","at":"2026-11-21T10:00:00Z"}"#]],
    );
}

#[test]
fn subsystem_events_on_the_wire() {
    check::<SubsystemEvent>(
        "ProductIsInstalled",
        r#"{"subsystem":"rs","version":"1.0.0","instance":"rsclient-0","at":"2026-11-21T10:00:00Z"}"#,
        expect![[r#"
            as-subsystem-topic [rs] of nobody
            {"subsystem":"rs","version":"1.0.0","instance":"rsclient-0","at":"2026-11-21T10:00:00Z"}"#]],
    );
    check::<SubsystemEvent>(
        "Heartbeat",
        r#"{"subsystem":"rs","version":"1.0.0","instance":"rsclient-0","at":"2026-11-21T10:00:00Z","healthy":true}"#,
        expect![[r#"
            as-subsystem-topic [rs] of nobody
            {"subsystem":"rs","version":"1.0.0","instance":"rsclient-0","at":"2026-11-21T10:00:00Z","healthy":true}"#]],
    );
}
