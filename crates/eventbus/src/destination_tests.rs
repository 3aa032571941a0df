//! Destinations in a time of their own.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

const SETTINGS: DestinationSettings = DestinationSettings {
    concurrency_max: 8,
    concurrency_min: 2,
    live_share: 0.5,
    rate_per_second: 0.0,
    open_after_failures: 3,
    probe_interval_seconds: 5.0,
};
/// No probe waits longer.
const INTERVAL_MAX: Duration = Duration::from_secs(6);

/// By so much an answered time may be too late.
const ROUNDING: Duration = Duration::from_micros(1);

/// A destination's rules and what time it is.
struct Run {
    state: State,
    start: Instant,
    now: Instant,
}

impl Run {
    fn new(settings: DestinationSettings) -> Self {
        let now = Instant::now();
        Self { state: State::new(settings, now), start: now, now }
    }

    fn at(&mut self, seconds: f64) -> Instant {
        self.now = self.start + Duration::from_secs_f64(seconds);
        self.now
    }

    fn admit(&mut self) -> Admission<Place> {
        self.state.admit(self.now, Lane::Live)
    }

    fn go(&mut self) -> Place {
        let admission = self.admit();
        let Admission::Go(place) = admission else { panic!("{admission:?}") };
        place
    }

    fn waits_until(&mut self) -> f64 {
        let admission = self.admit();
        let Admission::NotBefore(at) = admission else { panic!("{admission:?}") };
        (at - self.start).as_secs_f64()
    }

    fn refused(&mut self) {
        let admission = self.admit();
        assert!(matches!(admission, Admission::NotNow), "{admission:?}");
    }

    /// Hears of a call that began and ended now.
    fn hear(&mut self, heard: Heard) -> Option<Change> {
        self.state.heard(self.now, heard, self.now)
    }

    fn open(&mut self) {
        assert_eq!(self.hear(refused()), Some(Change::Opened("401".to_owned())));
    }

    fn why(&self) -> &str {
        match &self.state.circuit {
            Circuit::Open(open) => &open.why,
            Circuit::Closed => "closed",
        }
    }
}

fn pressed() -> Heard {
    Heard::Pressed("429".to_owned())
}

fn trouble() -> Heard {
    Heard::Trouble("500".to_owned())
}

fn refused() -> Heard {
    Heard::Refused("401".to_owned())
}

#[path = "destination_lane_tests.rs"]
mod lanes;

#[test]
fn as_many_set_out_as_are_allowed_and_who_is_back_makes_room() {
    let mut run = Run::new(SETTINGS);
    let places: Vec<_> = (0..8).map(|_| run.go()).collect();
    assert!(!run.state.must_tell());
    run.refused();
    assert!(!run.state.must_tell());
    run.state.give_back(places[0]);
    assert!(run.state.must_tell());
    run.go();
    run.refused();
}

#[test]
fn the_concurrency_is_halved_once_per_flight_and_grows_by_one_per_round() {
    let mut run = Run::new(SETTINGS);
    let first = run.at(1.0);
    let second = run.at(2.0);
    run.hear(pressed());
    assert_eq!(run.state.concurrency(), 4);
    // Those were on their way together with the one that told us.
    for began in [first, second] {
        run.state.heard(began, pressed(), run.now);
        run.hear(Heard::Well);
    }
    assert_eq!(run.state.concurrency(), 4);
    for _ in 0..3 {
        run.hear(Heard::Well);
    }
    assert_eq!(run.state.concurrency(), 5);
    for seconds in [3.0, 4.0, 5.0] {
        run.at(seconds);
        run.hear(pressed());
        run.hear(Heard::Well);
    }
    assert_eq!(run.state.concurrency(), 2);
    for _ in 0..100 {
        run.hear(Heard::Well);
    }
    assert_eq!(run.state.concurrency(), 8);
}

