//! One process of the fleet: how it is started, where it listens, whether it is ready.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{FleetOptions, Service};
use crate::{servers::Process, simulator::http_client, wait::within};

/// The folder that holds the services' binaries.
pub(super) struct Binaries(PathBuf);

impl Binaries {
    /// The folder that the options name, or the nearest one above this program that holds them.
    pub(super) fn find(options: &FleetOptions) -> Result<Self> {
        if let Some(folder) = &options.binaries {
            return Ok(Self(folder.clone()));
        }
        let program = std::env::current_exe().context("find this program")?;
        let mut wanted = options.readers();
        wanted.push(Service::Simulator);
        let holds = |folder: &Path| wanted.iter().all(|it| folder.join(it.name()).is_file());
        let folder = program.ancestors().skip(1).find(|it| holds(it));
        let folder = folder.context(
            "the services are not built: run `cargo xtask test`, or `cargo build --workspace \
             --features rsclient/failpoints,rsadaptor/failpoints,rsagents/failpoints,rsevents/failpoints`",
        )?;
        Ok(Self(folder.to_owned()))
    }
}

/// One instance, running or not.
#[derive(Debug)]
pub(super) struct Instance {
    service: Service,
    number: usize,
    program: PathBuf,
    settings: BTreeMap<String, String>,
    address_file: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

impl Instance {
    pub(super) fn new(service: Service, number: usize, from: &Binaries, folder: &Path) -> Self {
        let name = format!("{}-{number}", service.name());
        let address_file = folder.join(format!("{name}-{}.addresses", crate::unique("at")));
        let mut instance = Self {
            service,
            number,
            program: from.0.join(service.name()),
            settings: BTreeMap::new(),
            log: folder.join("logs").join(format!("{name}.log")),
            process: None,
            address_file,
        };
        let prefix = instance.prefix();
        instance.set(&format!("{prefix}__ADMIN__LISTEN"), "127.0.0.1:0");
        let file = instance.address_file.display().to_string();
        instance.set(&format!("{prefix}__ADMIN__ADDRESS_FILE"), &file);
        instance
    }

    /// Broker and store of a service that reads records.
    pub(super) fn set_reader(&mut self, kafka: &str, mongodb: &str, database: &str) {
        let prefix = self.prefix();
        self.set(&format!("{prefix}__KAFKA__BOOTSTRAP_SERVERS"), kafka);
        self.set(&format!("{prefix}__MONGO__URI"), mongodb);
        self.set(&format!("{prefix}__MONGO__DATABASE"), database);
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    /// A setting of this service, named without the prefix.
    pub(super) fn set_member(&mut self, name: &str, value: &str) {
        let prefix = self.prefix();
        self.set(&format!("{prefix}__{name}"), value);
    }

    /// Lets it listen where it listens now after a restart, too: answers the address of `http`.
    pub(super) fn stay(&mut self) -> Result<String> {
        let address = self.address("http");
        let address = address.with_context(|| format!("{} tells no address", self.name()))?;
        self.set_member("HTTP__LISTEN", &address);
        Ok(address)
    }

    pub(super) fn is(&self, service: Service, number: usize) -> bool {
        self.service == service && self.number == number
    }

    pub(super) fn service(&self) -> Service {
        self.service
    }

    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.service.name(), self.number)
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    pub(super) fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    pub(super) fn take(&mut self) -> Option<Process> {
        self.process.take()
    }

    pub(super) fn start(&mut self, failpoints: Option<&str>) -> Result<()> {
        let _ = fs::remove_file(&self.address_file);
        let mut command = Command::new(&self.program);
        command.envs(&self.settings).env_remove("FAILPOINTS");
        if let Some(points) = failpoints {
            command.env("FAILPOINTS", points);
        }
        self.process = Some(Process::start(&self.name(), &mut command, &self.log)?);
        Ok(())
    }

    /// Waits until `/readyz` says yes.
    pub(super) async fn ready(&mut self, limit: Duration) -> Result<()> {
        let client = http_client()?;
        let name = self.name();
        let ready = within(limit, async || {
            if let Err(error) = self.process.as_mut()?.still_runs() {
                return Some(Err(error));
            }
            let admin = self.address("admin")?;
            let answer = client.get(format!("http://{admin}/readyz")).send().await.ok()?;
            answer.status().is_success().then_some(Ok(()))
        });
        match ready.await {
            Some(ready) => ready,
            None => {
                let words = self.process.as_ref().map(Process::last_words).unwrap_or_default();
                anyhow::bail!("{name} is not ready after {} s:\n{words}", limit.as_secs())
            }
        }
    }

    /// Where it listens: lines of `NAME ADDRESS`.
    pub(super) fn addresses(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(&self.address_file).unwrap_or_default();
        let pairs = text.lines().filter_map(|it| it.split_once(' '));
        pairs.map(|(name, address)| (name.to_owned(), address.trim().to_owned())).collect()
    }

    pub(super) fn address(&self, what: &str) -> Option<String> {
        self.addresses().into_iter().find(|it| it.0 == what).map(|it| it.1)
    }

    pub(super) fn kill_9(&mut self) -> Result<()> {
        let mut process = self.process.take().context("a process that runs")?;
        process.kill_9()
    }

    pub(super) async fn ends(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut process = self.process.take().context("a process that runs")?;
        process.wait(limit).await
    }

    fn prefix(&self) -> String {
        self.service.name().replace('-', "_").to_uppercase()
    }
}
