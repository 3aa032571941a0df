//! What a sync and live records leave to each other.

use super::*;

#[test]
fn a_sync_leaves_places_to_live_records_and_is_told_when_one_of_its_own_is_free() {
    let mut run = Run::new(DestinationSettings { concurrency_max: 16, ..SETTINGS });
    let mut of_sync = Vec::new();
    while let Admission::Go(place) = run.state.admit(run.now, Lane::Sync) {
        of_sync.push(place);
    }
    assert_eq!(of_sync.len(), 14);
    let live = [run.go(), run.go()];
    run.refused();
    // What the live ones give back is for live ones.
    live.into_iter().for_each(|it| run.state.give_back(it));
    assert!(run.state.must_tell());
    run.at(1.0);
    assert!(matches!(run.state.admit(run.now, Lane::Sync), Admission::NotNow));
    assert!(!run.state.must_tell());
    run.state.give_back(of_sync.remove(0));
    assert!(run.state.must_tell());
    assert!(matches!(run.state.admit(run.now, Lane::Sync), Admission::Go(_)));
}

#[test]
fn a_sync_slows_down_while_live_records_come_and_speeds_up_behind_them() {
    let mut run = Run::new(DestinationSettings { concurrency_max: 16, ..SETTINGS });
    let mut of_sync = Vec::new();
    let mut begin = |run: &mut Run| {
        while let Admission::Go(place) = run.state.admit(run.now, Lane::Sync) {
            of_sync.push(place);
        }
        of_sync.len()
    };
    let live = run.go();
    run.state.give_back(live);
    run.at(0.9);
    assert_eq!(begin(&mut run), 8);
    run.at(1.1);
    assert_eq!(begin(&mut run), 14);
}