#[test]
fn a_limit_below_what_is_on_its_way_admits_nobody_until_enough_are_back() {
    let mut run = Run::new(SETTINGS);
    let places: Vec<_> = (0..8).map(|_| run.go()).collect();
    run.at(1.0);
    run.hear(pressed());
    for place in &places[..4] {
        run.refused();
        run.state.give_back(*place);
    }
    run.refused();
    run.state.give_back(places[4]);
    run.go();
    run.refused();
}

#[test]
fn failures_in_a_row_open_the_circuit_and_a_success_between_them_does_not() {
    let mut run = Run::new(SETTINGS);
    for heard in [trouble(), pressed(), Heard::Well, trouble(), trouble()] {
        assert_eq!(run.hear(heard), None);
    }
    let why = "3 failures in a row: 500".to_owned();
    assert_eq!(run.hear(trouble()), Some(Change::Opened(why.clone())));
    assert_eq!(run.why(), why);
}

#[test]
fn a_refusal_opens_the_circuit_at_once_and_one_probe_at_a_time_goes_out() {
    let mut run = Run::new(SETTINGS);
    run.at(10.0);
    run.open();
    let due = run.waits_until();
    assert!((15.0..=16.0).contains(&due), "{due}");
    run.at(due);
    let probe = run.go();
    run.refused();
    run.at(20.0);
    assert_eq!(run.hear(trouble()), None);
    assert_eq!(run.why(), "401");
    // It has failed, and is not back yet.
    run.refused();
    assert!(!run.state.must_tell());
    run.state.give_back(probe);
    assert!(run.state.must_tell());
    let due = run.waits_until();
    assert!((25.0..=26.0).contains(&due), "{due}");
    run.at(due);
    let probe = run.go();
    assert_eq!(run.hear(Heard::Well), Some(Change::Closed));
    run.state.give_back(probe);
    run.go();
    run.go();
}

#[test]
fn trouble_that_turns_out_to_be_a_refusal_is_told_once() {
    let mut run = Run::new(SETTINGS);
    for _ in 0..3 {
        run.hear(trouble());
    }
    run.at(6.0);
    let probe = run.go();
    assert_eq!(run.hear(refused()), Some(Change::Opened("401".to_owned())));
    assert_eq!(run.hear(refused()), None);
    assert_eq!(run.hear(trouble()), None);
    assert_eq!(run.why(), "401");
    run.refused();
    run.state.give_back(probe);
    assert!(run.waits_until() >= 11.0);
    let now = run.at(12.0);
    assert_eq!(run.state.open_time(now), Duration::from_secs(12));
    assert_eq!(run.hear(Heard::Well), Some(Change::Closed));
}

#[test]
fn a_probe_of_which_nothing_was_heard_lets_the_next_one_go_at_once() {
    let mut run = Run::new(SETTINGS);
    run.open();
    run.at(6.0);
    let probe = run.go();
    run.refused();
    run.state.give_back(probe);
    assert!(run.state.must_tell());
    run.go();
    run.refused();
}

#[test]
fn what_began_before_the_circuit_opened_changes_nothing() {
    let mut run = Run::new(SETTINGS);
    let before = run.now;
    let place = run.go();
    run.at(1.0);
    run.open();
    run.at(2.0);
    for heard in [Heard::Well, pressed(), trouble(), refused()] {
        assert_eq!(run.state.heard(before, heard, run.now), None);
    }
    assert_eq!((run.why(), run.state.concurrency()), ("401", 8));
    assert!(run.waits_until() < 7.1);
    run.state.give_back(place);
    run.at(8.0);
    let probe = run.go();
    run.hear(Heard::Well);
    run.state.give_back(probe);
    assert_eq!(run.state.heard(before, refused(), run.now), None);
    assert_eq!(run.why(), "closed");
}

