//! Which tests ran and how they ended, read from what cargo and libtest print.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use testkit::servers::workspace;

use crate::tools::variable;

/// One test of the last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// The package, and for an integration test `::` and the name of its binary; behind it what
    /// a stage that runs a binary once more calls itself.
    pub binary: String,
    /// The test's path in the binary.
    pub name: String,
    /// `ok`, `failed`, `ignored`, `by hand` (what says so of itself) or `skipped` (what a stage leaves out).
    pub status: String,
}

/// Where the report of the last run lies.
#[must_use]
pub fn report_path() -> PathBuf {
    let target = variable("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| workspace().join("target")).join("test-report.json")
}

/// What the reason of an ignored test begins with that nobody misses where all tests run.
const BY_HAND: [&str; 2] = ["by hand: ", "no test: "];

/// The test binaries of the workspace: path to the name in the report.
pub(super) struct Binaries(BTreeMap<PathBuf, String>);

impl Binaries {
    /// Reads them from cargo's messages.
    pub(super) fn of(messages: &str) -> Result<Self> {
        let mut all = BTreeMap::new();
        for line in messages.lines().filter(|it| it.starts_with('{')) {
            let message: Value = serde_json::from_str(line).context("read cargo's messages")?;
            let Some(executable) = message["executable"].as_str() else { continue };
            let target = &message["target"];
            let package = package_of(message["package_id"].as_str().unwrap_or_default());
            let name = target["name"].as_str().unwrap_or_default();
            let binary = match target["kind"][0].as_str() {
                Some("test") => format!("{package}::{name}"),
                Some("bin") => format!("{package}::bin/{name}"),
                _ => package.to_owned(),
            };
            all.insert(PathBuf::from(executable), binary);
        }
        Ok(Self(all))
    }

    /// The name of the binary with this file name.
    fn name(&self, file: &str) -> Option<&str> {
        let mut all = self.0.iter();
        all.find(|it| it.0.file_name().is_some_and(|it| it == file)).map(|it| &**it.1)
    }
}

/// `path+file:///folder/name#0.1.0` or `path+file:///folder#name@0.1.0`.
fn package_of(id: &str) -> &str {
    let (path, fragment) = id.split_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next().unwrap_or_default(),
    }
}

/// Takes down one run.
pub(super) struct Report {
    binaries: Binaries,
    /// Stands behind the names of binaries.
    stage: &'static str,
    running: String,
    tests: BTreeMap<(String, String), &'static str>,
}

impl Report {
    pub(super) fn new(binaries: Binaries) -> Self {
        Self { binaries, stage: "", running: String::new(), tests: BTreeMap::new() }
    }

