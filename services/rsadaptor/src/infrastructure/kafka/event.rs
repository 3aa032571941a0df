//! What a record says: which use case it is for, what it is about, and by which event it is answered.

use eventbus::EventBusMessage;
use events::{
    AdaptorReply, AgentPackageId, AppliedReply, DecodeError, IspId, Revision, RsAgentEvent,
    RsProvisioningEvent, RsSystemEvent, Text, TopicEvent as _,
};
use hs_admin::SystemDocument;

use crate::{
    app::App,
    application::{
        self, Request, act_on_device, apply_agents, apply_default_agents, apply_device,
        apply_flags, apply_package, apply_router_protection, apply_system, count_user,
        remove_device, remove_package,
    },
    domain::Subject,
};

/// Where a record came from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Topic {
    /// `as-rs-provision-topic`
    Devices,
    /// `as-rs-agent-topic`
    Agents,
    /// `as-rs-system-configuration-topic`
    System,
}

/// What a record says.
#[allow(clippy::large_enum_variant, reason = "one at a time, and nearly always the large one")]
pub(super) enum Event {
    Device(RsProvisioningEvent),
    Agent(RsAgentEvent),
    System(RsSystemEvent),
}

impl Topic {
    pub(super) const ALL: [Self; 3] = [Self::Devices, Self::Agents, Self::System];

    pub(super) fn of(message: &EventBusMessage) -> Self {
        let known = Self::ALL.into_iter().find(|it| it.name() == message.topic);
        known.unwrap_or(Self::Devices)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Devices => RsProvisioningEvent::topic().name,
            Self::Agents => RsAgentEvent::topic().name,
            Self::System => RsSystemEvent::topic().name,
        }
    }

    pub(super) fn read(self, message: &EventBusMessage) -> Result<Event, DecodeError> {
        match self {
            Self::Devices => message.event().map(Event::Device),
            Self::Agents => message.event().map(Event::Agent),
            Self::System => message.event().map(Event::System),
        }
    }

    /// What a record whose payload cannot be read is about, where its key tells: an ISP has several documents.
    pub(super) fn resource_of_key(self, message: &EventBusMessage) -> Vec<String> {
        let key = message.key.clone();
        match self {
            Self::Devices => key.into_iter().map(String::from).collect(),
            Self::Agents => key
                .and_then(|it| AgentPackageId::try_from(it).ok())
                .map(|it| Subject::Package(&it).key().into_owned())
                .into_iter()
                .collect(),
            Self::System => Vec::new(),
        }
    }

    /// The event by which its records of this type are answered.
    pub(super) fn reply(self, event_type: &str, reply: AppliedReply) -> AdaptorReply {
        let is_list = matches!(event_type, "RSAgentsUpdated" | "RSDefaultAgentsUpdated");
        match self {
            Self::Devices => AdaptorReply::RSDeviceCreatedReply(reply),
            // They are documents of an ISP.
            Self::Agents if is_list => AdaptorReply::RSSystemReply(reply),
            Self::Agents => AdaptorReply::RSAgentPackageCreatedReply(reply),
            Self::System => AdaptorReply::RSSystemReply(reply),
        }
    }
}

impl Event {
    /// Hands it to its use case. `tenant` is what the envelope says.
    pub(super) async fn handle(
        &self,
        app: &App,
        request: &Request,
        tenant: Option<&IspId>,
    ) -> application::Result {
        match self {
            Self::Device(event) => handle_device(app, request, event).await,
            Self::Agent(event) => handle_agent(app, request, tenant, event).await,
            Self::System(event) => handle_system(app, request, event).await,
        }
    }

    /// The tenant that its payload names.
    pub(super) fn isp_id(&self) -> Option<&IspId> {
        match self {
            Self::Device(event) => event.isp_id(),
            Self::Agent(event) => event.isp_id(),
            Self::System(event) => event.isp_id(),
        }
    }

    /// The ids of the resources that it is about, as the REST API knows them.
    pub(super) fn resources(&self) -> Vec<String> {
        use SystemDocument::{AgentDefault, AgentVersions, General, RouterAllowedIp, RouterDns};
        let of_package = |id| vec![Subject::Package(id).key().into_owned()];
        let of_isp = |isp_id, documents: &[SystemDocument]| {
            let key = |it: &SystemDocument| Subject::System(isp_id, *it).key().into_owned();
            documents.iter().map(key).collect()
        };
        match self {
            Self::Device(RsProvisioningEvent::RSUserUpdated(_)) => Vec::new(),
            Self::Device(event) => vec![about_device(event).0],
            Self::Agent(RsAgentEvent::RSAgentPackageCreated(it)) => {
                of_package(&it.agent_package_id)
            }
            Self::Agent(RsAgentEvent::RSAgentPackageDeleted(it)) => {
                of_package(&it.agent_package_id)
            }
            Self::Agent(RsAgentEvent::RSAgentsUpdated(it)) => of_isp(&it.isp_id, &[AgentVersions]),
            Self::Agent(RsAgentEvent::RSDefaultAgentsUpdated(it)) => {
                of_isp(&it.isp_id, &[AgentDefault])
            }
            Self::System(RsSystemEvent::RSRouterProtectionUpdated(it)) => {
                of_isp(&it.isp_id, &[RouterDns, RouterAllowedIp])
            }
            Self::System(RsSystemEvent::RSSystemUpdated(it)) => of_isp(&it.isp_id, &[General]),
        }
    }