#[test]
fn a_probe_of_an_earlier_opening_does_not_end_that_of_a_later_one() {
    let mut run = Run::new(SETTINGS);
    run.open();
    run.at(6.0);
    let old = run.go();
    run.hear(Heard::Well);
    run.at(7.0);
    run.open();
    run.at(20.0);
    let new = run.go();
    run.state.give_back(old);
    run.refused();
    run.state.give_back(new);
    run.go();
}

#[test]
fn no_more_set_out_in_a_second_than_the_rate_says() {
    let mut run =
        Run::new(DestinationSettings { rate_per_second: 50.0, concurrency_max: 1_000, ..SETTINGS });
    for _ in 0..5 {
        run.go();
    }
    let mut sent = 0;
    while (run.now - run.start) < Duration::from_secs(10) {
        match run.admit() {
            Admission::Go(_) => sent += 1,
            Admission::NotBefore(at) => run.now = at,
            Admission::NotNow => panic!("there is room"),
        }
    }
    assert!((499..=501).contains(&sent), "{sent}");
    // What was not used is not saved for later.
    run.at(100.0);
    for _ in 0..5 {
        run.go();
    }
    run.waits_until();
}

#[test]
fn the_time_that_it_is_open_adds_up() {
    let mut run = Run::new(SETTINGS);
    run.at(10.0);
    run.open();
    let now = run.at(17.0);
    assert_eq!(run.state.open_time(now), Duration::from_secs(7));
    run.hear(Heard::Well);
    run.hear(Heard::Well);
    run.at(20.0);
    run.open();
    let now = run.at(21.0);
    assert_eq!(run.state.open_time(now), Duration::from_secs(8));
}

