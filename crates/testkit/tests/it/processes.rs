//! Nothing that was started outlives the one that started it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use testkit::servers::{Process, RunFolder};

const SOON: Duration = Duration::from_secs(10);

fn sleeper(run: &RunFolder) -> Process {
    Process::start("sleeper", Command::new("sleep").arg("600"), &run.log("sleeper")).unwrap()
}

fn runs(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

#[test]
fn a_dropped_process_has_ended() {
    let run = RunFolder::new().unwrap();
    let process = sleeper(&run);
    let pid = process.id();
    assert!(runs(pid));
    drop(process);
    assert!(!runs(pid));
}

#[test]
fn a_process_that_is_left_lives_on() {
    let run = RunFolder::new().unwrap();
    let process = sleeper(&run);
    let pid = process.id();
    process.leave().unwrap();
    assert!(runs(pid));
    let killed = Command::new("kill").arg(pid.to_string()).status().unwrap();
    assert!(killed.success());
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "this test starts itself as the owner")]
async fn a_process_ends_when_its_owner_is_killed() {
    if let Ok(file) = std::env::var("TESTKIT_OWNER") {
        let run = RunFolder::new().unwrap();
        let process = sleeper(&run);
        fs::write(format!("{file}.partial"), process.id().to_string()).unwrap();
        fs::rename(format!("{file}.partial"), &file).unwrap();
        std::future::pending::<()>().await;
    }
    let run = RunFolder::new().unwrap();
    let file = run.path().join("pid");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::a_process_ends_when_its_owner_is_killed"])
        .env("TESTKIT_OWNER", &file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = async || fs::read_to_string(&file).ok()?.parse::<u32>().ok();
    let pid = testkit::eventually("the owner's process", SOON, pid).await;
    assert!(runs(pid));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let ended = async || (!runs(pid)).then_some(());
    testkit::eventually("the end of the owner's process", SOON, ended).await;
}

#[test]
fn a_run_that_is_over_leaves_no_folder() {
    let run = RunFolder::new().unwrap();
    let path = run.path().to_owned();
    assert!(Path::exists(&path));
    drop(run);
    assert!(!Path::exists(&path));
}
