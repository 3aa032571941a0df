//! Small towns, and what they say.

use std::collections::BTreeSet;

use super::*;

fn plan() -> Plan {
    Plan {
        homes: 10,
        events_per_s: 100.0,
        events: None,
        day_seconds: None,
        seed: 7,
        name: None,
        mix: Mix::default(),
        bad: BadShares::default(),
        agents: Installing::default(),
    }
}

fn resident(number: u32, role: Role) -> Resident {
    let kind = match role {
        Role::Device => "d",
        Role::Router { .. } => "r",
    };
    Resident {
        id: id(format!("{kind}-{number}")),
        isp_id: "isp-1".parse().expect("an id"),
        account_id: format!("a-{}", number / 5).parse().expect("an id"),
        mac: format!("02:00:00:00:00:{:02x}", number % 256).try_into().expect("an address"),
        role,
    }
}

fn router(number: u32, target: Option<&str>) -> Resident {
    let target = target.map(|it| it.parse().expect("an id"));
    resident(number, Role::Router { target })
}

/// So many homes with a router and four devices each.
fn homes(count: u32) -> Vec<Resident> {
    let of = |it| match it % 5 {
        0 => router(it, Some("p-1")),
        _ => resident(it, Role::Device),
    };
    (0..count * 5).map(of).collect()
}

fn town(plan: Plan, residents: &[Resident]) -> Town {
    let began = Timestamp::from_millisecond(1_795_248_000_000).expect("a time");
    Town::new(plan, "t".parse().expect("an id"), began, residents)
}

const SECOND: Duration = Duration::from_secs(1);
const MOST: usize = 100_000;

fn common(event: &HsEvent) -> (&EventId, &IspId, &DeviceId, i64) {
    fn of<D>(it: &HomeEvent<D>) -> (&EventId, &IspId, &DeviceId, i64) {
        (&it.event_id, &it.isp_id, &it.device_id, it.timestamp.instant().as_millisecond())
    }
    match event {
        HsEvent::Connected(it) => of(it),
        HsEvent::NewDevice(it) => of(it),
        HsEvent::Active(it) => of(it),
        HsEvent::Blocked(it) => of(it),
        HsEvent::Threat(it) => of(it),
        HsEvent::Agent(it) => of(it),
    }
}

#[test]
fn a_seed_makes_the_same_events_however_often_one_looks() {
    let residents = homes(10);
    let target = |target| Move::In(router(0, Some(target)));
    let events = |plan: Plan, looks: &[u64]| {
        let mut town = town(plan, &residents);
        town.note(&target("p-2"), SECOND);
        let mut all = Vec::new();
        for at in looks {
            all.extend(town.step(Duration::from_millis(*at), MOST));
        }
        all
    };
    let once = events(plan(), &[10_005]);
    assert_eq!(once.len(), 1_001);
    let often: Vec<u64> = (1..=2_001).map(|it| it * 5).collect();
    assert_eq!(events(plan(), &often), once);
    assert_ne!(events(Plan { seed: 8, ..plan() }, &[10_005]), once);
    // In parts, where there are more than the broker may be sent at once.
    let mut in_parts = town(plan(), &residents);
    in_parts.note(&target("p-2"), SECOND);
    let parts: Vec<_> =
        (0..20).flat_map(|_| in_parts.step(Duration::from_millis(10_005), 60)).collect();
    assert_eq!(parts, once);
}

#[test]
fn events_are_numbered_and_say_when_and_of_whom_they_are() {
    let residents = homes(10);
    let ids: BTreeSet<_> = residents.iter().map(|it| it.id.as_str()).collect();
    let mix = Mix { device_event_new_device: 5.0, device_event_threat: 5.0, ..Mix::default() };
    let mut town = town(Plan { mix, ..plan() }, &residents);
    let all = town.step(10 * SECOND, MOST);
    let mut types = BTreeSet::new();
    for (number, it) in all.iter().enumerate() {
        let (event_id, isp_id, device_id, at) = common(&it.event);
        let due = 1_795_248_000_000 + 10 * (i64::try_from(number).expect("small") + 1);
        assert_eq!((event_id.as_str(), isp_id.as_str()), (&*format!("t-{number}"), "isp-1"));
        assert!((due - 1..=due).contains(&at), "{at} of {due}");
        assert_eq!(
            ids.contains(device_id.as_str()),
            it.event.event_type() != "device_event_new_device"
        );
        assert_eq!(it.bad, None);
        types.insert(it.event.event_type());
    }
    assert_eq!(types.len(), 5, "{types:?}");
}

