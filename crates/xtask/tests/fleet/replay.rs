//! A dead letter that is handed back after the cure: it counts only where nothing newer was said since.

use std::{env, path::PathBuf};

use serde_json::{Value, json};
use testkit::fleet::Service::RsAdaptor;
use tokio::process::Command;
use xtask::demo::{compare, expected, homes};

use crate::world::{LIMIT, World, options};

const TOPIC: &str = "as-rs-provision-topic";
const DEAD_LETTERS: &str = "as-rs-provision-topic.rsadaptor.dlq";

/// The binary, which is built with those of the services and lies beside them.
fn rsctl() -> PathBuf {
    let program = env::current_exe().unwrap();
    let mut folders = program.ancestors().skip(1).map(|it| it.join("rsctl"));
    folders.find(|it| it.is_file()).expect("rsctl is not built: run `cargo build -p rsctl`")
}

/// Replays the dead letters that a key has had since this test began; answers the summary.
async fn replay(world: &World, key: &str, since: &str) -> Value {
    let mut command = Command::new(rsctl());
    command.args(["dlq", "replay", "--topic", TOPIC, "--group", RsAdaptor.name(), "--json"]);
    command.args(["--key", key, "--since", since]);
    command.args(["--bootstrap-servers", world.fleet.kafka()]).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

/// How many records rsadaptor found to be older than what it had applied.
async fn superseded(world: &World) -> u64 {
    let mut sum = 0;
    for instance in 0..2 {
        let (_, metrics) = world.fleet.admin(RsAdaptor, instance, "/metrics").await.unwrap();
        let lines = metrics.lines().filter(|it| it.starts_with("rsadaptor_applied_total{"));
        let ours = lines.filter(|it| it.contains("status=\"superseded\""));
        sum += ours.filter_map(|it| it.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>();
    }
    sum
}

/// The router of the home under another name, at the next revision.
fn rename(home: &mut Value, name: &str) {
    let router = &mut home["devices"][0];
    router["revision"] = json!(router["revision"].as_u64().unwrap() + 1);
    router["name"] = json!(name);
}

/// What the backend holds of these homes is what they say.
async fn holds(world: &World, homes: &[Value]) {
    let differences = compare(&expected(homes.iter()), &world.held().await);
    assert!(differences.is_empty(), "{:?}", differences.examples().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_replay_counts_only_where_nothing_newer_was_said_since() {
    let began = jiff::Timestamp::now().to_string();
    let mut homes = homes(60);
    let mut world = World::start(options()).await;
    world.provision(&homes).await;
    world.fleet.settled(LIMIT).await.unwrap();
    let unlucky =
        [3, 5].map(|it| homes[it]["devices"][0]["device_id"].as_str().unwrap().to_owned());

    let refused = unlucky.each_ref().map(
        |it| json!({"path": format!("/routers/{it}"), "method": "PUT", "action": {"status": 422}}),
    );
    world.fleet.simulator().faults(&json!(refused)).await.unwrap();
    let before = homes.clone();
    for at in [3, 5] {
        rename(&mut homes[at], "said while the backend was wrong");
    }
    world.provision(&[homes[3].clone(), homes[5].clone()]).await;
    world.fleet.settled(LIMIT).await.unwrap();
    let letters = world.dead_letters().await;
    let mut keys: Vec<_> = letters.iter().map(|it| (it.0, it.1.key.as_deref().unwrap())).collect();
    keys.sort_unstable();
    let mut wanted = unlucky.each_ref().map(|it| (DEAD_LETTERS, it.as_str()));
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    holds(&world, &before).await;

    // After the cure the first device says something newer, the second has nothing to add.
    world.fleet.simulator().faults(&json!([])).await.unwrap();
    rename(&mut homes[3], "said after the cure");
    world.provision(&homes[3..4]).await;
    world.fleet.settled(LIMIT).await.unwrap();
    let mut now = before;
    now[3] = homes[3].clone();
    holds(&world, &now).await;

    let older = superseded(&world).await;
    let calls = world.fleet.simulator().history("routers", &unlucky[0]).await.unwrap();
    let all = json!({"replayed": 1, "refused": 0, "dry_run": false});
    assert_eq!(replay(&world, &unlucky[0], &began).await, all);
    world.fleet.settled(LIMIT).await.unwrap();
    assert_eq!(superseded(&world).await, older + 1, "the replay did not end as superseded");
    let called = world.fleet.simulator().history("routers", &unlucky[0]).await.unwrap();
    assert_eq!(called, calls, "the backend was called for what is superseded");
    holds(&world, &now).await;

    assert_eq!(replay(&world, &unlucky[1], &began).await, all);
    world.fleet.settled(LIMIT).await.unwrap();
    holds(&world, &homes).await;

    assert_eq!(world.fleet.simulator().count("regressions").await.unwrap(), 0);
    let letters = world.dead_letters().await;
    let anew = letters.iter().filter(|it| !it.1.headers.contains_key("dlq_mark")).count();
    assert_eq!((letters.len(), anew), (4, 2), "two dead letters and their marks");
    let nothing = json!({"replayed": 0, "refused": 0, "dry_run": false});
    assert_eq!(replay(&world, &unlucky[0], &began).await, nothing);
    world.fleet.stop().await.unwrap();
}
