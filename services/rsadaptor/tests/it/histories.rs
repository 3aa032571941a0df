use eventbus::{EventBusMessage, Outcome};
use serde_json::{Value, json};

use crate::{
    backend::{NEVER, Reply, error, status},
    service::{Service, first, message},
};

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

const KINDS: [&str; 2] = ["device", "router"];

fn record(service: &Service, dice: &mut Dice, revision: u64) -> (&'static str, Value) {
    let kind = KINDS[dice.below(2) as usize];
    let name = ["a", "b"][dice.below(2) as usize];
    let members = json!({"kind": kind, "name": name});
    match dice.below(8) {
        0 | 1 => ("RSDeviceDeleted", service.deletion(revision, kind)),
        2 => {
            let until = ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"][dice.below(2) as usize];
            let action = json!({"id": "act-1", "name": "reboot", "expires_at": until});
            let mut state = service.state(revision, members);
            state["action"] = action;
            ("RSDeviceAction", state)
        }
        _ => ("RSDeviceUpdated", service.state(revision, members)),
    }
}

/// Tells the backend how to misbehave at the next call of either path.
fn misbehave(service: &Service, dice: &mut Dice) {
    let answer = match dice.below(12) {
        0 | 1 => status(503),
        2 | 3 => status(NEVER),
        4 => error(422, "malformed"),
        5 => error(409, "stale_revision"),
        _ => return,
    };
    let effect = answer.status != 422 && dice.below(2) == 0;
    let path = service.path(KINDS[dice.below(2) as usize]);
    service.backend.next(&path, Reply { effect, ..answer });
}

/// Tries until the record is over. A call that is never answered ends the process: everything that it
/// remembers of the record is lost.
async fn finish(service: &Service, dice: &mut Dice, message: EventBusMessage) {
    let mut delivery = first(message.clone());
    loop {
        misbehave(service, dice);
        tokio::select! {
            outcome = service.try_on(&mut delivery) => match outcome {
                Outcome::RetryAfter { .. } => {}
                Outcome::Done | Outcome::Skipped(_) | Outcome::Reject { .. } => return,
            },
            () = service.backend.hung() => delivery = first(message.clone()),
        }
    }
}

async fn check(seed: u64) {
    let service = Service::start().await;
    let mut dice = Dice(seed);
    let mut records = Vec::new();
    for revision in 1..=8 {
        let (event_type, data) = record(&service, &mut dice, revision);
        records.push((event_type, data));
        let at = match dice.below(4) {
            0 => dice.below(records.len() as u64) as usize,
            _ => records.len() - 1,
        };
        let (event_type, data) = records[at].clone();
        let mut message = message(event_type, data);
        message.attributes.force = dice.below(10) == 0;
        message.attributes.expires_at =
            (dice.below(10) == 0).then(|| "2020-01-01T00:00:00Z".parse().unwrap());
        finish(&service, &mut dice, message).await;
        service.backend.calls();
    }
    service.backend.cured();
    let (event_type, mut data) = record(&service, &mut dice, 9);
    data.as_object_mut().unwrap().remove("action");
    let event_type = if event_type == "RSDeviceAction" { "RSDeviceUpdated" } else { event_type };
    assert_eq!(service.handle(event_type, data.clone()).await, Outcome::Done, "seed {seed}");
    for kind in KINDS {
        let held = service.backend.held(&service.path(kind));
        let wanted = event_type != "RSDeviceDeleted" && data["kind"] == kind;
        let name = held.map(|it| it["device"]["name"].clone());
        assert_eq!(name, wanted.then(|| data["name"].clone()), "seed {seed}: {kind}, {data}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_history_with_faults_and_crashes_the_next_record_holds() {
    for seed in 60..110 {
        check(seed).await;
    }
}
