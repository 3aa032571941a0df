//! What an event causes.

use events::{
    DeviceConnected, HomeEvent, HsEvent, Notice, NotificationEvent, PatchDevice, PostDevice,
    ProvisionCommand, ReportEvent, RouterAgentReported, RsEvent, WspKind, WspRequest,
};

use super::Home;

/// Something that is said because of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Caused {
    /// To accounts.
    Command(ProvisionCommand),
    /// To accounts and rsclient.
    Rs(RsEvent),
    /// To notifications.
    Notification(NotificationEvent),
    /// To bucket-writer.
    Report(ReportEvent),
}

/// What an event in this home causes, in the order in which it is said. The order is part of the wire: the ids of what is
/// said are made of it.
pub fn causes(event: HsEvent, home: Home) -> Vec<Caused> {
    match event {
        HsEvent::Connected(it) => vec![Caused::Rs(connected(it, home))],
        HsEvent::NewDevice(it) => {
            let HomeEvent { timestamp, device_id, detail, .. } = it;
            let Home { isp_id, account_id } = home.clone();
            let post =
                PostDevice::discovered(isp_id, account_id, device_id.clone(), &detail, &timestamp);
            let home = (home.isp_id, home.account_id);
            let notice = Notice::new_device(home, device_id, &detail, timestamp);
            vec![
                Caused::Command(ProvisionCommand::PostDevice(post)),
                Caused::Notification(NotificationEvent::NewDevice(notice)),
            ]
        }
        HsEvent::Active(it) => {
            let HomeEvent { timestamp, device_id, detail, .. } = it;
            let patch = PatchDevice::activity(home.isp_id, device_id, detail.active, &timestamp);
            vec![Caused::Command(ProvisionCommand::PatchDevice(patch))]
        }
        HsEvent::Blocked(it) => {
            let HomeEvent { timestamp, device_id, detail, .. } = it;
            vec![report(WspRequest {
                isp_id: home.isp_id,
                account_id: home.account_id,
                device_id,
                kind: WspKind::Blocked,
                domain: detail.domain,
                category: Some(detail.category),
                threat: None,
                at: timestamp,
            })]
        }
        HsEvent::Threat(it) => {
            let HomeEvent { timestamp, device_id, detail, .. } = it;
            let (isp_id, account_id) = (home.isp_id.clone(), home.account_id.clone());
            let place = (home.isp_id, home.account_id);
            let notice =
                Notice::threat_blocked(place, device_id.clone(), &detail, timestamp.clone());
            let request = WspRequest {
                isp_id,
                account_id,
                device_id,
                kind: WspKind::Threat,
                domain: detail.domain,
                category: None,
                threat: Some(detail.threat),
                at: timestamp,
            };
            vec![report(request), Caused::Notification(NotificationEvent::ThreatBlocked(notice))]
        }
        HsEvent::Agent(it) => {
            let HomeEvent { timestamp, device_id, detail, .. } = it;
            vec![Caused::Rs(RsEvent::RSRouterAgentReported(RouterAgentReported {
                isp_id: home.isp_id,
                device_id,
                agent_package_id: detail.agent_package_id,
                status: detail.status,
                error: detail.error,
                at: timestamp,
            }))]
        }
    }
}

fn connected(it: HomeEvent<events::Connected>, home: Home) -> RsEvent {
    RsEvent::RSDeviceEventConnected(DeviceConnected {
        isp_id: home.isp_id,
        account_id: Some(home.account_id),
        device_id: it.device_id,
        router_id: it.detail.router_id,
        mac: it.detail.mac,
        at: it.timestamp,
    })
}

fn report(request: WspRequest) -> Caused {
    Caused::Report(ReportEvent::WSPRequest(request))
}

#[cfg(test)]
mod tests {
    use events::TopicEvent;
    use expect_test::{Expect, expect};

    use super::*;