#[test]
fn who_watches_is_told_and_a_dropped_pass_gives_its_place_back() {
    let destination = Destination::new("d", DestinationSettings { concurrency_max: 1, ..SETTINGS });
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    destination.watch(Box::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let admit = || destination.admit(Instant::now(), Lane::Live);
    let Admission::Go(pass) = admit() else { panic!("there is room") };
    assert!(matches!(admit(), Admission::NotNow));
    drop(pass);
    assert_eq!(told.load(Ordering::Relaxed), 1);

    destination.heard(Instant::now(), refused());
    assert_eq!(destination.open_for().as_deref(), Some("401"));
    let Admission::NotBefore(at) = admit() else { panic!("it is open") };
    let Admission::Go(probe) = destination.admit(at, Lane::Live) else { panic!("a probe is due") };
    assert_eq!(destination.heard(Instant::now(), Heard::Well), Some(Change::Closed));
    assert_eq!((destination.open_for(), destination.concurrency()), (None, 1));
    assert!(matches!(admit(), Admission::NotNow));
    drop(probe);
    assert_eq!(told.load(Ordering::Relaxed), 2);
    assert!(matches!(admit(), Admission::Go(_)));
}

#[derive(Clone, Debug)]
enum Step {
    Admit,
    GiveBack(prop::sample::Index),
    /// Of a call that began so many milliseconds ago.
    Hear(u64, Heard),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let heard = prop_oneof![
        5 => Just(Heard::Well),
        2 => Just(pressed()),
        4 => Just(trouble()),
        1 => Just(refused()),
    ];
    let ago = prop_oneof![Just(0), 0..10_000_u64];
    prop_oneof![
        6 => Just(Step::Admit),
        4 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        3 => (ago, heard).prop_map(|(ago, heard)| Step::Hear(ago, heard)),
        3 => prop_oneof![0..100_u64, 0..7_000_u64].prop_map(Step::Pass),
    ]
}

/// What somebody who asked for admission was answered last, and has not been told to ask again since.
#[derive(Debug)]
enum Answered {
    Nothing,
    NotNow,
    NotBefore(Instant),
}

/// Rules in use, beside what somebody outside knows of them.
struct Model {
    run: Run,
    places: Vec<Place>,
    answered: Answered,
    /// When the next probe may go at the earliest.
    probe_from: Instant,
}

impl Model {
    fn new(rate_per_second: f64) -> Self {
        let run = Run::new(DestinationSettings { rate_per_second, ..SETTINGS });
        let probe_from = run.now;
        Self { run, places: Vec::new(), answered: Answered::Nothing, probe_from }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Admit => self.admit(),
            Step::GiveBack(which) if !self.places.is_empty() => {
                let place = self.places.swap_remove(which.index(self.places.len()));
                self.run.state.give_back(place);
            }
            Step::GiveBack(_) => {}
            Step::Hear(ago, heard) => self.hear(ago, heard),
            Step::Pass(milliseconds) => self.run.now += Duration::from_millis(milliseconds),
        }
        if self.run.state.must_tell() {
            self.answered = Answered::Nothing;
        }
        let limit = self.run.state.concurrency();
        assert!((2..=8).contains(&limit), "{limit}");
        assert_eq!(self.run.state.on_their_way, self.places.len());
        assert!(self.misses_nothing(), "{:?} {:?}", self.answered, self.run.state);
    }

    fn admit(&mut self) {
        let before = self.run.state.clone();
        match self.run.admit() {
            Admission::Go(place) => {
                assert!(self.places.len() < before.concurrency());
                match before.circuit {
                    Circuit::Closed => assert_eq!(place, Place { lane: Lane::Live, probe: None }),
                    Circuit::Open(open) => {
                        assert!(open.probe.is_none_or(|it| {
                            !self.places.contains(&Place { lane: Lane::Live, probe: Some(it) })
                        }));
                        assert!(place.probe.is_some() && self.run.now >= self.probe_from);
                    }
                }
                self.places.push(place);
                self.answered = Answered::Nothing;
            }
            Admission::NotBefore(at) => {
                assert!(at > self.run.now);
                self.answered = Answered::NotBefore(at);
            }
            Admission::NotNow => {
                assert!(!self.places.is_empty());
                self.answered = Answered::NotNow;
            }
        }
    }

    fn hear(&mut self, ago: u64, heard: Heard) {
        let now = self.run.now;
        let began = now - Duration::from_millis(ago);
        let (was_open, is_late) =
            (self.is_open(), self.run.state.opened_at.is_some_and(|it| began <= it));
        let change = self.run.state.heard(began, heard.clone(), now);
        let is_open = self.is_open();
        assert!(!is_late || change.is_none());
        assert!(change.is_some() || was_open == is_open);
        assert!(change.is_none() || was_open != is_open || heard == refused());
        if is_open && !is_late {
            self.probe_from = now + Duration::from_secs(5);
        }
    }

    /// Whether who waits as it was told to misses nothing: asking earlier would have had no other answer.
    fn misses_nothing(&self) -> bool {
        match (&self.answered, self.run.state.clone().admit(self.run.now, Lane::Live)) {
            (Answered::NotNow, _) => self.run.state.is_full(Lane::Live),
            (Answered::NotBefore(at), Admission::Go(_)) => self.run.now + ROUNDING >= *at,
            (Answered::NotBefore(_), Admission::NotNow | Admission::NotBefore(_))
            | (Answered::Nothing, _) => true,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.run.state.circuit, Circuit::Open(_))
    }

    /// Whatever has happened: when all are back, it takes one interval and one success.
    fn gets_going(mut self) {
        let run = &mut self.run;
        self.places.drain(..).for_each(|it| run.state.give_back(it));
        run.now += INTERVAL_MAX;
        let place = run.go();
        run.hear(Heard::Well);
        run.state.give_back(place);
        assert_eq!(run.why(), "closed");
        run.state.settings.rate_per_second = 0.0;
        for _ in 0..run.state.concurrency() {
            run.go();
        }
        run.refused();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2_000)
    })]

    #[test]
    fn whatever_happens_the_limits_hold_and_it_gets_going_again(
        rate in prop_oneof![Just(0.0), Just(0.5), Just(20.0)],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut model = Model::new(rate);
        steps.into_iter().for_each(|it| model.take(it));
        model.gets_going();
    }
}
