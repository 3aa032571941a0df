//! Which services a fleet has, and how it is started.

use std::path::PathBuf;

/// The services of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// The simulated HomeSecure backend.
    Simulator,
    /// From provisioning to effective configurations.
    RsClient,
    /// The agent packages.
    RsAgents,
    /// From effective configurations to the HomeSecure backend.
    RsAdaptor,
    /// The jobs of operators.
    RsSync,
    /// What happens in the homes.
    RsEvents,
}

impl Service {
    /// The services that read records, each after those that it calls by their addresses.
    pub const READERS: [Self; 5] =
        [Self::RsAdaptor, Self::RsClient, Self::RsAgents, Self::RsSync, Self::RsEvents];

    /// The name of its binary; for a reader also of its group.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulator => "hsbe-sim",
            Self::RsClient => "rsclient",
            Self::RsAgents => "rsagents",
            Self::RsAdaptor => "rsadaptor",
            Self::RsSync => "rssync",
            Self::RsEvents => "rsevents",
        }
    }

    /// Whether it is asked over HTTP by others than operators.
    pub(super) fn has_api(self) -> bool {
        match self {
            Self::Simulator | Self::RsClient | Self::RsAgents | Self::RsAdaptor | Self::RsSync => {
                true
            }
            Self::RsEvents => false,
        }
    }

    /// Whether it is told the addresses of others when it starts.
    pub(super) fn calls_others(self) -> bool {
        match self {
            Self::RsClient | Self::RsAgents | Self::RsSync => true,
            Self::Simulator | Self::RsAdaptor | Self::RsEvents => false,
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
    /// The folder of the binaries; by default the nearest one above this program that has them.
    pub binaries: Option<PathBuf>,
    /// How many rsclients.
    pub rsclients: usize,
    /// How many rsagents.
    pub rsagents: usize,
    /// How many rsadaptors.
    pub rsadaptors: usize,
    /// How many rssyncs.
    pub rssyncs: usize,
    /// How many processes of rsevents.
    pub rsevents: usize,
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
            binaries: None,
            rsclients: 2,
            rsagents: 0,
            rsadaptors: 2,
            rssyncs: 0,
            rsevents: 0,
            settings: Vec::new(),
            failpoints: Vec::new(),
            used_broker: true,
            revive: false,
        }
    }

    /// Adds what a full sync needs: one rssync, and so many rsagents.
    #[must_use]
    pub fn with_sync(mut self, rsagents: usize) -> Self {
        (self.rssyncs, self.rsagents) = (1, rsagents);
        self
    }

    /// Adds one rsevents.
    #[must_use]
    pub fn with_events(mut self) -> Self {
        self.rsevents = 1;
        self
    }

    /// Adds what a town in the simulator needs: the broker, and one rsevents that hears of it there.
    #[must_use]
    pub fn with_town(self) -> Self {
        let kafka = self.kafka.clone();
        let simulator = self.with_events();
        let settings = [("BOOTSTRAP_SERVERS", kafka.as_str()), ("GROUP", "hs-be")];
        settings.into_iter().fold(simulator, |all, (name, value)| {
            all.set(Service::Simulator, &format!("HSBE_SIM__KAFKA__{name}"), value)
        })
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

    /// How many instances of a service are wanted.
    #[must_use]
    pub fn count(&self, service: Service) -> usize {
        match service {
            Service::Simulator => 1,
            Service::RsClient => self.rsclients,
            Service::RsAgents => self.rsagents,
            Service::RsAdaptor => self.rsadaptors,
            Service::RsSync => self.rssyncs,
            Service::RsEvents => self.rsevents,
        }
    }

    /// The services that read records and are wanted.
    #[must_use]
    pub fn readers(&self) -> Vec<Service> {
        Service::READERS.into_iter().filter(|it| self.count(*it) > 0).collect()
    }

    /// The consumer groups of those.
    #[must_use]
    pub fn groups(&self) -> Vec<&'static str> {
        self.readers().into_iter().map(Service::name).collect()
    }
}
