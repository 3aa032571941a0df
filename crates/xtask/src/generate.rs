//! `cargo xtask generate`: files that are made from the registry and the services' defaults.

mod asyncapi;
mod configuration;
mod topics;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use testkit::servers::workspace;

use crate::tools::print;

/// Write the generated files.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Write nothing; fail when a file differs from what would be written.
    #[arg(long)]
    pub check: bool,
}

/// Writes or checks every generated file.
///
/// # Errors
/// When a file cannot be written, or differs.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.check {
        check()?;
        return Ok(ExitCode::SUCCESS);
    }
    for (path, text) in files()? {
        let path = workspace().join(path);
        let folder = path.parent().context("a generated file has a folder")?;
        fs::create_dir_all(folder)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        print(path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when a generated file is not up to date.
///
/// # Errors
/// When one differs: the message names them all.
pub fn check() -> Result<()> {
    let differs = |(path, text): &(PathBuf, String)| {
        fs::read_to_string(workspace().join(path)).is_ok_and(|it| it == *text)
    };
    let stale: Vec<String> =
        files()?.iter().filter(|it| !differs(it)).map(|it| it.0.display().to_string()).collect();
    ensure!(stale.is_empty(), "run `cargo xtask generate`, for {} differs", stale.join(", "));
    Ok(())
}

fn files() -> Result<Vec<(PathBuf, String)>> {
    Ok(vec![
        ("docs/topics.md".into(), topics::document()),
        ("docs/asyncapi.json".into(), asyncapi::document()?),
        (
            "docs/openapi/rsagents.json".into(),
            openapi::text(&rsagents::infrastructure::rest::document()),
        ),
        (
            "docs/openapi/rsclient.json".into(),
            openapi::text(&rsclient::infrastructure::rest::document()),
        ),
        (
            "docs/openapi/rssync.json".into(),
            openapi::text(&rssync::infrastructure::rest::document()),
        ),
        ("deploy/create-topics.sh".into(), topics::script()),
        ("docs/configuration.md".into(), configuration::document()?),
    ])
}
