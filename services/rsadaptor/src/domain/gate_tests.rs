//! The gate in a time of its own: what each answer means, and for whom.

use expect_test::expect;

use super::*;

const LIMITS: GateLimits = GateLimits {
    probe_interval: Duration::from_secs(5),
    early: Duration::from_secs(30),
    status_counts_every: Duration::from_secs(60),
};

/// A gate, what time it is, and how long each record has been trying.
struct Run {
    gate: Gate,
    start: Instant,
    now: Instant,
    attempts: HashMap<String, Attempt>,
    log: String,
}

impl Run {
    fn new() -> Self {
        let start = Instant::now();
        let (gate, attempts) = (Gate::new(LIMITS), HashMap::new());
        Self { gate, start, now: start, attempts, log: String::new() }
    }

    fn at(&mut self, seconds: f64) {
        self.now = self.start + Duration::from_secs_f64(seconds);
    }

    fn begin(&mut self, key: &str) -> Option<Ticket> {
        let now = self.now;
        self.attempts.entry(key.to_owned()).or_insert(Attempt {
            number: 1,
            last_if_counted: false,
            first_attempt_at: now,
            previous_failure_at: None,
        });
        match self.gate.admit(key, now) {
            Admission::Call(ticket) => Some(ticket),
            Admission::Wait(reason) => {
                self.write(key, "not let through", &format!("{reason:?}"));
                None
            }
        }
    }

    fn end(&mut self, ticket: &Ticket, answer: &Answer) {
        let (key, now) = (ticket.key.clone(), self.now);
        let attempt = self.attempts[&key];
        let (verdict, change) = self.gate.heard(ticket, answer, &attempt, now);
        let known = self.attempts.get_mut(&key).unwrap();
        match &verdict {
            Verdict::Wait(_) => known.previous_failure_at = Some(now),
            Verdict::Done { .. } | Verdict::NotSent | Verdict::Superseded => {
                self.attempts.remove(&key);
            }
            Verdict::Rejected { .. } => {
                self.attempts.remove(&key);
            }
        }
        let change = change.map(|it| format!(", gate {it:?}")).unwrap_or_default();
        self.write(&key, name(answer), &format!("{verdict:?}{change}"));
    }

    fn call(&mut self, key: &str, answer: &Answer) {
        if let Some(ticket) = self.begin(key) {
            self.end(&ticket, answer);
        }
    }

    fn write(&mut self, key: &str, answer: &str, meaning: &str) {
        let seconds = (self.now - self.start).as_secs_f64();
        self.log += &format!("{seconds}s {key} {answer}: {meaning}\n");
    }
}

fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done { .. } => "done",
        Answer::NotSent => "not sent",
        Answer::Stale => "stale",
        Answer::Early { .. } => "early",
        Answer::Wrong { .. } => "wrong",
        Answer::Trouble { .. } => "trouble",
        Answer::Misconfigured { .. } => "misconfigured",
    }
}

fn done() -> Answer {
    Answer::Done { http_status: 204 }
}

fn early() -> Answer {
    Answer::Early { http_status: 409, detail: "unknown_agent_package".to_owned() }
}

fn trouble() -> Answer {
    let detail = "answered 500".to_owned();
    Answer::Trouble { http_status: Some(500), retry_after: None, detail }
}

fn unauthorized() -> Answer {
    Answer::Misconfigured { http_status: Some(401), detail: "answered 401".to_owned() }
}

