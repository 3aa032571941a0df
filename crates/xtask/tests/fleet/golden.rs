//! Every written case, in its order and shuffled: the end is the same.

use std::{fs, path::Path};

use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use testkit::records::{Event, Sender};

use crate::world::{LIMIT, World, options};

const SHUFFLES: u64 = 20;
const RUNS_AT_ONCE: usize = 32;
/// Members that hold an id, in events and in what the backend holds.
const IDS: &[&str] = &["isp_id", "account_id", "user_id", "device_id"];

#[derive(Clone, Deserialize)]
struct Case {
    events: Vec<Event>,
    expected: Value,
}

/// A case with ids of its own and an order of its own.
struct Run {
    name: String,
    prefix: String,
    case: Case,
}

#[tokio::test]
async fn every_case_ends_as_written_in_every_order() {
    let runs: Vec<Run> =
        cases().into_iter().flat_map(|(name, case)| orders(&name, &case)).collect();
    let mut world = World::start(options()).await;
    stream::iter(&runs)
        .for_each_concurrent(RUNS_AT_ONCE, |run| send(&world.sender, &run.case.events))
        .await;
    world.fleet.settled(LIMIT).await.unwrap();

    let held = world.held().await;
    let mut wrong = Vec::new();
    for run in &runs {
        let ours = of_prefix(&held, &run.prefix);
        if ours != run.case.expected {
            let wanted = &run.case.expected;
            wrong.push(format!("{}:\n  expected {wanted}\n  held     {ours}", run.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} runs:\n{}", wrong.len(), runs.len(), wrong.join("\n"));
    assert_eq!(world.fleet.simulator().count("regressions").await.unwrap(), 0);
    world.fleet.stop().await.unwrap();
}

async fn send(sender: &Sender, events: &[Event]) {
    for event in events {
        sender.send(event).await.unwrap();
    }
}

fn cases() -> Vec<(String, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<(String, Case)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let case = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_string_lossy().into_owned(), case)
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(cases.len() >= 20, "the written cases are missing");
    cases
}

/// The case as written, and shuffled with known seeds.
fn orders(name: &str, case: &Case) -> Vec<Run> {
    let number = &name[..2];
    (0..=SHUFFLES)
        .map(|seed| {
            let prefix = format!("g{number}-{seed:02}:");
            let mut case = case.clone();
            if seed > 0 {
                fastrand::Rng::with_seed(seed).shuffle(&mut case.events);
            }
            for event in &mut case.events {
                event.key = event.key.take().map(|it| format!("{prefix}{it}"));
                add_prefix(&mut event.data, &prefix);
            }
            for kind in ["devices", "routers"] {
                let held = case.expected[kind].as_object_mut().unwrap();
                *held = std::mem::take(held)
                    .into_iter()
                    .map(|(id, mut value)| {
                        add_prefix(&mut value, &prefix);
                        value["device"]["id"] = json!(format!("{prefix}{id}"));
                        (format!("{prefix}{id}"), value)
                    })
                    .collect();
            }
            Run { name: format!("{name}, order {seed}"), prefix, case }
        })
        .collect()
}

fn add_prefix(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let named = IDS.contains(&name.as_str());
                if let (true, Value::String(id)) = (named, &mut *value) {
                    id.insert_str(0, prefix);
                } else {
                    add_prefix(value, prefix);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| add_prefix(it, prefix)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The part of what is held whose ids begin with the prefix.
fn of_prefix(held: &Value, prefix: &str) -> Value {
    let of = |kind: &str| -> Map<String, Value> {
        let all = held[kind].as_object().unwrap().iter();
        let ours = all.filter(|it| it.0.starts_with(prefix));
        ours.map(|(id, value)| (id.clone(), value.clone())).collect()
    };
    json!({"devices": of("devices"), "routers": of("routers")})
}
