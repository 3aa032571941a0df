//! Why a configuration is as it is, over random homes and against rules that are written down here once more.

use events::{Level, RuleAction};
use fastrand::Rng;
use jiff::Timestamp;
use rsclient::domain::{
    Absence, Account, Configuration, Device, Explained, Inputs, Software, User, effective_device,
    explained,
};
use serde_json::{Value, json};

const SEEDS: u64 = 3_000;

/// Everything that a device may depend on, as it is stored.
struct Home {
    device: Value,
    user: Value,
    account: Value,
    isp: Value,
}

fn of<T: serde::de::DeserializeOwned>(stored: &Value) -> Option<T> {
    (!stored.is_null()).then(|| serde_json::from_value(stored.clone()).unwrap())
}

impl Home {
    /// A home in which every level may say anything or nothing.
    fn random(rng: &mut Rng) -> Self {
        let mut maybe = |share: u8, it: Value| if rng.u8(..100) < share { it } else { json!(null) };
        let user_id = maybe(70, json!("u-1"));
        let known = [maybe(90, json!(1)), maybe(95, json!(1)), maybe(60, json!(1))];
        let kind = if rng.bool() { "router" } else { "device" };
        let enabled = pick(rng, &[json!(null), json!(true), json!(false)]);
        let device = json!({
            "_id": "d-1", "isp_id": "isp-1", "account_id": "a-1", "revision": 10, "deleted": rng.u8(..100) < 5,
            "rs_revision": 7, "state": {
                "user_id": user_id, "kind": kind, "name": "Tablet", "device_type": "tablet",
                "mac": "3c:22:fb:01:02:03", "enabled": enabled,
                "services": services(rng), "rules": rules(rng),
            },
        });
        let user = json!({
            "_id": "u-1", "isp_id": isp(rng), "account_id": pick(rng, &[json!("a-1"), json!("a-1"), json!("a-2")]),
            "revision": rng.u64(1..20), "deleted": rng.u8(..100) < 10, "state": {
                "name": "Mia", "kind": pick(rng, &[json!("child"), json!("child"), json!("parent")]),
                "age_group": pick(rng, &[json!("child"), json!("teen"), json!("adult")]),
                "services": services(rng), "rules": rules(rng),
            },
        });
        let account = json!({
            "_id": "a-1", "isp_id": isp(rng), "revision": 12, "deleted": rng.u8(..100) < 5,
            "ended_at": pick(rng, &[json!(0), json!(0), json!(9), json!(11)]), "state": {
                "status": pick(rng, &[json!("active"), json!("active"), json!("suspended")]),
                "services": services(rng), "rules": rules(rng),
            },
        });
        let isp = json!({
            "_id": "isp-1", "revision": 1, "services": services(rng), "rules": rules(rng),
        });
        let where_known = |at: usize, it: Value| if known[at].is_null() { json!(null) } else { it };
        Self {
            device,
            user: where_known(0, user),
            account: where_known(1, account),
            isp: where_known(2, isp),
        }
    }

    fn explained(&self) -> Result<Explained, Absence> {
        let device: Device = of(&self.device).unwrap();
        let (account, user): (Option<Account>, Option<User>) = (of(&self.account), of(&self.user));
        let configuration: Option<Configuration> = of(&self.isp);
        let names_it = device.state.as_ref().is_some_and(|it| it.user_id.is_some());
        let inputs = Inputs {
            device: &device,
            account: account.as_ref(),
            user: user.as_ref().filter(|_| names_it),
            configuration: configuration.as_ref(),
            software: Software::default(),
        };
        let explained = explained(inputs, Timestamp::UNIX_EPOCH);
        assert_eq!(
            effective_device(inputs).as_ref(),
            explained.as_ref().ok().map(|it| &it.configuration)
        );
        explained
    }

    fn has_user(&self) -> bool {
        let (user, account) = (&self.user, &self.account);
        !self.device["state"]["user_id"].is_null()
            && user["isp_id"] == "isp-1"
            && user["account_id"] == "a-1"
            && user["deleted"] == json!(false)
            && user["revision"].as_u64() >= account["ended_at"].as_u64()
    }

    /// Who says something of a leaf of the services, by the book and without any of the code under test.
    fn said(&self, service: &str, leaf: &str) -> Vec<(&'static str, Value)> {
        let user = &self.user["state"];
        let preset = match (user["kind"].as_str(), user["age_group"].as_str()) {
            (Some("child"), Some("child")) => json!({
                "enabled": true, "safe_search": true,
                "categories": ["adult", "chat", "dating", "drugs", "gambling", "proxies", "social", "violence", "weapons"],
            }),
            (Some("child"), Some("teen")) => json!({
                "enabled": true, "safe_search": true,
                "categories": ["adult", "dating", "drugs", "gambling", "proxies", "weapons"],
            }),
            _ => json!(null),
        };
        let preset = json!({ "content_filtering": preset });
        let of_user = |it: &Value| if self.has_user() { it.clone() } else { json!(null) };
        let levels = [
            ("device", self.device["state"]["services"].clone()),
            ("user", of_user(&user["services"])),
            ("preset", of_user(&preset)),
            ("account", self.account["state"]["services"].clone()),
            ("isp", self.isp["services"].clone()),
            (
                "default",
                json!({
                    "content_filtering": {"enabled": false, "categories": [], "safe_search": false, "schedules": []},
                    "threat_protection": {"enabled": true},
                }),
            ),
        ];
        let said = levels.map(|(level, it)| (level, it[service][leaf].clone()));
        let speaks = |it: &(&str, Value)| !it.1.is_null() || it.0 == "default";
        said.into_iter().filter(speaks).collect()
    }
}