    fn check(event_type: &str, members: &str, wanted: &Expect) {
        let payload = format!(
            r#"{{"timestamp":"2026-03-01T10:00:00Z","event_id":"e-1","isp_id":"isp-1",
            "device_id":"d-1","account_id":"a-0",{members}}}"#
        );
        let event = HsEvent::decode(event_type, payload.as_bytes()).unwrap();
        let home = Home { isp_id: "isp-1".parse().unwrap(), account_id: "a-1".parse().unwrap() };
        fn line(it: &impl TopicEvent) -> String {
            let payload = String::from_utf8(it.encode()).unwrap();
            format!("{} [{}] {payload}\n", it.event_type(), it.key())
        }
        let lines = causes(event, home).into_iter().map(|it| match it {
            Caused::Command(it) => line(&it),
            Caused::Rs(it) => line(&it),
            Caused::Notification(it) => line(&it),
            Caused::Report(it) => line(&it),
        });
        wanted.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn a_connected_device_is_told_with_the_household_that_provisioning_says() {
        check(
            "device_event_connected",
            r#""router_id":"r-1","mac":"3c:22:fb:01:02:03""#,
            &expect![[r#"
                RSDeviceEventConnected [d-1] {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","router_id":"r-1","mac":"3c:22:fb:01:02:03","at":"2026-03-01T10:00:00Z"}
            "#]],
        );
    }

    #[test]
    fn a_new_device_is_posted_and_its_household_hears_of_it() {
        check(
            "device_event_new_device",
            r#""mac":"3c:22:fb:01:02:03","name":"Mia's phone","device_type":"phone""#,
            &expect![[r#"
                PostDevice [d-1] {"isp_id":"isp-1","account_id":"a-1","device":{"device_id":"d-1","kind":"device","name":"Mia's phone","device_type":"phone","mac":"3c:22:fb:01:02:03","product_data":{"RouterSecure":{"status":{"active":true,"active_timestamp":"2026-03-01T10:00:00Z","is_new":true}}}}}
                device_event_new_device [a-1] {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A new device is in your network","data":{"device_type":"phone","mac":"3c:22:fb:01:02:03","name":"Mia's phone"},"at":"2026-03-01T10:00:00Z"}
            "#]],
        );
    }

    #[test]
    fn activity_is_a_patch() {
        check(
            "device_event_active",
            r#""active":false"#,
            &expect![[r#"
                PatchDevice [d-1] {"isp_id":"isp-1","device_id":"d-1","patch":{"product_data":{"RouterSecure":{"status":{"active":false,"active_timestamp":"2026-03-01T10:00:00Z"}}}}}
            "#]],
        );
    }

    #[test]
    fn what_is_kept_from_a_home_is_reported_and_a_threat_is_told_to_the_household() {
        check(
            "device_event_blocked",
            r#""domain":"bad.example","category":"gambling""#,
            &expect![[r#"
                WSPRequest [a-1] {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","kind":"blocked","domain":"bad.example","category":"gambling","at":"2026-03-01T10:00:00Z"}
            "#]],
        );
        check(
            "device_event_threat",
            r#""domain":"bad.example","threat":"phishing""#,
            &expect![[r#"
                WSPRequest [a-1] {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","kind":"threat","domain":"bad.example","threat":"phishing","at":"2026-03-01T10:00:00Z"}
                threat_blocked [a-1] {"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","subject":"A threat was blocked","data":{"domain":"bad.example","threat":"phishing"},"at":"2026-03-01T10:00:00Z"}
            "#]],
        );
    }

    #[test]
    fn a_router_says_what_it_runs_and_why_it_does_not() {
        check(
            "router_event_agent",
            r#""agent_package_id":"p-1","status":"failed","error":"no space""#,
            &expect![[r#"
                RSRouterAgentReported [d-1] {"isp_id":"isp-1","device_id":"d-1","agent_package_id":"p-1","status":"failed","error":"no space","at":"2026-03-01T10:00:00Z"}
            "#]],
        );
    }
}
