//! A process that never outlives the one that started it.

use std::{
    fs::File,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Ends the group of `$1` once its standard input closes without a word. It ignores the signals of
/// the terminal, so that it outlives a Ctrl-C, and a parent that was killed.
const GUARD: &str = r#"trap '' INT TERM HUP
if read -r word; then exit 0; fi
kill -TERM "-$1" 2>/dev/null
n=0
while kill -0 "$1" 2>/dev/null && [ "$n" -lt "$2" ]; do sleep 0.1; n=$((n + 1)); done
kill -KILL "-$1" 2>/dev/null
exit 0"#;
/// How long a process may take to end itself, in tenths of a second.
const PATIENCE_TENTHS: &str = "300";

/// A running process. Dropping it ends it: SIGTERM, then SIGKILL after 30 s. So does the end of
/// this process, however it ends: a guard waits for that.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    guard: Child,
    /// Closing it lets the guard act.
    leash: Option<ChildStdin>,
    log: PathBuf,
    left: bool,
}

impl Process {
    /// Starts `command` in a process group of its own, with what it prints in the file `log`.
    ///
    /// # Errors
    /// When the program or its guard cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Self::spawn(name, command, log)
    }

    /// Starts `command` with the output that the caller has given it.
    ///
    /// # Errors
    /// When the program or its guard cannot be started.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let mut child =
            command.process_group(0).spawn().with_context(|| format!("start {name}"))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &child.id().to_string(), PATIENCE_TENTHS])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut guard = match guard {
            Ok(guard) => guard,
            Err(error) => {
                child.kill()?;
                return Err(error).context("start the guard of a process: it needs `sh`");
            }
        };
        let leash = guard.stdin.take();
        Ok(Self { name: name.to_owned(), child, guard, leash, log: log.to_owned(), left: false })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The name that it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds what it printed.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look after {}", self.name))
    }

    /// Fails with the end of its log when it runs no more.
    ///
    /// # Errors
    /// When it has ended.
    pub fn still_runs(&mut self) -> Result<()> {
        let Some(status) = self.ended()? else { return Ok(()) };
        bail!("{} ended with {status}; its last words:\n{}", self.name, self.last_words())
    }

    /// The last lines of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Asks it to end (SIGTERM), and kills it when it has not after 30 s; does not wait.
    pub fn ask_to_end(&mut self) {
        drop(self.leash.take());
    }

    /// Waits up to `limit` for it to end.
    ///
    /// # Errors
    /// When it has not ended by then.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        let ended = crate::wait::within(limit, || {
            let ended = child.try_wait().ok().flatten();
            async move { ended }
        });
        let ended = ended.await;
        ended.with_context(|| format!("{} still runs after {} s", self.name, limit.as_secs()))
    }

    /// Ends it at once, as a power failure would (SIGKILL).
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn kill_9(&mut self) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("a process id is a positive i32")?;
        kill_process(pid, Signal::KILL).with_context(|| format!("kill {}", self.name))?;
        self.child.wait().with_context(|| format!("wait for {}", self.name))?;
        Ok(())
    }

    /// Sends the guard away.
    fn dismiss(&mut self) {
        if let Some(mut leash) = self.leash.take() {
            // A guard that is gone needs no word.
            let _ = leash.write_all(b"stay\n");
        }
    }

    /// Lets it live on after this process.
    ///
    /// # Errors
    /// When its guard cannot be told.
    pub fn leave(mut self) -> Result<()> {
        self.dismiss();
        self.left = true;
        self.guard.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        if matches!(self.ended(), Ok(Some(_))) {
            // Its id may be another process's by now.
            self.dismiss();
        }
        self.ask_to_end();
        // The guard sees to it that this ends.
        let _ = self.child.wait();
        let _ = self.guard.wait();
    }
}
