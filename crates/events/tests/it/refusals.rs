//! What is no event of its topic, and why.

use events::*;
use expect_test::{Expect, expect};

const DEVICE: &str = r#"{"isp_id":"isp-1","account_id":"a-1","device_id":"d-1","revision":1,"kind":"device","name":"Tablet","device_type":"tablet","mac":"3c:22:fb:01:02:03"}"#;

/// Replaces a part of a good device, which is then refused.
fn check(part: &str, by: &str, expect: Expect) {
    let json = DEVICE.replace(part, by);
    assert_ne!(json, DEVICE);
    let outcome = ProvisioningEvent::decode("DeviceCreated", json.as_bytes());
    expect.assert_eq(&outcome.unwrap_err().to_string());
}

#[test]
fn a_member_that_is_missing_or_of_a_wrong_form_is_named() {
    check(
        r#""mac":"3c:22:fb:01:02:03""#,
        r#""x":1"#,
        expect!["malformed `DeviceCreated`: missing field `mac` at line 1 column 129"],
    );
    check(
        "3c:22:fb:01:02:03",
        "3C:22:FB:01:02:03",
        expect![
            "malformed `DeviceCreated`: a MAC address must be six lower-case hexadecimal pairs with colons at line 1 column 149"
        ],
    );
    check(
        r#""d-1""#,
        r#""d 1""#,
        expect![
            "malformed `DeviceCreated`: device_id must be 1 to 64 characters of A-Z a-z 0-9 ._:- at line 1 column 54"
        ],
    );
    check(
        r#""d-1""#,
        &format!("\"{}\"", "d".repeat(65)),
        expect![
            "malformed `DeviceCreated`: device_id must be 1 to 64 characters of A-Z a-z 0-9 ._:- at line 1 column 116"
        ],
    );
    check(
        r#""revision":1"#,
        r#""revision":9007199254740992"#,
        expect!["malformed `DeviceCreated`: revision must be below 2^53 at line 1 column 82"],
    );
    check(
        r#""revision":1"#,
        r#""revision":-1"#,
        expect![
            "malformed `DeviceCreated`: invalid value: integer `-1`, expected u64 at line 1 column 68"
        ],
    );
    check(
        r#""revision":1"#,
        r#""revision":"1""#,
        expect![[
            r#"malformed `DeviceCreated`: invalid type: string "1", expected u64 at line 1 column 69"#
        ]],
    );
    check(
        r#""kind":"device""#,
        r#""kind":"toaster""#,
        expect![
            "malformed `DeviceCreated`: unknown variant `toaster`, expected `router` or `device` at line 1 column 84"
        ],
    );
}

