//! What the backend must hold of ISPs after they have set something by REST, worked out from the requests alone.
//!
//! It shares no code with the product: it would repeat the product's mistakes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A request that was answered with success: who set what to what, values in their canonical form.
#[derive(Clone, Debug)]
pub struct Put<'a> {
    /// The ISP.
    pub isp_id: &'a str,
    /// Such as `/router-protection/allowed-list`.
    pub path: &'a str,
    /// What was sent.
    pub body: &'a Value,
}

/// `{"isp-1/router-dns":{…},…}` for requests in the order in which they were answered. What an ISP has never set is
/// not there; where it has set a part, the rest is off and empty.
#[must_use]
pub fn system_documents<'a>(puts: impl Iterator<Item = Put<'a>>) -> Value {
    let mut last: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    for Put { isp_id, path, body } in puts {
        last.insert((isp_id, path), body);
    }
    let mut documents = Map::new();
    for isp in last.keys().map(|it| it.0) {
        let said = |path: &str, member: &str, standard: Value| {
            let body = last.iter().find(|(key, _)| **key == (isp, path)).map(|it| *it.1);
            body.map(|it| it[member].clone()).unwrap_or(standard)
        };
        let has_set = |paths: &[&str]| paths.iter().any(|it| last.contains_key(&(isp, *it)));
        let [protection, dns, networks] = [
            "/router-protection",
            "/router-protection/dns-allowed-list",
            "/router-protection/allowed-list",
        ];
        if has_set(&[protection, dns, networks]) {
            let enabled = said(protection, "enabled", json!(false));
            let allowed = said(dns, "dns_allowed_list", json!([]));
            let made = json!({"enabled": enabled, "allowed": allowed});
            documents.insert(format!("{isp}/router-dns"), made);
            let made = json!({
                "enabled": enabled, "allowed": said(networks, "allowed_list", json!([])),
                "block_page_ip": said(protection, "block_page_ip", Value::Null),
            });
            documents.insert(format!("{isp}/router-allowed-ip"), made);
        }
        let [lan, advanced] = ["/lan-protection", "/advanced-configuration"];
        if has_set(&[lan, advanced]) {
            let off = || json!(false);
            let made = json!({
                "lan_protection": {
                    "enabled": said(lan, "enabled", off()),
                    "isolate_iot": said(lan, "isolate_iot", off()),
                    "arp_guard": said(lan, "arp_guard", off()),
                },
                "advanced": {
                    "log_level": said(advanced, "log_level", json!("info")),
                    "telemetry": said(advanced, "telemetry", off()),
                    "features": said(advanced, "features", json!({})),
                },
            });
            documents.insert(format!("{isp}/general"), made);
        }
    }
    Value::Object(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_counts_and_what_was_never_set_is_not_there() {
        let networks = |it: &str| json!({"allowed_list": [it]});
        let bodies = [
            ("isp-1", "/router-protection/allowed-list", networks("10.0.0.0/8")),
            ("isp-1", "/router-protection/allowed-list", networks("198.51.100.0/24")),
            ("isp-1", "/router-protection", json!({"enabled": true, "block_page_ip": "192.0.2.1"})),
            (
                "isp-2",
                "/lan-protection",
                json!({"enabled": true, "isolate_iot": true, "arp_guard": false}),
            ),
        ];
        let puts = bodies.iter().map(|(isp_id, path, body)| Put { isp_id, path, body });
        let made = system_documents(puts);
        let expected = json!({
            "isp-1/router-dns": {"enabled": true, "allowed": []},
            "isp-1/router-allowed-ip":
                {"enabled": true, "allowed": ["198.51.100.0/24"], "block_page_ip": "192.0.2.1"},
            "isp-2/general": {
                "lan_protection": {"enabled": true, "isolate_iot": true, "arp_guard": false},
                "advanced": {"log_level": "info", "telemetry": false, "features": {}},
            },
        });
        assert_eq!(made, expected);
    }
}
