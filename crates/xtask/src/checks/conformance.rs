//! The bus's own tests once more, against the embedded broker: what it promises must not depend on whose broker it is.

use std::{path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use testkit::servers::{RunFolder, embedded, workspace};

use super::{Stages, report::Report, stream};
use crate::tools::print;

/// Tests that the embedded broker cannot serve, each with its reason.
const NOT_ON_EMBEDDED: &[(&str, &str)] = &[
    (
        "churn::members_that_come_and_go_all_the_time_lose_nothing_and_come_to_rest",
        "the mock cluster takes up to a session's time-out for each change of a group",
    ),
    (
        "security::every_way_to_prove_who_we_are_works_and_nothing_else_does",
        "the mock cluster knows neither TLS nor SASL; the test brings a broker of its own",
    ),
    (
        "dead_letters::a_dead_letter_that_cannot_be_written_waits_and_holds_up_nobody_else",
        "the mock cluster makes every topic that somebody writes to",
    ),
];
const BINARY: &str = "eventbus::it";
/// What stands behind the binary's name in the report.
const EMBEDDED: &str = " (embedded)";
/// The mock cluster takes seconds for each join; who waits needs no processor.
const THREADS: &str = "8";

impl Stages {
    pub(super) async fn conformance(&mut self, report: &mut Report) {
        eprintln!("== conformance (embedded)");
        let began = Instant::now();
        report.stage(EMBEDDED);
        let outcome = run(&self.embedded, report).await;
        report.stage("");
        self.ended("conformance (embedded)", began, outcome);
        self.count_left_out();
    }

    /// The stage that has just ended well has left tests out.
    pub(super) fn count_left_out(&mut self) {
        if let Some((.., Ok(text))) = self.done.last_mut() {
            *text = format!("ok, {} skipped", NOT_ON_EMBEDDED.len());
        }
    }
}

/// Says what is left out and why; answers the arguments of a test binary that do it.
pub(super) fn leave_out(report: &mut Report) -> Vec<&'static str> {
    let mut arguments = vec!["--exact"];
    for (name, reason) in NOT_ON_EMBEDDED {
        print(format_args!("test {name} ... skipped, {reason}"));
        report.skipped(BINARY, name);
        arguments.extend(["--skip", name]);
    }
    arguments
}

async fn run(embedded_command: &[PathBuf], report: &mut Report) -> Result<()> {
    for (name, _) in NOT_ON_EMBEDDED {
        ensure!(report.knows(BINARY, name), "{name} is to be left out, and there is no such test");
    }
    let program = report.executable(BINARY).context("there are no tests of the bus")?;
    let mut command = Command::new(program);
    // The integration stage has a folder of its own, and maybe an embedded broker in it.
    let mut folder = RunFolder::new()?;
    let broker = embedded::start(embedded_command, &folder).await?;
    command.current_dir(workspace().join("crates/eventbus"));
    command.args(["--test-threads", THREADS]).args(leave_out(report));
    command.env("KAFKA_BOOTSTRAP_SERVERS", &broker.address);
    report.runs(BINARY);
    let outcome = stream("conformance (embedded)", command, &folder, report).await;
    if outcome.is_err() {
        folder.failed();
    }
    outcome
}