#[test]
fn a_value_that_has_another_form_is_refused_and_never_rewritten() {
    let with = |member: &str| format!(r#""revision":1,{member}"#);
    check(
        r#""revision":1"#,
        &with(r#""rules":{"block":["Bad.Example"]}"#),
        expect![
            "malformed `DeviceCreated`: a domain name must be lower-case ASCII labels with dots at line 1 column 100"
        ],
    );
    check(
        r#""revision":1"#,
        &with(r#""rules":{"block":["b\u00fccher.example"]}"#),
        expect![
            "malformed `DeviceCreated`: a domain name must be lower-case ASCII labels with dots at line 1 column 108"
        ],
    );
    check(
        r#""revision":1"#,
        &with(r#""services":{"content_filtering":{"blocking_page_url":"ftp://x"}}"#),
        expect![
            "malformed `DeviceCreated`: a URL must be absolute, http or https, and at most 2048 characters at line 1 column 131"
        ],
    );
    check(
        r#""revision":1"#,
        &with(r#""action":{"id":"a","name":"block","expires_at":"2026-12-01T00:00:00+02:00"}"#),
        expect!["malformed `DeviceCreated`: a time must be RFC 3339 in UTC at line 1 column 143"],
    );
}

#[test]
fn a_list_of_more_than_a_thousand_domains_is_malformed() {
    let domains = |n: usize| {
        let all: Vec<String> = (0..n).map(|it| format!("\"d{it}.example\"")).collect();
        DEVICE.replace(
            r#""revision":1"#,
            &format!(r#""revision":1,"rules":{{"block":[{}]}}"#, all.join(",")),
        )
    };
    let decode = |json: String| ProvisioningEvent::decode("DeviceCreated", json.as_bytes());
    assert!(decode(domains(1_000)).is_ok());
    expect![
        "malformed `DeviceCreated`: a list must have at most 1000 entries at line 1 column 14993"
    ]
    .assert_eq(&decode(domains(1_001)).unwrap_err().to_string());
}

#[test]
fn an_event_of_another_topic_is_no_event_of_this_one() {
    let outcome = ProvisioningEvent::decode("RSDeviceCreated", DEVICE.as_bytes());
    expect!["`RSDeviceCreated` is no event of `as-provision-topic`"]
        .assert_eq(&outcome.unwrap_err().to_string());
}

#[test]
fn what_a_newer_producer_adds_is_tolerated() {
    let json = DEVICE.replace(r#""revision":1"#, r#""revision":1,"colour":"red""#);
    ProvisioningEvent::decode("DeviceCreated", json.as_bytes()).unwrap();
}

#[test]
fn null_means_absent() {
    let json = DEVICE.replace(
        r#""revision":1"#,
        r#""revision":1,"user_id":null,"services":{"content_filtering":{"enabled":null}},"rules":null"#,
    );
    let ProvisioningEvent::DeviceCreated(device) =
        ProvisioningEvent::decode("DeviceCreated", json.as_bytes()).unwrap()
    else {
        panic!("a DeviceCreated is one");
    };
    assert_eq!((device.user_id, device.rules), (None, None));
}

#[test]
fn ids_networks_and_times_have_one_form_each() {
    assert!("a".repeat(64).parse::<AccountId>().is_ok());
    for bad in ["", "a b", "a/b", "ü", &"a".repeat(65)] {
        assert!(bad.parse::<AccountId>().is_err(), "{bad}");
    }
    let request: RequestId = "j-1/accounts/000017/r-1~flags".parse().unwrap();
    assert_eq!((request.task_id(), request.key()), ("j-1/accounts/000017", "r-1~flags"));
    let network = |it: &str| IpNetwork::try_from(it.to_owned()).is_ok();
    for good in ["198.51.100.0/24", "192.0.2.1", "0.0.0.0/0", "2001:db8::/32", "2001:db8::1/128"] {
        assert!(network(good), "{good}");
    }
    for bad in ["198.51.100.1/24", "198.51.100.0/33", "2001:DB8::/32", "198.51.100.0/024", "x/8"] {
        assert!(!network(bad), "{bad}");
    }
    let time = |it: &str| Timestamp::try_from(it.to_owned()).map(|it| it.to_string());
    assert_eq!(time("2026-12-01T00:00:00.100Z").unwrap(), "2026-12-01T00:00:00.100Z");
    for bad in ["2026-12-01", "2026-12-01 00:00:00Z", "2026-13-01T00:00:00Z", "now"] {
        assert!(time(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_list_or_an_object_where_something_else_belongs_is_malformed() {
    let with = |member: &str| format!(r#""revision":1,{member}"#);
    let reason =
        || expect!["malformed `DeviceCreated`: a list or an object where something else belongs"];
    for member in [
        r#""services":[]"#,
        r#""services":{"content_filtering":[true]}"#,
        r#""rules":[["x.example"],[]]"#,
        r#""action":["act-1","block","2026-12-01T00:00:00Z"]"#,
    ] {
        check(r#""revision":1"#, &with(member), reason());
    }
    check(r#""kind":"device""#, r#""kind":{"device":null}"#, reason());
    let deletion = r#"["isp-1","a-1",1]"#;
    let outcome = ProvisioningEvent::decode("AccountDeleted", deletion.as_bytes());
    expect!["malformed `AccountDeleted`: a list or an object where something else belongs"]
        .assert_eq(&outcome.unwrap_err().to_string());
    // What is written twice is still refused.
    check(
        r#""revision":1"#,
        &with(r#""revision":2"#),
        expect!["malformed `DeviceCreated`: duplicate field `revision` at line 1 column 78"],
    );
}

#[test]
fn a_count_is_a_number_that_every_reader_holds_exactly() {
    let with =
        |number: &str| format!(r#""revision":1,"upload_intervals":{{"stats_seconds":{number}}}"#);
    for number in ["18446744073709551615", "9007199254740992"] {
        let json = DEVICE.replace(r#""revision":1"#, &with(number));
        let refused = ProvisioningEvent::decode("DeviceCreated", json.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("a count must be below 2^53"), "{refused}");
    }
    let json = DEVICE.replace(r#""revision":1"#, &with("9007199254740991"));
    ProvisioningEvent::decode("DeviceCreated", json.as_bytes()).unwrap();
    for member in ["max_inactive_seconds", "alert_lead_seconds"] {
        let json = format!(r#"{{"isp_id":"isp-1","revision":1,"{member}":9007199254740992}}"#);
        let event_type = "ISPGlobalConfigurationsCreated";
        let refused = ConfigurationEvent::decode(event_type, json.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("a count must be below 2^53"), "{refused}");
    }
}

#[test]
fn a_time_has_the_grammar_of_rfc_3339_and_a_day_of_the_calendar() {
    let time = |it: &str| Timestamp::try_from(it.to_owned());
    for good in [
        "9999-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "2024-02-29T00:00:00Z",
        "2026-12-01T00:00:00.123456789012345Z",
        "2026-12-01T00:00:00.5+00:00",
        "2016-12-31T23:59:60Z",
    ] {
        assert_eq!(time(good).unwrap().as_str(), good);
    }
    for bad in [
        "2026-01-01T00:00Z",
        "2026-01-01T00Z",
        "2026-01-01T00:00:00,5Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z",
        "2026-02-29T00:00:00Z",
        "+2026-01-01T00:00:00Z",
        "20260101T000000Z",
        "2026-01-01T00:00:00+01:00",
        "2026-01-01T00:00:00Z[UTC]",
        "2026-01-01T00:00:0\u{663}Z",
    ] {
        assert!(time(bad).is_err(), "{bad}");
    }
    let instant = |it: &str| time(it).unwrap().instant();
    assert_eq!(instant("9999-12-31T23:59:59Z"), jiff::Timestamp::MAX);
    let long = instant("2026-12-01T00:00:00.123456789999Z");
    assert_eq!(long.to_string(), "2026-12-01T00:00:00.123456789Z");
    assert_eq!(instant("2026-12-01T00:00:00.5+00:00").to_string(), "2026-12-01T00:00:00.5Z");
}

#[test]
fn an_id_is_no_step_within_a_path() {
    for bad in [".", ".."] {
        let refused = bad.parse::<DeviceId>().unwrap_err().to_string();
        assert_eq!(
            refused,
            "device_id must be 1 to 64 characters of A-Z a-z 0-9 ._:-, not . or .."
        );
    }
    for good in ["...", "a.", ".a", "-"] {
        assert!(good.parse::<DeviceId>().is_ok(), "{good}");
    }
}

#[test]
fn a_url_is_written_as_it_is_meant() {
    let url = |it: &str| HttpUrl::try_from(it.to_owned());
    for good in ["http://x", "https://isp.example/blocked?why=1#2", "https://[2001:db8::1]:8443/"] {
        assert!(url(good).is_ok(), "{good}");
    }
    for bad in [
        "https:x.example",
        "https:/x.example",
        "HTTPS://x.example",
        " https://x.example",
        "https://x.example/a b",
        "https://x.exam\nple",
        "https://x.example\\@y.example",
        "https:\\\\x.example",
        "ftp://x.example",
    ] {
        assert!(url(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_text_has_at_most_1024_characters() {
    let text = |chars: usize| Text::try_from("ü".repeat(chars));
    assert!(text(1_024).is_ok());
    let refused = text(1_025).unwrap_err().to_string();
    assert_eq!(refused, "a text must have at most 1024 characters and no control characters");
}
