//! The services as processes of their own, on free ports, with databases of their own.

mod instance;

use std::{
    path::Path,
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use self::instance::{Binaries, Instance};
use crate::{
    servers::Process,
    settled,
    simulator::{Simulator, http_client},
};

const READY: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(40);
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const QUIET_LOOKS: u32 = 2;
/// A reader that ends more often than people kill it is broken.
const REVIVALS_MAX: u32 = 50;

/// The services of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// The simulated HomeSecure backend.
    Simulator,
    /// From provisioning to effective configurations.
    RsClient,
    /// From effective configurations to the HomeSecure backend.
    RsAdaptor,
}

impl Service {
    /// The services that read records, in the order in which a record passes them.
    pub const READERS: [Self; 2] = [Self::RsClient, Self::RsAdaptor];

    /// The name of its binary; for a reader also of its group.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulator => "hsbe-sim",
            Self::RsClient => "rsclient",
            Self::RsAdaptor => "rsadaptor",
        }
    }
}

/// What a fleet is started with.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// `host:port` of the broker.
    pub kafka: String,
    /// The connection string of the replica set.
    pub mongodb: String,
    /// How many rsclients.
    pub rsclients: usize,
    /// How many rsadaptors.
    pub rsadaptors: usize,
    /// Settings of single services, as they stand in the environment.
    pub settings: Vec<(Service, String, String)>,
    /// Fail points of single instances for their first start.
    pub failpoints: Vec<(Service, usize, String)>,
    /// Whether earlier fleets may have left records, which this one is to pass over.
    pub used_broker: bool,
    /// Whether a reader that ends unasked is started again, as a supervisor would.
    pub revive: bool,
}

impl FleetOptions {
    /// Two rsclients and two rsadaptors on these servers.
    #[must_use]
    pub fn new(kafka: &str, mongodb: &str) -> Self {
        Self {
            kafka: kafka.to_owned(),
            mongodb: mongodb.to_owned(),
            rsclients: 2,
            rsadaptors: 2,
            settings: Vec::new(),
            failpoints: Vec::new(),
            used_broker: true,
            revive: false,
        }
    }

    /// Adds a setting of one service.
    #[must_use]
    pub fn set(mut self, service: Service, name: &str, value: &str) -> Self {
        self.settings.push((service, name.to_owned(), value.to_owned()));
        self
    }

    /// Arms a fail point in the first life of one instance.
    #[must_use]
    pub fn fail(mut self, service: Service, instance: usize, point: &str) -> Self {
        self.failpoints.push((service, instance, point.to_owned()));
        self
    }
}

/// A running fleet. Dropping it ends its processes.
#[derive(Debug)]
pub struct Fleet {
    options: FleetOptions,
    instances: Vec<Instance>,
    revivals: u32,
    simulator: Simulator,
    databases: Vec<String>,
}

impl Fleet {
    /// Starts the simulator and then the readers, and waits until all of them are ready. Logs and
    /// address files go to `folder`, which has a folder `logs`.
    ///
    /// # Errors
    /// When a binary is missing or a service does not become ready.
    pub async fn start(options: FleetOptions, folder: &Path) -> Result<Self> {
        let binaries = Binaries::find()?;
        if options.used_broker {
            settled::skip_to_end(&options.kafka, &groups()).await?;
        }
        let run = crate::unique("fleet");
        let databases: Vec<String> =
            Service::READERS.iter().map(|it| format!("{run}-{}", it.name())).collect();

        let mut backend = Instance::new(Service::Simulator, 0, &binaries, folder);
        backend.set("HSBE_SIM__HTTP__LISTEN", "127.0.0.1:0");
        add_settings(&mut backend, &options);
        backend.start(None)?;
        backend.ready(READY).await?;
        let address = backend.address("http").context("the simulator tells no address")?;
        // A restarted simulator is found where the first was.
        backend.set("HSBE_SIM__HTTP__LISTEN", &address);
        let simulator = Simulator::at(&address)?;

        let counts = [options.rsclients, options.rsadaptors];
        let mut instances = vec![backend];
        for ((service, count), database) in Service::READERS.into_iter().zip(counts).zip(&databases)
        {
            for number in 0..count {
                let mut instance = Instance::new(service, number, &binaries, folder);
                instance.set_reader(&options.kafka, &options.mongodb, database);
                if service == Service::RsAdaptor {
                    instance.set("RSADAPTOR__HS_ADMIN__BASE_URL", simulator.base_url());
                }
                add_settings(&mut instance, &options);
                let armed = options.failpoints.iter();
                let mut armed = armed.filter(|it| it.0 == service && it.1 == number);
                instance.start(armed.next().map(|it| it.2.as_str()))?;
                instances.push(instance);
            }
        }
        let mut fleet = Self { options, instances, revivals: 0, simulator, databases };
        fleet.ready().await?;
        Ok(fleet)
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
            let (kafka, groups) = (&self.options.kafka, groups());
            let open = settled::open_work(kafka, &groups, &client, &self.databases).await;
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

    /// Restarts what has ended unasked, where the options say so.
    async fn look_after(&mut self) -> Result<Vec<String>> {
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
        let instance = self.instances.iter().find(|it| it.is(service, number));
        let address = instance.and_then(|it| it.address("admin"));
        let address = address.with_context(|| format!("{} has no address", service.name()))?;
        let answer = http_client()?.get(format!("http://{address}{path}")).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
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
    pub fn databases(&self) -> &[String] {
        &self.databases
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

fn groups() -> Vec<&'static str> {
    Service::READERS.iter().map(|it| it.name()).collect()
}

fn add_settings(instance: &mut Instance, options: &FleetOptions) {
    for (service, name, value) in &options.settings {
        if instance.service() == *service {
            instance.set(name, value);
        }
    }
}