#[test]
fn a_device_begins_and_ceases_to_send_by_turns() {
    let mix = Mix { device_event_active: 1.0, ..nothing() };
    let mut town = town(Plan { mix, ..plan() }, &homes(1));
    let mut last = BTreeMap::new();
    for it in town.step(10 * SECOND, MOST) {
        let HsEvent::Active(it) = it.event else { panic!("{it:?}") };
        let before = last.insert(it.device_id, it.detail.active);
        assert_eq!(it.detail.active, !before.unwrap_or_default());
    }
    assert_eq!(last.len(), 4);
    assert_eq!(*town.active(), last);
}

#[test]
fn bad_events_are_bad_in_one_way_each_and_say_so_in_their_ids() {
    let bad = BadShares { wrong_isp: 0.1, future: 0.1, too_old: 0.1, unknown_device: 0.1 };
    let residents = homes(10);
    let ids: BTreeSet<_> = residents.iter().map(|it| it.id.as_str()).collect();
    let mut town = town(Plan { bad, ..plan() }, &residents);
    let (mut counts, began) = (BTreeMap::<_, u32>::new(), 1_795_248_000_000);
    for it in town.step(Duration::from_millis(20_005), MOST) {
        let (event_id, isp_id, device_id, at) = common(&it.event);
        let (hour, week) = (60 * 60 * 1_000, 7 * 24 * 60 * 60 * 1_000);
        let is_new = it.event.event_type() == "device_event_new_device";
        let found = [
            (Bad::WrongIsp, isp_id.as_str() != "isp-1"),
            (Bad::Future, at > began + hour),
            (Bad::TooOld, at < began - week),
            (Bad::UnknownDevice, !is_new && !ids.contains(device_id.as_str())),
        ];
        let found: Vec<_> = found.into_iter().filter(|it| it.1).map(|it| it.0).collect();
        assert_eq!(found, Vec::from_iter(it.bad));
        if let Some(bad) = it.bad {
            assert!(event_id.as_str().ends_with(&format!("-{}", bad.as_str())), "{event_id}");
            *counts.entry(bad).or_default() += 1;
        }
        town.count_sent(&it);
    }
    assert!(counts.len() == 4 && counts.values().all(|it| (120..280).contains(it)), "{counts:?}");
    let state = town.state();
    let of_state: Vec<_> = Bad::ALL.map(|it| state.counts.bad[it.as_str()]).into();
    assert_eq!(of_state, Vec::from_iter(counts.values().map(|it| u64::from(*it))));
    assert_eq!(state.counts.sent, 2_000);
    let good = state.counts.good.values().sum::<u64>();
    assert_eq!(good + of_state.iter().sum::<u64>(), 2_000);
}

#[test]
fn a_router_installs_what_it_is_told_last_and_says_how_it_went() {
    let mix = Mix { device_event_active: 1.0, ..nothing() };
    let mut town = town(Plan { mix, events: Some(0), ..plan() }, &homes(1));
    let told = |town: &mut Town, target: Option<&str>, at: Duration| {
        town.note(&Move::In(router(0, target)), at);
    };
    let said = |town: &mut Town, at: Duration| {
        let all = town.step(at, MOST).into_iter().map(|it| {
            let HsEvent::Agent(it) = it.event else { panic!("{:?}", it.event) };
            format!("{} {:?}", it.detail.agent_package_id, it.detail.status)
        });
        all.collect::<Vec<_>>().join(", ")
    };
    // It runs what it was to run when the town began.
    told(&mut town, Some("p-1"), SECOND);
    assert_eq!(said(&mut town, 9 * SECOND), "");
    told(&mut town, Some("p-2"), 10 * SECOND);
    assert_eq!(town.state().installing, 1);
    assert_eq!(said(&mut town, 11 * SECOND), "");
    told(&mut town, Some("p-3"), 11 * SECOND);
    told(&mut town, Some("p-3"), 12 * SECOND);
    assert_eq!(said(&mut town, 12 * SECOND), "");
    assert_eq!(said(&mut town, 13 * SECOND), "p-3 Installed");
    told(&mut town, None, 14 * SECOND);
    told(&mut town, Some("p-2"), 15 * SECOND);
    town.note(&Move::RouterOut(id("r-0".to_owned())), 16 * SECOND);
    assert_eq!(said(&mut town, 30 * SECOND), "");
    // What was broken off begins again; what runs does not.
    told(&mut town, Some("p-2"), 30 * SECOND);
    assert_eq!(said(&mut town, 40 * SECOND), "p-2 Installed");
    town.note(&Move::AllOut, 41 * SECOND);
    told(&mut town, Some("p-2"), 42 * SECOND);
    assert_eq!(said(&mut town, 50 * SECOND), "");
    let router = &town.routers()[&id("r-0".to_owned())];
    assert_eq!(router.runs.as_ref().map(|it| it.as_str()), Some("p-2"));
}

