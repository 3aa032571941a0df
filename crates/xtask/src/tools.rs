//! Builds of the fleet, and what the commands print.
#![allow(clippy::print_stdout, reason = "this is what a developer's command is for")]

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use testkit::servers::{Process, RunFolder, workspace};

/// Features of every build, so that nothing is compiled twice: the fleet can be made to fail.
pub(crate) const FEATURES: &[&str] = &[
    "--features",
    "rsclient/failpoints,rsadaptor/failpoints,rsagents/failpoints,rsevents/failpoints",
];
/// What a fleet consists of.
const FLEET: &[&str] = &["hsbe-sim", "rsclient", "rsadaptor", "rsagents", "rsevents", "rssync"];
/// A first build compiles librdkafka and OpenSSL.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// What is measured may take long to be fed.
const HOURS: Duration = Duration::from_secs(12 * 60 * 60);

/// Prints a line for whoever asked.
pub(crate) fn print(line: impl std::fmt::Display) {
    println!("{line}");
}

/// A table without lines between its rows.
pub(crate) fn table() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
    table
}

/// Prints figures: a table, and if `json` one object as the last line.
pub(crate) fn print_figures(figures: Map<String, Value>, json: bool) {
    let mut table = table();
    for (name, value) in &figures {
        table.add_row([name.replace('_', " "), value.to_string()]);
    }
    print(table);
    if json {
        print(Value::Object(figures));
    }
}

/// `cargo` with these arguments, in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    command.args(arguments).current_dir(workspace());
    // Set by the cargo that runs this program, and nothing to its children.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO_MANIFEST_DIR");
    command
}

/// Builds the fleet.
pub(crate) async fn build_fleet(run: &RunFolder) -> Result<()> {
    let mut build = cargo(&["build", "--quiet"]);
    build.args(FLEET.iter().flat_map(|it| ["-p", it])).args(FEATURES);
    succeed("build", &mut build, run).await
}

/// Builds the fleet and this program in release mode, and lets that one do what this one was asked for.
pub(crate) async fn in_release() -> Result<ExitCode> {
    eprintln!("building the fleet in release mode");
    let folder = RunFolder::new()?;
    let mut build = cargo(&["build", "--release", "--quiet", "-p", "xtask"]);
    build.args(FLEET.iter().flat_map(|it| ["-p", it]));
    succeed("build", &mut build, &folder).await?;
    let debug = std::env::current_exe().context("find this program")?;
    let target = debug.parent().and_then(Path::parent).context("a target folder")?;
    let mut command = Command::new(target.join("release").join("xtask"));
    command.args(std::env::args_os().skip(1)).stdin(Stdio::null());
    let mut process = Process::spawn("xtask", &mut command, &folder.log("xtask"))?;
    let status = process.wait(HOURS).await?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs `command` with our own output until it ends with success.
pub(crate) async fn succeed(name: &str, command: &mut Command, run: &RunFolder) -> Result<()> {
    command.stdin(Stdio::null());
    let mut process = Process::spawn(name, command, &run.log(name))?;
    let status = process.wait(BUILD_LIMIT).await?;
    ensure!(status.success(), "{name}: {status}");
    Ok(())
}

/// The command that serves the embedded broker.
pub(crate) fn embedded_command() -> Result<Vec<PathBuf>> {
    let program = std::env::current_exe().context("find this program")?;
    Ok(vec![program, PathBuf::from("broker")])
}

/// A variable of the environment, where it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "cargo and CI tell it so")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|it| !it.is_empty())
}

/// Whether this runs in CI, where what cannot run has failed.
pub(crate) fn in_ci() -> bool {
    variable("CI").is_some_and(|it| it == "true")
}