    /// Whether nothing is applied because of it.
    pub(super) fn is_only_counted(&self) -> bool {
        matches!(self, Self::Device(RsProvisioningEvent::RSUserUpdated(_)))
    }

    /// The resource, the revision and the tenant that it is about.
    pub(super) fn about(&self) -> (Text, Revision, Option<&IspId>) {
        let (resource, revision) = match self {
            Self::Device(event) => about_device(event),
            Self::Agent(event) => about_agent(event),
            Self::System(event) => about_system(event),
        };
        (Text::try_from(resource).expect("an id is a text"), revision, self.isp_id())
    }
}

async fn handle_device(
    app: &App,
    request: &Request,
    event: &RsProvisioningEvent,
) -> application::Result {
    match event {
        RsProvisioningEvent::RSDeviceCreated(it) | RsProvisioningEvent::RSDeviceUpdated(it) => {
            apply_device(app, request, it).await
        }
        RsProvisioningEvent::RSDeviceDeleted(it) => remove_device(app, request, it).await,
        RsProvisioningEvent::RSDeviceAction(it) => act_on_device(app, request, it).await,
        RsProvisioningEvent::RSUserUpdated(it) => count_user(it).await,
        RsProvisioningEvent::RSCustomFlagsUpdated(it)
        | RsProvisioningEvent::RSRouterUploadIntervalsUpdated(it) => {
            apply_flags(app, request, it).await
        }
    }
}

async fn handle_agent(
    app: &App,
    request: &Request,
    tenant: Option<&IspId>,
    event: &RsAgentEvent,
) -> application::Result {
    match event {
        RsAgentEvent::RSAgentPackageCreated(it) => apply_package(app, request, it).await,
        RsAgentEvent::RSAgentPackageDeleted(it) => remove_package(app, request, tenant, it).await,
        RsAgentEvent::RSAgentsUpdated(it) => apply_agents(app, request, it).await,
        RsAgentEvent::RSDefaultAgentsUpdated(it) => apply_default_agents(app, request, it).await,
    }
}

async fn handle_system(app: &App, request: &Request, event: &RsSystemEvent) -> application::Result {
    match event {
        RsSystemEvent::RSRouterProtectionUpdated(it) => {
            apply_router_protection(app, request, it).await
        }
        RsSystemEvent::RSSystemUpdated(it) => apply_system(app, request, it).await,
    }
}

fn about_device(event: &RsProvisioningEvent) -> (String, Revision) {
    match event {
        RsProvisioningEvent::RSDeviceCreated(it) | RsProvisioningEvent::RSDeviceUpdated(it) => {
            (it.device_id.to_string(), it.revision)
        }
        RsProvisioningEvent::RSDeviceAction(it) => {
            (it.device.device_id.to_string(), it.device.revision)
        }
        RsProvisioningEvent::RSDeviceDeleted(it) => (it.device_id.to_string(), it.revision),
        RsProvisioningEvent::RSUserUpdated(it) => (it.user_id.to_string(), it.revision),
        // Flags and intervals are a resource of their own beside the router.
        RsProvisioningEvent::RSCustomFlagsUpdated(it)
        | RsProvisioningEvent::RSRouterUploadIntervalsUpdated(it) => {
            (format!("{}~flags", it.device_id), it.revision)
        }
    }
}

fn about_agent(event: &RsAgentEvent) -> (String, Revision) {
    match event {
        RsAgentEvent::RSAgentPackageCreated(it) => (it.agent_package_id.to_string(), it.revision),
        RsAgentEvent::RSAgentPackageDeleted(it) => (it.agent_package_id.to_string(), it.revision),
        RsAgentEvent::RSAgentsUpdated(it) => (format!("{}~agents", it.isp_id), it.revision),
        RsAgentEvent::RSDefaultAgentsUpdated(it) => {
            (format!("{}~default-agents", it.isp_id), it.revision)
        }
    }
}

/// What is said of a whole ISP has the ISP's id and a name; router protection is one thing in two documents.
fn about_system(event: &RsSystemEvent) -> (String, Revision) {
    match event {
        RsSystemEvent::RSRouterProtectionUpdated(it) => {
            (format!("{}~router-protection", it.isp_id), it.revision)
        }
        RsSystemEvent::RSSystemUpdated(it) => (format!("{}~system", it.isp_id), it.revision),
    }
}