    /// One line of what cargo or a test binary printed.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(running) = line.trim_start().strip_prefix("Running ") {
            let file = running.rsplit(['/', '(']).next().unwrap_or_default().trim_end_matches(')');
            let binary = self.binaries.name(file).unwrap_or(file).to_owned();
            self.runs(&binary);
        } else if let Some((name, status)) = result(line) {
            self.tests.insert((self.running.clone(), name.to_owned()), status);
        }
    }

    /// What runs from now on has this behind the names of its binaries.
    pub(super) fn stage(&mut self, name: &'static str) {
        self.stage = name;
    }

    /// The next results are those of `binary`.
    pub(super) fn runs(&mut self, binary: &str) {
        self.running = format!("{binary}{}", self.stage);
    }

    /// A stage leaves a test out.
    pub(super) fn skipped(&mut self, binary: &str, test: &str) {
        self.tests.insert((format!("{binary}{}", self.stage), test.to_owned()), "skipped");
    }

    /// Whether there is such a test, as far as stages without a name have run.
    pub(super) fn knows(&self, binary: &str, test: &str) -> bool {
        self.tests.contains_key(&(binary.to_owned(), test.to_owned()))
    }

    /// The file of a binary.
    pub(super) fn executable(&self, binary: &str) -> Option<&Path> {
        self.binaries.0.iter().find(|it| it.1 == binary).map(|it| &**it.0)
    }

    /// The tests that should have run.
    pub(super) fn ignored(&self) -> Vec<String> {
        self.with_status("ignored")
    }

    pub(super) fn failed_in(&self, stage: &str, status: std::process::ExitStatus) -> String {
        let failed = self.with_status("failed");
        if failed.is_empty() {
            return format!("{stage}: {status}");
        }
        format!("failed: {}", failed.join(", "))
    }

    fn with_status(&self, wanted: &str) -> Vec<String> {
        let tests = self.tests.iter().filter(|it| *it.1 == wanted);
        tests.map(|((binary, name), _)| format!("{binary}::{name}")).collect()
    }

    pub(super) fn write(&self) -> Result<()> {
        let of = |((binary, name), status): (&(String, String), &&str)| Test {
            binary: binary.clone(),
            name: name.clone(),
            status: (*status).to_owned(),
        };
        let tests: Vec<Test> = self.tests.iter().map(of).collect();
        let path = report_path();
        let text = serde_json::to_string_pretty(&serde_json::json!({"tests": tests}))?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

/// `test NAME ... ok`, where NAME may have `- should panic` behind it.
fn result(line: &str) -> Option<(&str, &'static str)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.split(" - ").next()?;
    let reason = outcome.strip_prefix("ignored, ").unwrap_or_default();
    if BY_HAND.iter().any(|it| reason.starts_with(it)) {
        return Some((name, "by hand"));
    }
    let status = match outcome.split([',', ' ']).next()? {
        "ok" => "ok",
        "FAILED" => "failed",
        "ignored" => "ignored",
        _ => return None,
    };
    Some((name, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_go_to_the_binary_that_runs() {
        let messages = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/services/rsclient#0.1.0","target":{"kind":["test"],"name":"it"},"executable":"/w/target/debug/deps/it-0a1b"}
{"reason":"compiler-artifact","package_id":"path+file:///w/crates/events#0.1.0","target":{"kind":["lib"],"name":"events"},"executable":"/w/target/debug/deps/events-77"}
{"reason":"build-finished","success":true}"#;
        let mut report = Report::new(Binaries::of(messages).unwrap());
        for line in [
            "     Running unittests src/lib.rs (target/debug/deps/events-77)",
            "test ids::a_long_id_is_refused ... ok",
            "test ids::it_panics - should panic ... ok",
            "     Running tests/it/main.rs (target/debug/deps/it-0a1b)",
            "test accounts::an_account_is_stored ... FAILED",
            "test accounts::later ... ignored, needs time",
            "test accounts::long ... ignored, by hand: cargo test -- --ignored",
            "test result: FAILED. 0 passed; 1 failed",
        ] {
            report.line(line);
        }
        report.stage(" (again)");
        report.runs("rsclient::it");
        report.line("test accounts::an_account_is_stored ... ok");
        report.skipped("rsclient::it", "accounts::long");
        assert!(report.knows("rsclient::it", "accounts::long"));
        assert!(!report.knows("rsclient::it", "accounts::short"));
        assert_eq!(
            report.executable("rsclient::it"),
            Some(Path::new("/w/target/debug/deps/it-0a1b"))
        );
        assert_eq!(report.ignored(), ["rsclient::it::accounts::later"]);
        let tests: Vec<_> = report.tests.iter().map(|it| (&*it.0.0, &*it.0.1, *it.1)).collect();
        assert_eq!(
            tests,
            [
                ("events", "ids::a_long_id_is_refused", "ok"),
                ("events", "ids::it_panics", "ok"),
                ("rsclient::it", "accounts::an_account_is_stored", "failed"),
                ("rsclient::it", "accounts::later", "ignored"),
                ("rsclient::it", "accounts::long", "by hand"),
                ("rsclient::it (again)", "accounts::an_account_is_stored", "ok"),
                ("rsclient::it (again)", "accounts::long", "skipped"),
            ]
        );
    }
}