#[test]
fn plain_answers_mean_what_they_say() {
    let mut run = Run::new();
    run.call("a", &done());
    run.call("a", &Answer::Stale);
    run.call("a", &Answer::NotSent);
    run.call("a", &Answer::Wrong { http_status: 422, detail: "mac: missing".to_owned() });
    run.call(
        "a",
        &Answer::Trouble {
            http_status: Some(429),
            retry_after: Some(Duration::from_secs(7)),
            detail: "answered 429".to_owned(),
        },
    );
    expect![[r#"
            0s a done: Done { http_status: 204 }
            0s a stale: Superseded
            0s a not sent: NotSent
            0s a wrong: Rejected { http_status: Some(422), reason: "mac: missing" }
            0s a trouble: Wait(Trouble { counts: IfStatusIsWell, http_status: Some(429), retry_after: Some(7s), detail: "answered 429" })
    "#]].assert_eq(&run.log);
}

#[test]
fn trouble_counts_only_where_another_record_got_through_meanwhile() {
    let mut run = Run::new();
    let poisoned = run.begin("a").unwrap();
    run.at(1.0);
    run.call("b", &trouble());
    run.at(2.0);
    run.end(&poisoned, &trouble());
    run.at(3.0);
    run.call("b", &done());
    run.at(4.0);
    run.call("a", &trouble());
    run.at(5.0);
    run.call("a", &trouble());
    run.at(64.0);
    run.call("a", &trouble());
    run.at(66.0);
    run.call("a", &trouble());
    run.call("b", &trouble());
    run.at(130.0);
    run.call("a", &trouble());
    expect![[r#"
        1s b trouble: Wait(Trouble { counts: IfStatusIsWell, http_status: Some(500), retry_after: None, detail: "answered 500" })
        2s a trouble: Wait(Trouble { counts: No, http_status: Some(500), retry_after: None, detail: "answered 500" })
        3s b done: Done { http_status: 204 }
        4s a trouble: Wait(Trouble { counts: Yes, http_status: Some(500), retry_after: None, detail: "answered 500" })
        5s a trouble: Wait(Trouble { counts: No, http_status: Some(500), retry_after: None, detail: "answered 500" })
        64s a trouble: Wait(Trouble { counts: IfStatusIsWell, http_status: Some(500), retry_after: None, detail: "answered 500" })
        66s a trouble: Wait(Trouble { counts: No, http_status: Some(500), retry_after: None, detail: "answered 500" })
        66s b trouble: Wait(Trouble { counts: No, http_status: Some(500), retry_after: None, detail: "answered 500" })
        130s a trouble: Wait(Trouble { counts: IfStatusIsWell, http_status: Some(500), retry_after: None, detail: "answered 500" })
    "#]].assert_eq(&run.log);
}

#[test]
fn a_record_is_early_for_half_a_minute_from_its_first_such_answer() {
    let mut run = Run::new();
    run.call("a", &trouble());
    run.at(100.0);
    run.call("a", &early());
    run.at(101.0);
    run.call("b", &early());
    run.at(129.0);
    run.call("a", &early());
    run.at(130.0);
    run.call("a", &early());
    // Another record of the same device begins anew.
    run.at(140.0);
    run.call("a", &early());
    expect![[r#"
        0s a trouble: Wait(Trouble { counts: IfStatusIsWell, http_status: Some(500), retry_after: None, detail: "answered 500" })
        100s a early: Wait(Early { left: 30s, detail: "unknown_agent_package" })
        101s b early: Wait(Early { left: 30s, detail: "unknown_agent_package" })
        129s a early: Wait(Early { left: 1s, detail: "unknown_agent_package" })
        130s a early: Rejected { http_status: Some(409), reason: "unknown_agent_package" }
        140s a early: Wait(Early { left: 30s, detail: "unknown_agent_package" })
    "#]].assert_eq(&run.log);
}

#[test]
fn refused_to_everybody_nobody_is_rejected_and_each_probes_in_turn() {
    let mut run = Run::new();
    let under_way = run.begin("c").unwrap();
    run.call("a", &unauthorized());
    run.at(1.0);
    run.call("b", &done());
    // What was under way when the gate closed says nothing new.
    run.end(&under_way, &done());
    for (seconds, key) in
        [(5.0, "a"), (5.5, "b"), (6.0, "a"), (11.0, "a"), (16.0, "b"), (16.5, "b"), (21.1, "a")]
    {
        run.at(seconds);
        run.call(key, &unauthorized());
    }
    for minute in 1..1_000 {
        run.at(f64::from(minute) * 60.0);
        for key in ["a", "b"] {
            if let Some(ticket) = run.begin(key) {
                let attempt = run.attempts[key];
                let (verdict, _) = run.gate.heard(&ticket, &unauthorized(), &attempt, run.now);
                assert!(matches!(verdict, Verdict::Wait(_)), "{verdict:?}");
            }
        }
    }
    run.log.clear();
    run.at(100_000.0);
    run.call("b", &done());
    run.call("a", &done());
    expect![[r#"
        100000s b done: Done { http_status: 204 }, gate Opened
        100000s a done: Done { http_status: 204 }
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn one_that_alone_is_refused_fails_for_each_time_that_another_got_through() {
    let mut run = Run::new();
    run.call("a", &unauthorized());
    run.at(5.0);
    run.call("b", &done());
    run.call("c", &done());
    run.at(5.5);
    run.call("a", &unauthorized());
    run.at(5.6);
    run.call("b", &done());
    run.at(5.7);
    run.call("a", &unauthorized());
    // Nobody got through since: it may be everybody.
    run.at(5.8);
    run.call("a", &unauthorized());
    expect![[r#"
        0s a misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
        5s b done: Done { http_status: 204 }, gate Opened
        5s c done: Done { http_status: 204 }
        5.5s a misconfigured: Wait(Trouble { counts: Yes, http_status: Some(401), retry_after: None, detail: "answered 401" })
        5.6s b done: Done { http_status: 204 }
        5.7s a misconfigured: Wait(Trouble { counts: Yes, http_status: Some(401), retry_after: None, detail: "answered 401" })
        5.8s a misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn refused_to_everybody_twice_nobody_is_rejected_who_missed_the_time_between() {
    let mut run = Run::new();
    run.call("x", &unauthorized());
    run.at(5.0);
    run.call("y", &done());
    run.at(5.1);
    run.call("x", &unauthorized());
    run.call("y", &unauthorized());
    run.at(10.2);
    run.call("x", &done());
    run.call("y", &done());
    expect![[r#"
        0s x misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
        5s y done: Done { http_status: 204 }, gate Opened
        5.1s x misconfigured: Wait(Trouble { counts: Yes, http_status: Some(401), retry_after: None, detail: "answered 401" })
        5.1s y misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
        10.2s x done: Done { http_status: 204 }, gate Opened
        10.2s y done: Done { http_status: 204 }
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn what_was_under_way_before_a_failure_is_no_sign_that_it_was_alone() {
    let mut run = Run::new();
    let b = run.begin("b").unwrap();
    run.at(1.0);
    run.call("a", &unauthorized());
    run.at(1.1);
    run.end(&b, &done());
    run.at(6.0);
    run.call("c", &Answer::Wrong { http_status: 422, detail: "mac".to_owned() });
    run.at(6.1);
    run.call("a", &unauthorized());
    expect![[r#"
        1s a misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
        1.1s b done: Done { http_status: 204 }
        6s c wrong: Rejected { http_status: Some(422), reason: "mac" }, gate Opened
        6.1s a misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn a_record_that_was_refused_once_does_not_close_the_gate_alone_and_is_not_blamed_for_all() {
    let mut run = Run::new();
    run.call("a", &unauthorized());
    run.at(5.0);
    run.call("b", &done());
    run.at(5.1);
    // Now everybody is refused again: the first to be told closes the gate, and `a` waits with the others.
    run.call("c", &unauthorized());
    run.at(10.2);
    run.call("a", &unauthorized());
    run.at(15.3);
    run.call("c", &done());
    run.call("a", &done());
    expect![[r#"
        0s a misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
        5s b done: Done { http_status: 204 }, gate Opened
        5.1s c misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
        10.2s a misconfigured: Wait(Closed { after: 5s, detail: "answered 401" })
        15.3s c done: Done { http_status: 204 }, gate Opened
        15.3s a done: Done { http_status: 204 }
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn a_probe_that_is_given_up_makes_room_for_another() {
    let mut run = Run::new();
    run.call("a", &unauthorized());
    run.at(5.0);
    let probe = run.begin("b").unwrap();
    run.call("c", &done());
    run.gate.abandon(&probe);
    run.call("c", &done());
    expect![[r#"
        0s a misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
        5s c not let through: Closed { after: 2.5s, detail: "401: answered 401" }
        5s c done: Done { http_status: 204 }, gate Opened
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn a_probe_that_meets_trouble_leaves_the_gate_closed() {
    let mut run = Run::new();
    run.call("a", &unauthorized());
    run.at(5.0);
    run.call("b", &trouble());
    run.at(9.0);
    run.call("a", &done());
    run.at(10.0);
    run.call("a", &Answer::Wrong { http_status: 422, detail: "mac".to_owned() });
    expect![[r#"
        0s a misconfigured: Wait(Closed { after: 5s, detail: "answered 401" }), gate Closed
        5s b trouble: Wait(Trouble { counts: IfStatusIsWell, http_status: Some(500), retry_after: None, detail: "answered 500" })
        9s a not let through: Closed { after: 1s, detail: "401: answered 401" }
        10s a wrong: Rejected { http_status: Some(422), reason: "mac" }, gate Opened
    "#]].assert_eq(&run.log);
}
