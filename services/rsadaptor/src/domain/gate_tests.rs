//! The gate in a time of its own: what each answer means for the record that asked.

use expect_test::expect;

use super::*;

const LIMITS: GateLimits =
    GateLimits { early: Duration::from_secs(30), status_counts_every: Duration::from_secs(60) };

/// A gate, what time it is, and how long each record has been trying.
struct Run {
    gate: Gate,
    circuit: Circuit,
    start: Instant,
    now: Instant,
    attempts: HashMap<String, Attempt>,
    log: String,
}

impl Run {
    fn new() -> Self {
        let (start, circuit) = (Instant::now(), Circuit::Closed);
        let (gate, attempts) = (Gate::new(LIMITS), HashMap::new());
        Self { gate, circuit, start, now: start, attempts, log: String::new() }
    }

    fn at(&mut self, seconds: f64) {
        self.now = self.start + Duration::from_secs_f64(seconds);
    }

    /// Answers when the call began.
    fn begin(&mut self, key: &str) -> Instant {
        let now = self.now;
        self.attempts.entry(key.to_owned()).or_insert(Attempt {
            number: 1,
            last_if_counted: false,
            first_attempt_at: now,
            previous_failure_at: None,
        });
        self.gate.began(key, now);
        now
    }

    fn end(&mut self, key: &str, began: Instant, answer: &Answer) {
        let now = self.now;
        let mut attempt = self.attempts.remove(key).unwrap();
        let call = Call { key, began, attempt: &attempt };
        let meaning = match self.gate.heard(&call, answer, self.circuit, now) {
            Ok(called) => format!("{called:?}"),
            Err(reason) => {
                attempt.previous_failure_at = Some(now);
                self.attempts.insert(key.to_owned(), attempt);
                format!("{reason:?}")
            }
        };
        let seconds = (now - self.start).as_secs_f64();
        self.log += &format!("{seconds}s {key} {}: {meaning}\n", name(answer));
    }

    fn call(&mut self, key: &str, answer: &Answer) {
        let began = self.begin(key);
        self.end(key, began, answer);
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
            0s a trouble: Trouble { counts: IfStatusIsWell, http_status: Some(429), retry_after: Some(7s), detail: "answered 429" }
    "#]].assert_eq(&run.log);
}

#[test]
fn trouble_counts_only_where_another_record_got_through_meanwhile() {
    let mut run = Run::new();
    let poisoned = run.begin("a");
    run.at(1.0);
    run.call("b", &trouble());
    run.at(2.0);
    run.end("a", poisoned, &trouble());
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
        1s b trouble: Trouble { counts: IfStatusIsWell, http_status: Some(500), retry_after: None, detail: "answered 500" }
        2s a trouble: Trouble { counts: No, http_status: Some(500), retry_after: None, detail: "answered 500" }
        3s b done: Done { http_status: 204 }
        4s a trouble: Trouble { counts: Yes, http_status: Some(500), retry_after: None, detail: "answered 500" }
        5s a trouble: Trouble { counts: No, http_status: Some(500), retry_after: None, detail: "answered 500" }
        64s a trouble: Trouble { counts: IfStatusIsWell, http_status: Some(500), retry_after: None, detail: "answered 500" }
        66s a trouble: Trouble { counts: No, http_status: Some(500), retry_after: None, detail: "answered 500" }
        66s b trouble: Trouble { counts: No, http_status: Some(500), retry_after: None, detail: "answered 500" }
        130s a trouble: Trouble { counts: IfStatusIsWell, http_status: Some(500), retry_after: None, detail: "answered 500" }
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
        0s a trouble: Trouble { counts: IfStatusIsWell, http_status: Some(500), retry_after: None, detail: "answered 500" }
        100s a early: Early { left: 30s, detail: "unknown_agent_package" }
        101s b early: Early { left: 30s, detail: "unknown_agent_package" }
        129s a early: Early { left: 1s, detail: "unknown_agent_package" }
        130s a early: Rejected { http_status: Some(409), reason: "unknown_agent_package" }
        140s a early: Early { left: 30s, detail: "unknown_agent_package" }
    "#]].assert_eq(&run.log);
}

#[test]
fn refused_to_everybody_nobody_fails() {
    let mut run = Run::new();
    for minute in 0..1_000 {
        run.at(f64::from(minute) * 60.0);
        run.call("a", &unauthorized());
        run.call("b", &unauthorized());
    }
    assert!(run.log.lines().all(|it| it.contains(": Refused {")), "{}", run.log);
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
        0s a misconfigured: Refused { detail: "answered 401" }
        5s b done: Done { http_status: 204 }
        5s c done: Done { http_status: 204 }
        5.5s a misconfigured: Trouble { counts: Yes, http_status: Some(401), retry_after: None, detail: "answered 401" }
        5.6s b done: Done { http_status: 204 }
        5.7s a misconfigured: Trouble { counts: Yes, http_status: Some(401), retry_after: None, detail: "answered 401" }
        5.8s a misconfigured: Refused { detail: "answered 401" }
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn refused_to_everybody_twice_only_who_saw_the_time_between_fails_once() {
    let mut run = Run::new();
    run.call("x", &unauthorized());
    run.at(5.0);
    run.call("y", &done());
    run.at(5.1);
    run.call("x", &unauthorized());
    run.call("y", &unauthorized());
    run.at(10.2);
    run.call("x", &unauthorized());
    expect![[r#"
        0s x misconfigured: Refused { detail: "answered 401" }
        5s y done: Done { http_status: 204 }
        5.1s x misconfigured: Trouble { counts: Yes, http_status: Some(401), retry_after: None, detail: "answered 401" }
        5.1s y misconfigured: Refused { detail: "answered 401" }
        10.2s x misconfigured: Refused { detail: "answered 401" }
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn what_was_under_way_before_a_failure_is_no_sign_that_it_was_alone() {
    let mut run = Run::new();
    let b = run.begin("b");
    run.at(1.0);
    run.call("a", &unauthorized());
    run.at(1.1);
    run.end("b", b, &done());
    run.at(6.0);
    run.call("c", &Answer::Wrong { http_status: 422, detail: "mac".to_owned() });
    run.at(6.1);
    run.call("a", &unauthorized());
    expect![[r#"
        1s a misconfigured: Refused { detail: "answered 401" }
        1.1s b done: Done { http_status: 204 }
        6s c wrong: Rejected { http_status: Some(422), reason: "mac" }
        6.1s a misconfigured: Refused { detail: "answered 401" }
    "#]]
    .assert_eq(&run.log);
}

#[test]
fn a_record_that_was_refused_before_is_not_blamed_while_nothing_is_sent() {
    let mut run = Run::new();
    run.call("a", &unauthorized());
    run.at(5.0);
    run.call("b", &done());
    run.at(5.1);
    run.call("c", &unauthorized());
    run.circuit = Circuit::Open;
    run.at(10.2);
    run.call("a", &unauthorized());
    expect![[r#"
        0s a misconfigured: Refused { detail: "answered 401" }
        5s b done: Done { http_status: 204 }
        5.1s c misconfigured: Refused { detail: "answered 401" }
        10.2s a misconfigured: Refused { detail: "answered 401" }
    "#]]
    .assert_eq(&run.log);
}
