//! A member that is killed takes nothing with it.

use std::{
    cell::Cell,
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
    sync::Arc,
    time::Duration,
};

use eventbus::{EventBusRegistry, Outcome};
use testkit::{
    eventually,
    servers::{Process, RunFolder},
};

use crate::{
    bus::{Bus, settings, shown},
    rounds::Rounds,
};

const PARTITIONS: i32 = 12;
const KEYS: usize = 120;
/// How many records wait at any time.
const WAITING: usize = 2_000;
/// How many records are handled before one member is killed, and again before the load ends.
const THIRD: usize = 4_000;
/// How long the handling of a record takes.
const WORK: Duration = Duration::from_millis(5);
/// The broker misses a member that was killed after its session's time-out, which may be its own 45 seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// What a member is told by its parent: topic, group, its own name and the file.
const TOLD: &str = "EVENTBUS_TEST_MEMBER";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_one_of_three_consumers_under_load_loses_nothing_and_keeps_the_order_of_each_key()
{
    let bus = Bus::new(PARTITIONS).await;
    let run = RunFolder::new().unwrap();
    // All append to one file: the order of its lines is the order in which they were written.
    let file = run.path().join("handled");
    let mut members: Vec<Process> =
        ["one", "two", "three"].iter().map(|name| member(&bus, &run, &file, name)).collect();
    let handled = || fs::read_to_string(&file).unwrap_or_default();
    let count = || handled().lines().count();
    let (mut rounds, ended) = (Rounds::new(&bus, KEYS), Cell::new(false));
    let publishing = async {
        while !ended.get() {
            match rounds.records().saturating_sub(count()) < WAITING {
                true => rounds.say().await,
                false => tokio::time::sleep(10 * WORK).await,
            }
        }
    };
    let killing = async {
        let all_work = async || {
            members.iter_mut().for_each(|it| it.still_runs().unwrap());
            let handled = handled();
            let works = |name: &str| handled.lines().any(|it| it.starts_with(name));
            ["one ", "two ", "three "].into_iter().all(works).then_some(())
        };
        eventually("a share for each member", LIMIT, all_work).await;
        let before = count();
        let more = async || (count() > before + THIRD).then_some(());
        eventually("a third of the records", LIMIT, more).await;
        members.swap_remove(0).kill_9().unwrap();
        let more = async || (count() > before + 2 * THIRD).then_some(());
        eventually("work by the others", LIMIT, more).await;
        ended.set(true);
    };
    tokio::join!(publishing, killing);

    let all_done = async || {
        members.iter_mut().for_each(|it| it.still_runs().unwrap());
        let committed: i64 = bus.committed().await.iter().map(|it| it.1).sum();
        (committed == rounds.records() as i64).then_some(())
    };
    eventually("everything to be committed", LIMIT, all_done).await;

    let handled = handled();
    let parsed = handled.lines().map(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next().unwrap(), words.next().unwrap().parse().unwrap())
    });
    let firsts = rounds.firsts(parsed);
    let repeats = firsts.iter().filter(|it| !**it).count();
    let by_killed = handled.lines().filter(|it| it.starts_with("one ")).count();
    eprintln!(
        "{} records, {by_killed} by the one that was killed, {repeats} repeats",
        firsts.len()
    );
}

/// Starts [`a_member_of_the_group`] as a process of its own.
fn member(bus: &Bus, run: &RunFolder, file: &Path, name: &str) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["kills::a_member_of_the_group", "--exact", "--ignored", "--nocapture"]);
    command.env(TOLD, format!("{} {} {name} {}", bus.topic, bus.group, file.display()));
    Process::start(name, &mut command, &run.log(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "no test: a process that the test above starts"]
async fn a_member_of_the_group() {
    let told = testkit::variable(TOLD).expect("the test that kills it starts it");
    let words: Vec<&str> = told.splitn(4, ' ').collect();
    let [topic, group, name, file] = words[..] else { panic!("{told}") };
    let file = File::options().create(true).append(true).open(file).unwrap();
    let (file, name) = (Arc::new(file), Arc::<str>::from(name));
    let registry = EventBusRegistry::new(topic, move |delivery| {
        let (file, name) = (Arc::clone(&file), Arc::clone(&name));
        async move {
            tokio::time::sleep(WORK).await;
            let (key, round) = shown(&delivery.message);
            // One call of the operating system: a line is there as a whole or not at all.
            (&*file).write_all(format!("{name} {key} {round}\n").as_bytes()).unwrap();
            Outcome::Done
        }
    });
    let factory = eventbus::EventBusFactory::new("test", settings());
    let consumer = factory.consumer(group, eventbus::ClientType::Default).unwrap();
    consumer.register(vec![registry]).unwrap();
    std::future::pending().await
}