fn pick(rng: &mut Rng, all: &[Value]) -> Value {
    all[rng.usize(..all.len())].clone()
}

fn isp(rng: &mut Rng) -> &'static str {
    if rng.u8(..100) < 5 { "isp-2" } else { "isp-1" }
}

fn services(rng: &mut Rng) -> Value {
    let switch = [json!(null), json!(true), json!(false)];
    let page = |it: &str| json!(format!("https://{it}.example/"));
    let pages = [json!(null), page("a"), page("b")];
    let schedule = json!({
        "name": "bedtime", "days": ["mon"], "from": "21:00", "to": "06:30", "timezone": "UTC",
    });
    let filtering = json!({
        "enabled": pick(rng, &switch), "safe_search": pick(rng, &switch),
        "categories": pick(rng, &[json!(null), json!([]), json!(["adult"]), json!(["games", "chat"])]),
        "schedules": pick(rng, &[json!(null), json!([]), json!([schedule])]),
        "blocking_page_url": pick(rng, &pages),
    });
    let protection = json!({"enabled": pick(rng, &switch), "blocking_page_url": pick(rng, &pages)});
    let services = json!({
        "content_filtering": pick(rng, &[json!(null), filtering.clone(), filtering]),
        "threat_protection": pick(rng, &[json!(null), protection.clone(), protection]),
    });
    pick(rng, &[json!(null), services.clone(), services])
}

fn rules(rng: &mut Rng) -> Value {
    let list = |rng: &mut Rng| {
        let domains = (0..rng.usize(..4)).map(|_| format!("d{}.example", rng.u8(..5)));
        json!(domains.collect::<Vec<_>>())
    };
    let (allow, block) = (list(rng), list(rng));
    pick(rng, &[json!(null), json!({"allow": allow, "block": block}), json!({"block": block})])
}

fn without_repeats(mut list: Value) -> Value {
    if let Some(list) = list.as_array_mut().filter(|it| it.iter().all(Value::is_string)) {
        list.sort_by_key(ToString::to_string);
        list.dedup();
    }
    list
}

#[test]
fn what_holds_is_what_the_provenance_says_was_decided_by_the_nearest_level_that_speaks() {
    let (mut live, mut suspended) = (0, 0);
    for seed in 0..SEEDS {
        let home = Home::random(&mut Rng::with_seed(seed));
        let Ok(explained) = home.explained() else { continue };
        live += 1;
        let holds = serde_json::to_value(&explained.configuration).unwrap();
        for it in &explained.provenance {
            let shown = serde_json::to_value(it).unwrap();
            assert_eq!(holds.pointer(it.leaf), Some(&shown["value"]), "seed {seed}: {}", it.leaf);
            let mut path = it.leaf.split('/').skip(2);
            let (Some(service), Some(leaf)) = (path.next(), path.next()) else { continue };
            let expected = home.said(service, leaf);
            let said: Vec<(String, Value)> = shown["said"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| (it["level"].as_str().unwrap().to_owned(), it["value"].clone()))
                .collect();
            let expected: Vec<(String, Value)> = expected
                .into_iter()
                .map(|(level, it)| (level.to_owned(), without_repeats(it)))
                .collect();
            assert_eq!(said, expected, "seed {seed}: {}", it.leaf);
            if leaf == "enabled" && home.account["state"]["status"] == "suspended" {
                suspended += 1;
                assert_eq!(
                    (&shown["value"], &shown["decided_by"]),
                    (&json!(false), &json!("account"))
                );
            } else {
                assert_eq!(
                    (&shown["value"], &shown["decided_by"]),
                    (&expected[0].1, &json!(expected[0].0))
                );
            }
        }
    }
    assert!(live > 1_000 && suspended > 100, "{live} live, {suspended} suspended");
}

#[test]
fn every_rule_that_has_no_effect_stands_with_the_one_that_overrules_it() {
    let mut overruled = 0;
    for seed in 0..SEEDS {
        let home = Home::random(&mut Rng::with_seed(seed));
        let Ok(explained) = home.explained() else { continue };
        let user = if home.has_user() { &home.user["state"]["rules"] } else { &Value::Null };
        let levels = [
            ("device", &home.device["state"]["rules"]),
            ("user", user),
            ("account", &home.account["state"]["rules"]),
            ("isp", &home.isp["rules"]),
        ];
        let mut expected: Vec<(String, Vec<(String, String)>)> = Vec::new();
        for (level, rules) in levels {
            for action in ["allow", "block"] {
                for domain in rules[action].as_array().into_iter().flatten() {
                    let domain = domain.as_str().unwrap().to_owned();
                    let entry = (level.to_owned(), action.to_owned());
                    match expected.iter_mut().find(|it| it.0 == domain) {
                        Some(earlier) => earlier.1.push(entry),
                        None => expected.push((domain, vec![entry])),
                    }
                }
            }
        }
        let words = |level: Level, action: RuleAction| {
            let word = |it: Value| it.as_str().unwrap().to_owned();
            (word(json!(level)), word(json!(action)))
        };
        let told: Vec<(String, Vec<(String, String)>)> = explained
            .rules
            .iter()
            .map(|it| {
                let first = words(it.level, it.action);
                let behind = it.overrules.iter().map(|it| words(it.level, it.action));
                (it.domain.to_string(), std::iter::once(first).chain(behind).collect())
            })
            .collect();
        assert_eq!(told, expected, "seed {seed}");
        overruled += explained.rules.iter().map(|it| it.overrules.len()).sum::<usize>();
        let sent =
            explained.configuration.act_rules.iter().map(|it| (&it.domain, it.level, it.action));
        assert!(sent.eq(explained.rules.iter().map(|it| (&it.domain, it.level, it.action))));
    }
    assert!(overruled > 1_000, "{overruled}");
}
