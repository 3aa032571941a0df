//! Where downloads stay and where servers keep their data while they run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::environment::variable;

/// A file in a run's folder that keeps it from being swept.
const KEPT: &str = "kept";

/// The workspace's folder.
#[must_use]
pub fn workspace() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates.and_then(Path::parent).expect("this crate is two folders below the workspace")
}

/// Downloads: `.dev/` of the workspace, or the folder that `ROUTERSECURE_DEV_DIR` names.
#[must_use]
pub fn downloads() -> PathBuf {
    variable("ROUTERSECURE_DEV_DIR").map_or_else(|| workspace().join(".dev"), PathBuf::from)
}

/// The folder of one run: data of servers, logs, address files. Removed when dropped; the logs of a
/// run that failed stay in `.dev/failed/`.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    kept: bool,
    failed: bool,
}

impl RunFolder {
    /// Makes a new folder and sweeps what runs that were killed left behind.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new() -> Result<Self> {
        let runs = workspace().join(".dev/run");
        fs::create_dir_all(&runs).with_context(|| format!("make {}", runs.display()))?;
        for entry in fs::read_dir(&runs)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.split('-').next().unwrap_or_default();
            let alive = Path::new("/proc").join(owner).exists();
            if !alive && !entry.path().join(KEPT).exists() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = runs.join(crate::unique(&std::process::id().to_string()));
        fs::create_dir_all(path.join("logs"))
            .with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path, kept: false, failed: false })
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file for the log of the process `name`.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }

    /// Keeps the folder for the processes that live on in it.
    ///
    /// # Errors
    /// When the mark cannot be written.
    pub fn keep(&mut self, pids: &[u32]) -> Result<()> {
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        fs::write(self.path.join(KEPT), pids.join("\n")).context("mark the folder as kept")?;
        self.kept = true;
        Ok(())
    }

    /// Marks the run as failed: its logs survive it.
    pub fn failed(&mut self) {
        self.failed = true;
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if self.failed || std::thread::panicking() {
            let failed = workspace().join(".dev/failed");
            let _ = fs::create_dir_all(&failed);
            if let Some(name) = self.path.file_name() {
                let _ = fs::rename(self.path.join("logs"), failed.join(name));
            }
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes `target` by letting `make` fill a folder beside it, which is renamed when it is complete:
/// two downloads at once, or one that was cut off, do no harm.
pub(super) fn complete(target: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = target.parent().context("a download has a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
    let partial = tempfile::tempdir_in(parent).context("make a folder for a download")?;
    make(partial.path())?;
    if !target.exists() {
        fs::rename(partial.keep(), target)
            .with_context(|| format!("put {} in place", target.display()))?;
    }
    Ok(())
}
