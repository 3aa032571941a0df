//! Every decision about a record, as a table.

use events::EffectiveDevice;
use expect_test::expect;

use super::*;
use crate::domain::{configuration_of, tests::device};

const ISP: &str = "isp-1";

fn body(kind: &str, name: &str) -> Body {
    let device: EffectiveDevice = device(&[("kind", kind.into()), ("name", name.into())]);
    configuration_of(&device, None)
}

fn revision(number: u64) -> Revision {
    number.try_into().unwrap()
}

fn upsert(at: u64, kind: &str, name: &str) -> Wish {
    let want = Want::body(&body(kind, name));
    let isp_id = Some(ISP.parse().unwrap());
    Wish { isp_id, revision: revision(at), want, spared: Spared::IfSame, varies: false }
}

fn deletion(at: u64, kind: Kind) -> Wish {
    Wish { want: Want::Nothing(kind), ..upsert(at, "device", "a") }
}

fn forced(wish: Wish) -> Wish {
    Wish { spared: Spared::Never, ..wish }
}

fn unknown(applied: Applied) -> Applied {
    Applied { hash: None, ..applied }
}

#[test]
fn what_is_applied_decides_what_a_record_does() {
    let lines: String = cases()
        .iter()
        .map(|(name, applied, wish)| format!("{name}: {:?}\n", plan(applied.as_ref(), wish)))
        .collect();
    expect![[r#"
        first: Act { remove: [] }
        first is a deletion: Act { remove: [Router, Device] }
        older: Superseded
        older, forced: Superseded
        older deletion: Superseded
        equal, same: Unchanged
        equal, other: Act { remove: [] }
        newer, same: Unchanged
        newer, same, forced: Act { remove: [] }
        newer, other: Act { remove: [] }
        other kind: Act { remove: [Device] }
        deletion: Act { remove: [Device] }
        equal deletion: Act { remove: [Device] }
        deletion of what it was before: Act { remove: [Device] }
        other tenant: ForeignTenant
        hash unknown: Act { remove: [Router] }
        hash unknown, older: Superseded
        hash unknown, deletion: Act { remove: [Router, Device] }
        deleted, older: Superseded
        deleted, equal: Superseded
        deleted, newer: Act { remove: [] }
        deleted, other kind: Act { remove: [] }
        deleted, deletion: Unchanged
        deleted, equal deletion: Unchanged
        deleted, forced deletion: Act { remove: [Router, Device] }
        deleted, unknown, older: BuryAgain
        deleted, unknown, equal: BuryAgain
        deleted, unknown, newer: Act { remove: [Router] }
        deleted, unknown, deletion: Act { remove: [Router, Device] }
    "#]]
    .assert_eq(&lines);
}

type Case = (&'static str, Option<Applied>, Wish);

fn cases() -> Vec<Case> {
    use Kind::{Device, Router};
    let held = upsert(5, "device", "a").fulfilled(None);
    let gone = deletion(5, Device).fulfilled(None);
    let foreign = Applied { isp_id: Some("isp-2".parse().unwrap()), ..held.clone() };
    vec![
        ("first", None, upsert(5, "device", "a")),
        ("first is a deletion", None, deletion(5, Device)),
        ("older", Some(held.clone()), upsert(4, "device", "b")),
        ("older, forced", Some(held.clone()), forced(upsert(4, "device", "b"))),
        ("older deletion", Some(held.clone()), deletion(4, Device)),
        ("equal, same", Some(held.clone()), upsert(5, "device", "a")),
        ("equal, other", Some(held.clone()), upsert(5, "device", "b")),
        ("newer, same", Some(held.clone()), upsert(6, "device", "a")),
        ("newer, same, forced", Some(held.clone()), forced(upsert(6, "device", "a"))),
        ("newer, other", Some(held.clone()), upsert(6, "device", "b")),
        ("other kind", Some(held.clone()), upsert(6, "router", "a")),
        ("deletion", Some(held.clone()), deletion(6, Device)),
        ("equal deletion", Some(held.clone()), deletion(5, Device)),
        ("deletion of what it was before", Some(held.clone()), deletion(6, Router)),
        ("other tenant", Some(foreign), upsert(6, "device", "a")),
        ("hash unknown", Some(unknown(held.clone())), upsert(6, "device", "a")),
        ("hash unknown, older", Some(unknown(held.clone())), upsert(4, "device", "a")),
        ("hash unknown, deletion", Some(unknown(held)), deletion(6, Device)),
        ("deleted, older", Some(gone.clone()), upsert(4, "device", "a")),
        ("deleted, equal", Some(gone.clone()), upsert(5, "device", "a")),
        ("deleted, newer", Some(gone.clone()), upsert(6, "device", "a")),
        ("deleted, other kind", Some(gone.clone()), upsert(6, "router", "a")),
        ("deleted, deletion", Some(gone.clone()), deletion(6, Device)),
        ("deleted, equal deletion", Some(gone.clone()), deletion(5, Device)),
        ("deleted, forced deletion", Some(gone.clone()), forced(deletion(6, Device))),
        ("deleted, unknown, older", Some(unknown(gone.clone())), upsert(4, "device", "a")),
        ("deleted, unknown, equal", Some(unknown(gone.clone())), upsert(5, "device", "a")),
        ("deleted, unknown, newer", Some(unknown(gone.clone())), upsert(6, "device", "a")),
        ("deleted, unknown, deletion", Some(unknown(gone)), deletion(6, Device)),
    ]
}

#[test]
fn a_command_whose_time_is_over_is_replaced_unless_it_was_recorded() {
    let with_command = upsert(5, "device", "with the command").fulfilled(None);
    let spared = Spared::IfAppliedBefore(with_command.hash.clone().unwrap());
    let late = |at| Wish { spared: spared.clone(), ..upsert(at, "device", "a") };
    assert_eq!(plan(Some(&with_command), &late(5)), Plan::Unchanged);
    let act = Plan::Act { remove: vec![] };
    // The state is what it was before, and still the command may have been sent.
    let before = upsert(4, "device", "a").fulfilled(None);
    assert_eq!(plan(Some(&before), &late(5)), act);
    assert_eq!(plan(Some(&with_command), &late(6)), act);
    let replaced = upsert(5, "device", "a").fulfilled(None);
    assert_eq!(plan(Some(&replaced), &late(5)), Plan::Unchanged);
}

#[test]
fn a_package_is_held_in_one_place_and_its_deletion_may_name_no_tenant() {
    let body = Json::of(&"a package");
    let want = Want::Body { kind: Kind::Package, hash: body.hash(), body };
    let put = Wish { want, ..upsert(5, "device", "a") };
    let deletion = Wish { isp_id: None, ..deletion(6, Kind::Package) };
    let held = put.fulfilled(None);
    assert_eq!(plan(Some(&unknown(held.clone())), &put), Plan::Act { remove: vec![] });
    let remove = Plan::Act { remove: vec![Kind::Package] };
    assert_eq!(plan(None, &deletion), remove);
    assert_eq!(plan(Some(&held), &deletion), remove);
    assert_eq!(plan(Some(&unknown(held.clone())), &deletion), remove);
    let gone = deletion.fulfilled(Some(&held));
    assert_eq!(gone.isp_id, held.isp_id);
    assert!(gone.tombstone && gone.flags.is_none());
}

#[test]
fn a_router_takes_its_flags_along() {
    let flags = AppliedFlags { revision: revision(7), hash: Some(Hash::of_bytes(b"flags")) };
    let router = upsert(5, "router", "a").fulfilled(None);
    let router = Applied { flags: Some(flags.clone()), ..router };
    assert_eq!(upsert(6, "router", "b").fulfilled(Some(&router)).flags, Some(flags));
    let went = |at| Some(AppliedFlags { revision: revision(at), hash: None });
    let device = upsert(6, "device", "a").fulfilled(Some(&router));
    assert_eq!(device.flags, went(7));
    let gone = deletion(9, Kind::Router).fulfilled(Some(&router));
    assert_eq!(gone.flags, went(9));
    // Those of before do not come back with it.
    assert_eq!(upsert(10, "router", "a").fulfilled(Some(&gone)).flags, went(9));
    let never = upsert(5, "device", "a").fulfilled(None);
    assert_eq!(deletion(6, Kind::Device).fulfilled(Some(&never)).flags, None);
}
