//! Cargo as a child process, and what the commands print.
#![allow(clippy::print_stdout, reason = "this is what a developer's command is for")]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use testkit::servers::{Process, RunFolder, workspace};

/// Features of every build, so that nothing is compiled twice: the fleet can be made to fail.
pub(crate) const FEATURES: &[&str] =
    &["--features", "rsclient/failpoints,rsadaptor/failpoints,rsagents/failpoints,rsevents/failpoints"];
/// A first build compiles librdkafka and OpenSSL.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

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

/// `cargo` with these arguments, in the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    command.args(arguments).current_dir(workspace());
    // Set by the cargo that runs this program, and nothing to its children.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO_MANIFEST_DIR");
    command
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
