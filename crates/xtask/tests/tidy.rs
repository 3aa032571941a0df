//! The rules of the house that a machine can keep.

use std::{
    fs,
    path::{Path, PathBuf},
};

use testkit::servers::workspace;

const FILE_LINES_MAX: usize = 500;
const MAIN_LINES_MAX: usize = 60;
/// Names that say nothing about what a file holds.
const EMPTY_NAMES: &[&str] = &["common", "helpers", "manager", "misc", "shared", "util", "utils"];
/// What the pure part of a service must not know.
const FOREIGN_TO_DOMAIN: &[&str] = &[
    "axum",
    "crate::application",
    "crate::infrastructure",
    "mongodb",
    "rdkafka",
    "reqwest",
    "serde_json",
    "tokio",
];
/// Only these read the environment: settings, the developers' commands and the tests' servers.
const MAY_READ_ENVIRONMENT: &[&str] = &["chassis", "testkit", "xtask"];

#[test]
fn the_sources_are_tidy() {
    let mut complaints = Vec::new();
    for path in files("rs") {
        let text = fs::read_to_string(workspace().join(&path)).expect("sources are UTF-8");
        let found = untidiness(&path, &text).into_iter();
        complaints.extend(found.map(|it| format!("{}: {it}", path.display())));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn versions_and_lints_stand_in_the_root_manifest_alone() {
    let mut complaints = Vec::new();
    for path in files("toml").into_iter().filter(|it| it.ends_with("Cargo.toml")) {
        let text = fs::read_to_string(workspace().join(&path)).expect("manifests are UTF-8");
        let manifest: toml::Table = text.parse().expect("manifests are TOML");
        if manifest.get("lints").and_then(|it| it.get("workspace")?.as_bool()) != Some(true) {
            complaints.push(format!("{}: take the workspace's lints", path.display()));
        }
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let listed = manifest.get(kind).and_then(toml::Value::as_table);
            for (name, wanted) in listed.into_iter().flatten() {
                if wanted.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                    complaints.push(format!("{}: {name} is not the workspace's", path.display()));
                }
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn each_rule_is_kept_by_something() {
    let complaints = |path: &str, text: &str| untidiness(Path::new(path), text).len();
    let tidy = "//! A file.\n";
    assert_eq!(complaints("crates/a/src/lib.rs", tidy), 0);
    assert_eq!(complaints("crates/a/src/lib.rs", "fn main() {}\n"), 1);
    assert_eq!(complaints("crates/a/src/utils.rs", tidy), 1);
    assert_eq!(complaints("crates/a/src/common/text.rs", tidy), 1);
    assert_eq!(complaints("crates/a/src/lib.rs", &tidy.repeat(501)), 1);
    assert_eq!(complaints("crates/a/src/main.rs", &tidy.repeat(61)), 1);
    let marker = ["TO", "DO"].concat();
    assert_eq!(complaints("crates/a/src/lib.rs", &format!("{tidy}// {marker}: later\n")), 1);
    let foreign = format!("{tidy}use tokio::sync::Mutex;\n");
    assert_eq!(complaints("services/a/src/domain/device.rs", &foreign), 1);
    assert_eq!(complaints("services/a/src/store.rs", &foreign), 0);
    let reads = format!("{tidy}fn f() {{ std::env::{}(\"A\"); }}\n", "var");
    assert_eq!(complaints("services/a/src/store.rs", &reads), 1);
    assert_eq!(complaints("crates/chassis/src/settings.rs", &reads), 0);
}

/// What is wrong with a file at `path` below the workspace.
fn untidiness(path: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let has_part = |part: &str| path.components().any(|it| it.as_os_str() == part);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let in_tests = has_part("tests") || stem == "tests";
    let lines = text.lines().count();

    if EMPTY_NAMES.iter().any(|it| has_part(it) || stem == *it) {
        complaints.push("name it after what it holds".to_owned());
    }
    if !in_tests && !text.starts_with("//! ") {
        complaints.push("begin with a `//!` line that says what this is".to_owned());
    }
    if lines > FILE_LINES_MAX || (stem == "main" && !in_tests && lines > MAIN_LINES_MAX) {
        complaints.push(format!("{lines} lines: part it by what it is for"));
    }
    for marker in [["TO", "DO"].concat(), ["FIX", "ME"].concat()] {
        if text.contains(&marker) {
            complaints.push(format!("`{marker}`: do it, or write down where it is planned"));
        }
    }
    if has_part("domain") {
        // Its tests may read JSON.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for foreign in FOREIGN_TO_DOMAIN {
            if code.contains(&format!("{foreign}::")) {
                complaints.push(format!("the domain does not know `{foreign}`"));
            }
        }
    }
    let may_read = MAY_READ_ENVIRONMENT.iter().any(|it| has_part(it));
    let reads = [["env::", "var("].concat(), ["env::", "vars("].concat()];
    if !may_read && !in_tests && reads.iter().any(|it| text.contains(it)) {
        complaints.push("settings come from the chassis, not from the environment".to_owned());
    }
    complaints
}

/// Files with this extension in `crates/` and `services/`, relative to the workspace.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("crates"), PathBuf::from("services")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(workspace().join(&folder)).expect("a listed folder exists");
        for entry in entries.map(|it| it.expect("a readable entry")) {
            let path = folder.join(entry.file_name());
            if entry.file_type().expect("an entry has a type").is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 1, "no {extension} files: is the workspace somewhere else?");
    found.sort();
    found
}
