//! Made-up homes: always the same ones, with the variety that real ones have.

use fastrand::Rng;
use serde_json::{Value, json};

const SEED: u64 = 20_261;
const REVISION: u64 = 1_795_248_000_000;
const DEVICES_PER_HOME_MAX: usize = 9;

const TYPES: &[(&str, &str)] = &[
    ("phone", "phone"),
    ("tablet", "tablet"),
    ("laptop", "laptop"),
    ("desktop", "desktop PC"),
    ("console", "console"),
    ("tv", "television"),
    ("speaker", "speaker"),
    ("camera", "door camera"),
    ("thermostat", "thermostat"),
    ("light", "lights"),
    ("plug", "plug"),
    ("printer", "printer"),
    ("other", "gadget"),
];
const MODELS: &[&str] = &["hg-8000", "hg-8100", "nx-200"];
const NAMES: &[&str] = &["Mia", "Leo", "Ana", "Hugo", "Eva", "Noah", "Sara", "Ivan"];

/// Homes with `devices` devices in all, routers included: a ProvisionCreated payload each.
#[must_use]
pub fn homes(devices: usize) -> Vec<Value> {
    each_home(devices).collect()
}

/// The same homes one after the other, for numbers that are not to be held.
pub fn each_home(devices: usize) -> impl Iterator<Item = Value> + Send {
    let mut rng = Rng::with_seed(SEED);
    let (mut left, mut number) = (devices, 0);
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let size = rng.usize(1..=DEVICES_PER_HOME_MAX).min(left);
        left -= size;
        number += 1;
        Some(home(number, size, &mut rng))
    })
}

fn home(number: usize, size: usize, rng: &mut Rng) -> Value {
    let isp = format!("isp-{}", number % 3 + 1);
    let account_id = format!("a-{number:06}");
    let mut account = json!({
        "isp_id": isp, "account_id": account_id, "external_id": format!("C-{number}"),
        "revision": REVISION, "status": if rng.u8(..100) < 4 { "suspended" } else { "active" },
    });
    if rng.u8(..100) < 30 {
        account["services"] = json!({"content_filtering": {"schedules": [{
            "name": "bedtime", "days": ["sun", "mon", "tue", "wed", "thu"],
            "from": "21:30", "to": "06:30", "timezone": "Europe/Madrid",
        }]}});
    }
    if rng.u8(..100) < 20 {
        account["rules"] = json!({"block": [format!("ads-{}.example", rng.u8(..5))]});
    }
    let users: Vec<Value> =
        (0..rng.usize(0..4)).map(|it| user(&isp, &account_id, number, it, rng)).collect();
    let devices: Vec<Value> = (0..size)
        .map(|it| match it {
            0 => router(&isp, &account_id, number, rng),
            _ => device(&isp, &account_id, (number, it), &users, rng),
        })
        .collect();
    json!({"isp_id": isp, "account": account, "users": users, "devices": devices})
}

fn user(isp: &str, account_id: &str, home: usize, number: usize, rng: &mut Rng) -> Value {
    let (kind, age_group) = match number {
        0 => ("parent", "adult"),
        _ => *rng.choice(&[("child", "child"), ("child", "teen"), ("parent", "adult")]).expect("3"),
    };
    let mut user = json!({
        "isp_id": isp, "account_id": account_id, "user_id": format!("u-{home:06}-{number}"),
        "revision": REVISION, "name": name(rng), "kind": kind, "age_group": age_group,
    });
    if rng.u8(..100) < 20 {
        user["services"] = json!({"content_filtering": {
            "enabled": true, "categories": ["games", "adult", "streaming"],
        }});
    }
    if rng.u8(..100) < 15 {
        user["rules"] = json!({"allow": ["school.example"], "block": ["games.example"]});
    }
    user
}

fn router(isp: &str, account_id: &str, home: usize, rng: &mut Rng) -> Value {
    json!({
        "isp_id": isp, "account_id": account_id, "device_id": format!("r-{home:06}"),
        "revision": REVISION, "kind": "router", "name": "Router", "device_type": "router",
        "mac": mac(home, 0), "model": rng.choice(MODELS), "serial": format!("SN{home:08}"),
        "enabled": rng.u8(..100) >= 3,
    })
}

fn device(
    isp: &str,
    account_id: &str,
    (home, number): (usize, usize),
    users: &[Value],
    rng: &mut Rng,
) -> Value {
    let (device_type, noun) = *rng.choice(TYPES).expect("there are types");
    let mut device = json!({
        "isp_id": isp, "account_id": account_id, "device_id": format!("d-{home:06}-{number}"),
        "revision": REVISION, "kind": "device", "name": format!("{}'s {noun}", name(rng)),
        "device_type": device_type, "mac": mac(home, number),
    });
    if rng.u8(..100) < 60
        && let Some(user) = rng.choice(users)
    {
        device["user_id"] = user["user_id"].clone();
    }
    if rng.u8(..100) < 10 {
        device["services"] = json!({"threat_protection": {
            "enabled": rng.bool(), "blocking_page_url": "https://blocked.example/page",
        }});
    }
    if rng.u8(..100) < 10 {
        device["rules"] = json!({"block": ["bad.example", "games.example"]});
    }
    device
}

fn name(rng: &mut Rng) -> &'static str {
    rng.choice(NAMES).expect("there are names")
}

/// A locally administered address that no other device has.
fn mac(home: usize, number: usize) -> String {
    let home = u32::try_from(home).unwrap_or(u32::MAX).to_be_bytes();
    let [a, b, c, d] = home;
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{number:02x}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_exactly_as_many_devices_as_asked_for_and_always_the_same() {
        for wanted in [0, 1, 7, 500, 2_000] {
            let homes = homes(wanted);
            let devices = homes.iter().flat_map(|it| it["devices"].as_array().unwrap());
            let ids: BTreeSet<_> = devices.map(|it| it["device_id"].to_string()).collect();
            assert_eq!(ids.len(), wanted);
            assert_eq!(homes, super::homes(wanted));
        }
    }

    #[test]
    fn homes_have_the_variety_of_real_ones() {
        let text = serde_json::to_string(&homes(500)).unwrap();
        for trait_ in ["suspended", "teen", "\"child\"", "schedules", "allow", "blocking_page_url"]
        {
            assert!(text.contains(trait_), "no home with {trait_}");
        }
    }
}
