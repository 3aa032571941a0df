//! The services as processes of their own, on free ports, with databases of their own.

mod instance;
mod keys;
mod options;
mod packages;

use std::{
    path::Path,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

pub use self::options::{FleetOptions, Service};
use self::{
    instance::{Binaries, Instance},
    keys::Keys,
};
use crate::{
    isp::Isp,
    jobs::{Jobs, is_terminal},
    servers::Process,
    settled,
    simulator::{Simulator, http_client},
    wait::within,
};

const READY: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(40);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const QUIET_LOOKS: u32 = 2;
/// A reader that ends more often than people kill it is broken.
const REVIVALS_MAX: u32 = 50;

/// A running fleet. Dropping it ends its processes.
#[derive(Debug)]
pub struct Fleet {
    options: FleetOptions,
    instances: Vec<Instance>,
    revivals: u32,
    simulator: Simulator,
    keys: Arc<Keys>,
    databases: Vec<(Service, String)>,
}

impl Fleet {
    /// Starts the simulator and then the readers, and waits until all of them are ready. Logs and
    /// address files go to `folder`, which has a folder `logs`.
    ///
    /// # Errors
    /// When a binary is missing or a service does not become ready.
    pub async fn start(options: FleetOptions, folder: &Path) -> Result<Self> {
        let binaries = Binaries::find(&options)?;
        if options.used_broker {
            settled::skip_to_end(&options.kafka, &options.groups()).await?;
        }
        let keys = Arc::new(Keys::new()?);
        let mut backend = Instance::new(Service::Simulator, 0, &binaries, folder);
        backend.set("HSBE_SIM__HTTP__LISTEN", "127.0.0.1:0");
        add_settings(&mut backend, &options);
        backend.start(None)?;
        backend.ready(READY).await?;
        // A restarted simulator is found where the first was.
        let address = backend.stay()?;
        let simulator = Simulator::at(&address)?;

        let run = crate::unique("fleet");
        let mut fleet = Self {
            databases: Vec::new(),
            instances: vec![backend],
            revivals: 0,
            simulator,
            keys,
            options,
        };
        for service in fleet.options.readers() {
            if service.calls_others() {
                // Those before it.
                fleet.ready().await?;
            }
            let database = format!("{run}-{}", service.name());
            for number in 0..fleet.options.count(service) {
                let instance = Instance::new(service, number, &binaries, folder);
                fleet.add(instance, &database)?;
            }
            fleet.databases.push((service, database));
        }
        fleet.ready().await?;
        Ok(fleet)
    }

    /// Settles what a reader must know, and starts it.
    fn add(&mut self, mut instance: Instance, database: &str) -> Result<()> {
        let service = instance.service();
        instance.set_reader(&self.options.kafka, &self.options.mongodb, database);
        if service.has_api() {
            instance.set_member("HTTP__LISTEN", "127.0.0.1:0");
        }
        for (name, value) in self.keys.settings_of(service) {
            instance.set_member(&name, &value);
        }
        match service {
            Service::RsAdaptor => {
                instance.set_member("HS_ADMIN__BASE_URL", self.simulator.base_url());
            }
            Service::RsSync => {
                for peer in [Service::RsClient, Service::RsAgents] {
                    let address = self.address(peer, 0, "http")?;
                    let name = format!("PEERS__{}_URL", peer.name().to_uppercase());
                    instance.set_member(&name, &format!("http://{address}"));
                }
            }
            Service::RsClient => {
                let adaptors = 0..self.options.count(Service::RsAdaptor);
                let urls = adaptors.map(|it| self.address(Service::RsAdaptor, it, "http"));
                let urls = urls.map(|it| it.map(|it| format!("http://{it}")));
                let urls = urls.collect::<Result<Vec<String>>>()?.join(",");
                instance.set_member("PEERS__RSADAPTOR_URLS", &urls);
            }
            Service::RsEvents => {
                // Both sides speak on one broker.
                instance.set_member("KAFKA__EXTERNAL__BOOTSTRAP_SERVERS", &self.options.kafka);
            }
            Service::RsAgents if self.options.count(Service::RsClient) > 0 => {
                let address = self.address(Service::RsClient, 0, "http")?;
                instance.set_member("PEERS__RSCLIENT_URL", &format!("http://{address}"));
            }
            Service::Simulator | Service::RsAgents => {}
        }
        add_settings(&mut instance, &self.options);
        let mut armed = self.options.failpoints.iter().filter(|it| instance.is(it.0, it.1));
        instance.start(armed.next().map(|it| it.2.as_str()))?;
        self.instances.push(instance);
        Ok(())
    }

    /// An operator's client of rssync.
    ///
    /// # Errors
    /// When there is none.
    pub fn jobs(&self) -> Result<Jobs> {
        Jobs::at(&self.address(Service::RsSync, 0, "http")?, Arc::clone(&self.keys.operators))
    }

    /// A token for one service, of an operator or of somebody of an ISP.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn token(&self, isp_id: Option<&str>, service: &str, scopes: &str) -> Result<String> {
        match isp_id {
            Some(isp_id) => self.keys.operators.of_isp(isp_id, service, scopes),
            None => self.keys.operators.operator(service, scopes),
        }
    }

    /// Writes the private key of the issuer `operators`, for programs that sign by themselves.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_operators_key(&self, path: &Path) -> Result<()> {
        let pem = self.keys.operators.private_key_pem();
        std::fs::write(path, pem).with_context(|| format!("write {}", path.display()))
    }

    /// Somebody of this ISP, who talks to the rsclients.
    ///
    /// # Errors
    /// When there is none.
    pub fn isp(&self, isp_id: &str) -> Result<Isp> {
        self.isp_at(Service::RsClient, isp_id)
    }

    /// Somebody of this ISP, who talks to the instances of a service.
    ///
    /// # Errors
    /// When there is none.
    pub fn isp_at(&self, service: Service, isp_id: &str) -> Result<Isp> {
        let numbers = 0..self.options.count(service);
        let addresses = numbers.map(|it| self.address(service, it, "http"));
        let addresses: Vec<String> = addresses.collect::<Result<_>>()?;
        Isp::of(isp_id, service.name(), &addresses, Arc::clone(&self.keys.operators))
    }

    /// The simulated backend.
    #[must_use]
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// `host:port` of the broker.
    #[must_use]
    pub fn kafka(&self) -> &str {
        &self.options.kafka
    }

    /// Waits until every instance says that it can work.
    ///
    /// # Errors
    /// When one does not within a minute.
    pub async fn ready(&mut self) -> Result<()> {
        for instance in &mut self.instances {
            instance.ready(READY).await?;
            if instance.service().has_api() {
                instance.stay()?;
            }
        }
        Ok(())
    }

    /// Waits until everything that was asked of the fleet is done: no group is behind and nothing
    /// is untold, at two looks in a row. Answers the names of readers that had to be revived.
    ///
    /// # Errors
    /// When it is not within `limit`, or an instance has ended and is not to be revived.
    pub async fn settled(&mut self, limit: Duration) -> Result<Vec<String>> {
        let client = mongodb::Client::with_uri_str(&self.options.mongodb).await?;
        let deadline = Instant::now() + limit;
        let mut revived = Vec::new();
        let mut quiet_looks = 0;
        loop {
            revived.extend(self.look_after().await?);
            let (kafka, groups) = (&self.options.kafka, self.options.groups());
            let open = settled::open_work(kafka, &groups, &client, &self.databases()).await;
            let open = open.unwrap_or_else(|error| vec![format!("{error:#}")]);
            quiet_looks = if open.is_empty() { quiet_looks + 1 } else { 0 };
            if quiet_looks == QUIET_LOOKS {
                return Ok(revived);
            }
            if Instant::now() > deadline {
                bail!("not settled within {} s: {}", limit.as_secs(), open.join(", "));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Waits until no job is open, then until the fleet has [settled](Self::settled).
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub async fn settled_without_jobs(&mut self, limit: Duration) -> Result<Vec<String>> {
        let began = Instant::now();
        let jobs = self.jobs()?;
        let ended = within(limit, async || {
            let all = jobs.list().await.ok()?;
            all.iter().all(is_terminal).then_some(())
        });
        ended.await.with_context(|| format!("jobs are open after {} s", limit.as_secs()))?;
        self.settled(limit.saturating_sub(began.elapsed())).await
    }

    /// Restarts what has ended unasked, where the options say so; answers the names.
    ///
    /// # Errors
    /// When something has ended that is not to be revived, or was revived too often.
    pub async fn look_after(&mut self) -> Result<Vec<String>> {
        let mut revived = Vec::new();
        for instance in &mut self.instances {
            let Some(process) = instance.process() else { continue };
            let Err(ended) = process.still_runs() else { continue };
            if !self.options.revive || instance.service() == Service::Simulator {
                return Err(ended);
            }
            if self.revivals == REVIVALS_MAX {
                return Err(ended.context("it was revived too often"));
            }
            self.revivals += 1;
            instance.start(None)?;
            revived.push(instance.name());
            let ready = instance.ready(READY).await;
            // One that ended again meanwhile is revived at the next look.
            if let (Err(error), Some(Ok(()))) = (ready, instance.process().map(Process::still_runs))
            {
                return Err(error);
            }
        }
        Ok(revived)
    }

    /// Records that wait for a service or are being worked on by it.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn lag(&self, service: Service) -> Result<i64> {
        let lags = settled::lags(&self.options.kafka, &[service.name()]).await?;
        Ok(lags.iter().map(|it| it.records).sum())
    }

    /// Kills an instance as a power failure would.
    ///
    /// # Errors
    /// When there is no such instance, or it cannot be killed.
    pub fn kill_9(&mut self, service: Service, number: usize) -> Result<()> {
        self.instance(service, number)?.kill_9()
    }

    /// Waits until an instance ends by itself, as one with an armed fail point does.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub async fn ends(
        &mut self,
        service: Service,
        number: usize,
        limit: Duration,
    ) -> Result<ExitStatus> {
        self.instance(service, number)?.ends(limit).await
    }

    /// Starts an instance that runs no more, without fail points.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&mut self, service: Service, number: usize) -> Result<()> {
        let instance = self.instance(service, number)?;
        instance.start(None)?;
        instance.ready(READY).await
    }

    /// `GET path` of an instance's admin port: status and body.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn admin(
        &self,
        service: Service,
        number: usize,
        path: &str,
    ) -> Result<(u16, String)> {
        let address = self.address(service, number, "admin")?;
        let answer = http_client()?.get(format!("http://{address}{path}")).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Where an instance listens: `what` is `admin` or `http`.
    ///
    /// # Errors
    /// When there is no such instance, or it does not say.
    pub fn address(&self, service: Service, number: usize, what: &str) -> Result<String> {
        let instance = self.instances.iter().find(|it| it.is(service, number));
        let address = instance.and_then(|it| it.address(what));
        address.with_context(|| format!("{} {number} has no address `{what}`", service.name()))
    }

    /// Every address of every instance: `(instance, what, address)`.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, String, String)> {
        let of = |instance: &Instance| {
            let name = instance.name();
            let all = instance.addresses().into_iter();
            all.map(move |(what, address)| (name.clone(), what, address)).collect::<Vec<_>>()
        };
        self.instances.iter().flat_map(of).collect()
    }

    /// The databases that the readers use.
    #[must_use]
    pub fn databases(&self) -> Vec<String> {
        self.databases.iter().map(|it| it.1.clone()).collect()
    }

    /// The database of one service.
    ///
    /// # Errors
    /// When the fleet has no such service.
    pub fn database(&self, service: Service) -> Result<&str> {
        let found = self.databases.iter().find(|it| it.0 == service).map(|it| it.1.as_str());
        found.with_context(|| format!("there is no {}", service.name()))
    }

    /// The process of an instance.
    #[must_use]
    pub fn pid(&self, service: Service, number: usize) -> Option<u32> {
        self.instances.iter().find(|it| it.is(service, number)).and_then(Instance::pid)
    }

    /// Ids of the processes that run.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.instances.iter().filter_map(Instance::pid).collect()
    }

    /// Asks every instance to end (SIGTERM) and waits: each must end with 0.
    ///
    /// # Errors
    /// When one does not, or not in time.
    pub async fn stop(mut self) -> Result<()> {
        let mut processes: Vec<Process> =
            self.instances.iter_mut().filter_map(Instance::take).collect();
        processes.iter_mut().for_each(Process::ask_to_end);
        let mut complaints = Vec::new();
        for process in &mut processes {
            match process.wait(STOP).await {
                Ok(status) if status.success() => {}
                Ok(status) => complaints.push(format!(
                    "{} ended with {status}:\n{}",
                    process.name(),
                    process.last_words()
                )),
                Err(error) => complaints.push(error.to_string()),
            }
        }
        if !complaints.is_empty() {
            bail!("{}", complaints.join("\n"));
        }
        Ok(())
    }

    /// Lets the fleet live on after this process.
    ///
    /// # Errors
    /// When a guard cannot be told.
    pub fn leave(mut self) -> Result<()> {
        self.instances.iter_mut().filter_map(Instance::take).try_for_each(Process::leave)
    }

    fn instance(&mut self, service: Service, number: usize) -> Result<&mut Instance> {
        let found = self.instances.iter_mut().find(|it| it.is(service, number));
        found.with_context(|| format!("there is no {} number {number}", service.name()))
    }
}

fn add_settings(instance: &mut Instance, options: &FleetOptions) {
    for (service, name, value) in &options.settings {
        if instance.service() == *service {
            instance.set(name, value);
        }
    }
}