#[test]
fn installations_fail_as_often_as_they_are_to_whatever_the_order_of_the_routers() {
    let bad = "p-bad".parse().expect("an id");
    let agents = Installing { success_of: [(bad, 0.8)].into(), ..Installing::default() };
    let failed = |numbers: &mut dyn Iterator<Item = u32>| {
        let plan = Plan { agents: agents.clone(), events_per_s: 0.0, ..plan() };
        let mut town = town(plan, &[]);
        for it in numbers {
            town.note(&Move::In(router(it, Some("p-bad"))), Duration::ZERO);
        }
        let all = town.step(10 * SECOND, MOST);
        let failed = all.into_iter().filter_map(|it| {
            let HsEvent::Agent(it) = it.event else { panic!("{:?}", it.event) };
            (it.detail.status == InstallationStatus::Failed).then_some(it.device_id)
        });
        failed.collect::<BTreeSet<_>>()
    };
    let forwards = failed(&mut (0..1_000));
    assert!((150..250).contains(&forwards.len()), "{}", forwards.len());
    assert_eq!(failed(&mut (0..1_000).rev()), forwards);
}

#[test]
fn a_town_without_homes_waits_for_them_and_one_with_an_end_falls_quiet() {
    let mut town = town(Plan { events: Some(30), ..plan() }, &[]);
    assert_eq!(town.step(100 * SECOND, MOST), []);
    for it in homes(2) {
        town.note(&Move::In(it), 100 * SECOND);
    }
    let routers = 2;
    let all = town.step(200 * SECOND, MOST);
    assert_eq!(all.len(), 30 + routers);
    assert!(common(&all[0].event).3 >= 1_795_248_000_000 + 100_000);
    assert!(!town.state().quiet);
    all.iter().for_each(|it| town.count_sent(it));
    assert!(town.state().quiet);
    assert_eq!(town.step(1_000 * SECOND, MOST), []);
}

#[test]
fn a_plan_that_cannot_be_is_refused() {
    let refused = |plan: Plan| plan.check().is_err();
    assert!(!refused(plan()));
    assert!(!refused(Plan { events_per_s: 0.0, day_seconds: Some(60.0), ..plan() }));
    assert!(refused(Plan { events_per_s: -1.0, ..plan() }));
    assert!(refused(Plan { events_per_s: f64::NAN, ..plan() }));
    assert!(refused(Plan { day_seconds: Some(0.5), ..plan() }));
    assert!(refused(Plan { mix: nothing(), ..plan() }));
    assert!(refused(Plan { mix: Mix { device_event_active: -1.0, ..Mix::default() }, ..plan() }));
    let bad = BadShares { wrong_isp: 0.6, too_old: 0.6, ..BadShares::default() };
    assert!(refused(Plan { bad, ..plan() }));
    let agents = Installing { success: 1.1, ..Installing::default() };
    assert!(refused(Plan { agents, ..plan() }));
    let name = |chars| Some("t".repeat(chars).parse().expect("an id"));
    assert!(!refused(Plan { name: name(32), ..plan() }));
    assert!(refused(Plan { name: name(33), ..plan() }));
}

fn nothing() -> Mix {
    Mix {
        device_event_connected: 0.0,
        device_event_new_device: 0.0,
        device_event_active: 0.0,
        device_event_blocked: 0.0,
        device_event_threat: 0.0,
    }
}
