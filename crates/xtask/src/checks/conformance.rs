//! The bus's own tests once more, against the embedded broker: what it promises must not depend on whose broker it is.

use std::{process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use testkit::servers::{RunFolder, embedded, workspace};

use super::{Stages, report::Report, stream};
use crate::tools::{embedded_command, print};

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
];
const BINARY: &str = "eventbus::it";
/// What stands behind the binary's name in the report.
const EMBEDDED: &str = " (embedded)";
/// The mock cluster takes seconds for each join; who waits needs no processor.
const THREADS: &str = "8";

/// Arguments of a test binary that leave those tests out.
pub(super) fn without_them() -> Vec<&'static str> {
    let skips = NOT_ON_EMBEDDED.iter().flat_map(|(name, _)| ["--skip", name]);
    ["--exact"].into_iter().chain(skips).collect()
}

impl Stages {
    pub(super) async fn conformance(&mut self, report: &mut Report) {
        eprintln!("== conformance (embedded)");
        let began = Instant::now();
        report.stage(EMBEDDED);
        let outcome = run(report).await;
        self.ended("conformance (embedded)", began, outcome);
        self.leave_out(report);
        report.stage("");
    }

    /// Says of the stage that has just ended what it has left out, and why.
    pub(super) fn leave_out(&mut self, report: &mut Report) {
        for (name, reason) in NOT_ON_EMBEDDED {
            print(format_args!("test {name} ... skipped, {reason}"));
            report.skipped(BINARY, name);
        }
        if let Some((.., Ok(text))) = self.done.last_mut() {
            *text = format!("ok, {} skipped", NOT_ON_EMBEDDED.len());
        }
    }
}

async fn run(report: &mut Report) -> Result<()> {
    for (name, _) in NOT_ON_EMBEDDED {
        ensure!(report.knows(BINARY, name), "{name} is to be left out, and there is no such test");
    }
    let program = report.executable(BINARY).context("there are no tests of the bus")?;
    // The integration stage has a folder of its own, and maybe an embedded broker in it.
    let mut folder = RunFolder::new()?;
    let broker = embedded::start(&embedded_command()?, &folder).await?;
    let mut command = Command::new(program);
    command.current_dir(workspace().join("crates/eventbus"));
    command.args(["--test-threads", THREADS]).args(without_them());
    command.env("KAFKA_BOOTSTRAP_SERVERS", &broker.address);
    report.runs(BINARY);
    let outcome = stream("conformance (embedded)", command, &folder, report).await;
    if outcome.is_err() {
        folder.failed();
    }
    outcome
}
