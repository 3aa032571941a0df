//! Which tests ran and how they ended, read from what cargo and libtest print.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use testkit::servers::workspace;

use crate::tools::variable;

/// One test of the last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// The package, and for an integration test `::` and the name of its binary.
    pub binary: String,
    /// The test's path in the binary.
    pub name: String,
    /// `ok`, `failed` or `ignored`.
    pub status: String,
}

/// Where the report of the last run lies.
#[must_use]
pub fn report_path() -> PathBuf {
    let target = variable("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| workspace().join("target")).join("test-report.json")
}

/// The test binaries of the workspace: file name to the name in the report.
pub(super) struct Binaries(BTreeMap<String, String>);

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
            let file = executable.rsplit('/').next().unwrap_or_default();
            all.insert(file.to_owned(), binary);
        }
        Ok(Self(all))
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
    running: String,
    tests: BTreeMap<(String, String), &'static str>,
}

impl Report {
    pub(super) fn new(binaries: Binaries) -> Self {
        Self { binaries, running: String::new(), tests: BTreeMap::new() }
    }

    /// One line of what cargo or a test binary printed.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(running) = line.trim_start().strip_prefix("Running ") {
            let file = running.rsplit(['/', '(']).next().unwrap_or_default().trim_end_matches(')');
            self.running = self.binaries.0.get(file).cloned().unwrap_or_else(|| file.to_owned());
        } else if let Some((name, status)) = result(line) {
            self.tests.insert((self.running.clone(), name.to_owned()), status);
        }
    }

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
            "test result: FAILED. 0 passed; 1 failed",
        ] {
            report.line(line);
        }
        let tests: Vec<_> = report.tests.iter().map(|it| (&*it.0.0, &*it.0.1, *it.1)).collect();
        assert_eq!(
            tests,
            [
                ("events", "ids::a_long_id_is_refused", "ok"),
                ("events", "ids::it_panics", "ok"),
                ("rsclient::it", "accounts::an_account_is_stored", "failed"),
                ("rsclient::it", "accounts::later", "ignored"),
            ]
        );
    }
}
