//! The services' commented defaults as a reference of their settings.

use std::{fmt::Write, fs, path::PathBuf};

use anyhow::{Context, Result};
use testkit::servers::workspace;

/// A setting with what its comment says.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    key: String,
    default: String,
    meaning: String,
}

/// `docs/configuration.md`.
pub(super) fn document() -> Result<String> {
    let mut text =
        "# Configuration\n\nGenerated from the commented defaults that are part of each \
                    binary, by `cargo xtask generate`; change them there.\n\nA setting is taken \
                    from the environment, else from the file that `--config` names, else from its \
                    default. Keys that nobody knows are refused. `--check-config` prints what \
                    holds, secrets redacted, and ends with 0, or with 2 and one sentence.\n"
            .to_owned();
    section(&mut text, "Every service", "SERVICE", chassis::settings::DEFAULTS)?;
    for (service, file) in services()? {
        let prefix = service.replace('-', "_").to_uppercase();
        let defaults = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        section(&mut text, &service, &prefix, &defaults)?;
    }
    Ok(text)
}

fn services() -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(workspace().join("services")).context("list the services")? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = path.join(format!("{name}.toml"));
        if file.exists() {
            found.push((name, file));
        }
    }
    found.sort();
    Ok(found)
}

fn section(text: &mut String, title: &str, prefix: &str, defaults: &str) -> Result<()> {
    write!(
        text,
        "\n## {title}\n\n| setting | default | environment | meaning |\n| --- | --- | --- | --- |\n"
    )?;
    for Setting { key, default, meaning } in settings(defaults) {
        let variable = variable(prefix, &key);
        let default = default.replace('|', "\\|");
        let meaning = meaning.replace('|', "\\|");
        writeln!(text, "| `{key}` | `{default}` | `{variable}` | {meaning} |")?;
    }
    Ok(())
}

/// What names a setting in the environment. The dots of a quoted name are its own.
fn variable(prefix: &str, key: &str) -> String {
    let (path, name) = key.split_once('"').unwrap_or((key, ""));
    let (path, name) = (path.replace('.', "__"), name.trim_end_matches('"'));
    format!("{prefix}__{path}{name}").to_uppercase()
}

/// A key's comment stands above it; an empty line parts it from what was before. A table that is a
/// comment as a whole (`# [tls]`, then `# key = value  # meaning`) is one that may be there.
fn settings(defaults: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let (mut table, mut comment, mut optional) = (String::new(), Vec::new(), None);
    let mut lines = defaults.lines();
    while let Some(line) = lines.next().map(str::trim) {
        if let Some(said) = line.strip_prefix('#').map(str::trim) {
            match (table_name(said), &optional) {
                (Some(name), _) => optional = Some(name.to_owned()),
                (None, Some(table)) => settings.extend(optional_setting(table, said)),
                (None, None) => comment.push(said),
            }
            continue;
        }
        optional = None;
        if let Some(name) = table_name(line) {
            name.clone_into(&mut table);
        } else if let Some((key, value)) = line.split_once('=') {
            let mut default = value.trim().to_owned();
            while default.starts_with('[') && !default.ends_with(']') {
                let Some(more) = lines.next() else { break };
                default.push_str(more.trim());
            }
            let key = [table.as_str(), key.trim()].join(".").trim_start_matches('.').to_owned();
            settings.push(Setting { key, default, meaning: comment.join(" ") });
        }
        comment.clear();
    }
    settings
}

fn table_name(line: &str) -> Option<&str> {
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    name.chars().all(|it| it.is_ascii_alphanumeric() || "._-".contains(it)).then_some(name)
}

fn optional_setting(table: &str, said: &str) -> Option<Setting> {
    let (key, value) = said.split_once('=')?;
    let (example, meaning) = value.split_once(" #").unwrap_or((value, ""));
    Some(Setting {
        key: format!("{table}.{}", key.trim()),
        default: "none".to_owned(),
        meaning: format!("{}; for example `{}`", meaning.trim(), example.trim()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_belongs_to_the_key_below_it() {
        let found = settings(
            "# Of the file.\n\n# First\n# and more.\nname = \"x\"\n[a.b]\nlist = [\n 1,\n]\n",
        );
        let setting = |key: &str, default: &str, meaning: &str| Setting {
            key: key.to_owned(),
            default: default.to_owned(),
            meaning: meaning.to_owned(),
        };
        assert_eq!(
            found,
            [setting("name", "\"x\"", "First and more."), setting("a.b.list", "[1,]", "")]
        );
    }

    #[test]
    fn the_dots_of_a_quoted_name_are_its_own() {
        assert_eq!(variable("RSCLIENT", "kafka.consumer.x"), "RSCLIENT__KAFKA__CONSUMER__X");
        let quoted = variable("RSCLIENT", "kafka.properties.\"linger.ms\"");
        assert_eq!(quoted, "RSCLIENT__KAFKA__PROPERTIES__LINGER.MS");
    }

    #[test]
    fn a_table_that_is_a_comment_may_be_there() {
        let found = settings(
            "# TLS, if there is this table:\n# [tls]\n# key = \"/k\"  # a key\n\n[b]\n# C.\nd = 1\n",
        );
        let found: Vec<_> = found.iter().map(|it| (&*it.key, &*it.default, &*it.meaning)).collect();
        assert_eq!(found, [("tls.key", "none", "a key; for example `\"/k\"`"), ("b.d", "1", "C.")]);
    }
}
