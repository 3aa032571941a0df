//! `cargo xtask coverage`: which names of the design have code, and a test that ran.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::ExitCode,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use testkit::servers::workspace;

use crate::{
    checks::{Test, report_path},
    tools::{print, table},
};

const NOT_YET: &str = "not yet";
/// One test that stands for more rows than this is no evidence for any of them.
const ROWS_PER_TEST_MAX: usize = 8;

/// Count which names of the design have code, and a test that ran.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What the table and the report of the tests say together.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Coverage {
    rows: usize,
    with_code: usize,
    with_test: usize,
    not_yet: usize,
    rows_per_test_max: usize,
    /// Tests that the table names and that did not run with success.
    #[serde(skip)]
    unproven: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Report {
    tests: Vec<Test>,
}

/// Prints the counts; a failure when a named test did not run or one test stands for too much.
///
/// # Errors
/// When the table or the report cannot be read.
pub fn run(options: &Options) -> Result<ExitCode> {
    let path = workspace().join("docs/coverage.md");
    let names = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let report = fs::read(report_path())
        .context("there is no report of the tests: run `cargo xtask test` first")?;
    let report: Report = serde_json::from_slice(&report).context("read the tests' report")?;
    let passed = report.tests.into_iter().filter(|it| it.status == "ok");
    let passed = passed.map(|it| format!("{}::{}", it.binary, it.name)).collect();
    let coverage = count(&names, &passed);

    for test in &coverage.unproven {
        eprintln!("did not run with success: {test}");
    }
    if options.json {
        print(serde_json::to_string(&coverage)?);
    } else {
        let mut table = table();
        table.add_row(["rows", &coverage.rows.to_string()]);
        table.add_row(["with code", &coverage.with_code.to_string()]);
        table.add_row(["with a test that ran", &coverage.with_test.to_string()]);
        table.add_row(["not yet", &coverage.not_yet.to_string()]);
        table.add_row(["most rows on one test", &coverage.rows_per_test_max.to_string()]);
        print(table);
    }
    let sound = coverage.unproven.is_empty() && coverage.rows_per_test_max <= ROWS_PER_TEST_MAX;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads rows of `| id | name | code | test |`; several tests are parted by commas.
fn count(table: &str, passed: &BTreeSet<String>) -> Coverage {
    let mut rows_of_test: BTreeMap<String, usize> = BTreeMap::new();
    let (mut rows, mut with_code, mut with_test) = (0, 0, 0);
    let mut unproven = BTreeSet::new();
    for line in table.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, .., code, tests] = cells.as_slice() else { continue };
        if !line.starts_with('|') || !id.starts_with(|it: char| it.is_ascii_digit()) {
            continue;
        }
        rows += 1;
        with_code += usize::from(*code != NOT_YET);
        if *tests == NOT_YET {
            continue;
        }
        let named = tests.split(',').map(|it| it.trim().trim_matches('`').to_owned());
        let named: Vec<String> = named.filter(|it| !it.is_empty()).collect();
        with_test += usize::from(named.iter().any(|it| passed.contains(it)));
        for test in named {
            if !passed.contains(&test) {
                unproven.insert(test.clone());
            }
            *rows_of_test.entry(test).or_default() += 1;
        }
    }
    Coverage {
        rows,
        with_code,
        with_test,
        not_yet: rows - with_code,
        rows_per_test_max: rows_of_test.into_values().max().unwrap_or(0),
        unproven,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_counts_as_tested_only_when_its_test_ran() {
        let table = "\
# Coverage

| id | name | code | test |
| --- | --- | --- | --- |
| 000-01-01 | device | `events::Device` | `events::a_device` |
| 000-01-02 | user | `events::User` | events::a_user, events::a_device |
| 000-01-03 | other | `events::Other` | `events::gone` |
| 000-01-04 | late | not yet | not yet |
";
        let passed = BTreeSet::from(["events::a_device".to_owned()]);
        assert_eq!(
            count(table, &passed),
            Coverage {
                rows: 4,
                with_code: 3,
                with_test: 2,
                not_yet: 1,
                rows_per_test_max: 2,
                unproven: BTreeSet::from(["events::a_user".to_owned(), "events::gone".to_owned()]),
            }
        );
    }
}
