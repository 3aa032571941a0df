//! `cargo xtask test`: everything that CI runs, with the time of each stage.

mod apis;
mod conformance;
mod report;

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use testkit::servers::{Broker, Process, RunFolder, Servers};

use self::report::{Binaries, Report};
use crate::{
    generate,
    tools::{FEATURES, cargo, embedded_command, in_ci, print, succeed, table},
};

pub use self::report::{Test, report_path};

const TESTS_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Run everything that CI runs: format, lints, tidy, unit, integration, docs.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// auto, apache, embedded, or host:port of a broker that runs already.
    #[arg(long, default_value = "auto")]
    pub broker: Broker,
    /// Leave out the tests of the whole fleet, the bus on the embedded broker and the documentation.
    #[arg(long)]
    pub quick: bool,
}

/// Runs every stage; success only when all of them have it.
///
/// # Errors
/// When a stage cannot be run at all.
pub async fn run(options: &Options) -> Result<ExitCode> {
    // Asked for first: the build may put another program in the place of this one.
    let mut stages = Stages::new(RunFolder::new()?, embedded_command()?);
    stages.cargo("format", &["fmt", "--all", "--check"]).await;
    let lints = ["clippy", "--quiet", "--workspace", "--all-targets"];
    stages.cargo("lints", &[&lints[..], FEATURES, &["--", "-D", "warnings"]].concat()).await;

    let began = Instant::now();
    let built = build(&stages.folder).await;
    let binaries = stages.ended("build", began, built);
    if let Some(binaries) = binaries {
        let mut report = Report::new(binaries);
        stages.tidy(&mut report).await;
        stages.tests("unit", &["--lib", "--bins"], &[], &mut report).await;
        stages.integration(options, &mut report).await;
        stages.refuse_skipped(&report);
        report.write()?;
    }
    if !options.quick {
        let began = Instant::now();
        let mut doc = cargo(&[&["doc", "--quiet", "--workspace", "--no-deps"], FEATURES].concat());
        doc.env("RUSTDOCFLAGS", "-D warnings");
        let documented = succeed("docs", &mut doc, &stages.folder).await;
        stages.ended("docs", began, documented);
    }
    Ok(stages.show())
}

/// Builds the services and every test.
async fn build(folder: &RunFolder) -> Result<Binaries> {
    let bins = [&["build", "--quiet", "--workspace", "--bins"], FEATURES].concat();
    succeed("build", &mut cargo(&bins), folder).await?;
    let listed = ["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"];
    let listed = [&listed[..], &["--quiet"], FEATURES].concat();
    let output = tokio::task::spawn_blocking(move || {
        cargo(&listed).stdin(Stdio::null()).stderr(Stdio::inherit()).output()
    });
    let output = output.await?.context("build the tests")?;
    ensure!(output.status.success(), "build the tests: {}", output.status);
    Binaries::of(&String::from_utf8_lossy(&output.stdout))
}

/// What has been done so far, and whether it went well.
struct Stages {
    folder: RunFolder,
    /// The command that serves the embedded broker.
    embedded: Vec<PathBuf>,
    done: Vec<(String, Duration, Result<String, String>)>,
}

impl Stages {
    fn new(folder: RunFolder, embedded: Vec<PathBuf>) -> Self {
        Self { folder, embedded, done: Vec::new() }
    }

    fn ended<T>(&mut self, name: &str, began: Instant, outcome: Result<T>) -> Option<T> {
        let (kept, outcome) = match outcome {
            Ok(kept) => (Some(kept), Ok("ok".to_owned())),
            Err(error) => {
                eprintln!("{name}: {error:#}");
                (None, Err(format!("{error:#}").lines().next().unwrap_or_default().to_owned()))
            }
        };
        self.done.push((name.to_owned(), began.elapsed(), outcome));
        kept
    }

    async fn cargo(&mut self, name: &str, arguments: &[&str]) {
        eprintln!("== {name}");
        let began = Instant::now();
        let outcome = succeed(name, &mut cargo(arguments), &self.folder).await;
        self.ended(name, began, outcome);
    }

    async fn tidy(&mut self, report: &mut Report) {
        let began = Instant::now();
        let outcome = generate::check();
        self.ended("generated files", began, outcome);
        self.tests("tidy", &["--test", "tidy"], &[], report).await;
    }

    async fn integration(&mut self, options: &Options, report: &mut Report) {
        let began = Instant::now();
        let say = |line: &str| eprintln!("{line}");
        let servers = Servers::start(&options.broker, &self.embedded, &self.folder, &say).await;
        let Some(servers) = self.ended("servers", began, servers) else { return };
        let environment =
            [("KAFKA_BOOTSTRAP_SERVERS", &*servers.kafka), ("MONGODB_URI", &*servers.mongodb)];
        let mut which = vec!["--test", "*"];
        if options.quick {
            which.extend(["--exclude", "xtask"]);
        }
        let name = format!("integration ({})", servers.broker);
        let is_embedded = servers.broker == "embedded";
        if is_embedded {
            which.push("--");
            which.extend(conformance::leave_out(report));
        }
        self.tests(&name, &which, &environment, report).await;
        if is_embedded {
            self.count_left_out();
        } else if !options.quick {
            self.conformance(report).await;
            self.apis(&servers).await;
        }
    }

    async fn tests(
        &mut self,
        name: &str,
        which: &[&str],
        environment: &[(&str, &str)],
        report: &mut Report,
    ) {
        eprintln!("== {name}");
        let began = Instant::now();
        let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
        command.args(FEATURES).args(which).envs(environment.iter().copied());
        let outcome = stream(name, command, &self.folder, report).await;
        self.ended(name, began, outcome);
    }

    /// In CI a test that did not run has failed.
    fn refuse_skipped(&mut self, report: &Report) {
        let skipped = report.ignored();
        if in_ci() && !skipped.is_empty() {
            let outcome: Result<()> = Err(anyhow::anyhow!("did not run: {}", skipped.join(", ")));
            self.ended("skipped tests", Instant::now(), outcome);
        }
    }

    fn show(mut self) -> ExitCode {
        let mut table = table();
        table.set_header(["stage", "seconds", "outcome"]);
        for (name, took, outcome) in &self.done {
            let outcome = outcome.as_ref().map_or_else(String::as_str, String::as_str);
            table.add_row([name, &format!("{:.1}", took.as_secs_f64()), outcome]);
        }
        print(table);
        if self.done.iter().all(|it| it.2.is_ok()) {
            return ExitCode::SUCCESS;
        }
        self.folder.failed();
        ExitCode::FAILURE
    }
}

/// Runs tests, shows what they print as they print it and takes their results down.
async fn stream(
    name: &str,
    mut command: Command,
    folder: &RunFolder,
    report: &mut Report,
) -> Result<()> {
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut process = Process::spawn(name, &mut command, &folder.log("tests"))?;
    // It holds the other end of the pipe, which must close when the tests end.
    drop(command);
    let (lines, mut received) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    while let Some(line) = received.recv().await {
        print(&line);
        report.line(&line);
    }
    let status = process.wait(TESTS_LIMIT).await?;
    ensure!(status.success(), "{}", report.failed_in(name, status));
    Ok(())
}
