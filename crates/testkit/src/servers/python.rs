//! Packages of Python for checks that are written in it: fetched once by pip, kept beside the other downloads.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::{
    find_program,
    folders::{complete, downloads},
    mongod::succeed,
};

/// The folder of a package of PyPI and all that it needs, such as `name==1.2.3`, for `PYTHONPATH`.
///
/// # Errors
/// When there is no Python, or the package is not to be had.
pub fn python_packages(requirement: &str, say: &dyn Fn(&str)) -> Result<PathBuf> {
    let folder = downloads().join(requirement.replace("==", "-"));
    if folder.exists() {
        return Ok(folder);
    }
    let python = find_program("python3").context("there is no python3 on the PATH")?;
    say(&format!("downloading {requirement} (packages of Python)"));
    complete(&folder, |folder| {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--root-user-action", "ignore", requirement, "--target"]).arg(folder);
        succeed(&mut pip, "pip install")
    })?;
    Ok(folder)
}
