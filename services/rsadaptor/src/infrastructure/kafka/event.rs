//! What a record says: which use case it is for, what it is about, and by which event it is answered.

use eventbus::EventBusMessage;
use events::{
    AdaptorReply, AppliedReply, DecodeError, IspId, Revision, RsAgentEvent, RsProvisioningEvent,
    Text, TopicEvent as _,
};

use crate::{
    app::App,
    application::{
        self, Request, act_on_device, apply_device, apply_flags, apply_package, count_user,
        remove_device, remove_package,
    },
    domain::Ending,
};

/// Where a record came from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Topic {
    /// `as-rs-provision-topic`
    Devices,
    /// `as-rs-agent-topic`
    Agents,
}

/// What a record says.
#[allow(clippy::large_enum_variant, reason = "one at a time, and nearly always the large one")]
pub(super) enum Event {
    Device(RsProvisioningEvent),
    Agent(RsAgentEvent),
}

impl Topic {
    pub(super) fn of(message: &EventBusMessage) -> Self {
        match message.topic == RsAgentEvent::topic().name {
            true => Self::Agents,
            false => Self::Devices,
        }
    }

    pub(super) fn read(self, message: &EventBusMessage) -> Result<Event, DecodeError> {
        match self {
            Self::Devices => message.event().map(Event::Device),
            Self::Agents => message.event().map(Event::Agent),
        }
    }

    /// The event by which its records are answered.
    pub(super) fn reply(self, reply: AppliedReply) -> AdaptorReply {
        match self {
            Self::Devices => AdaptorReply::RSDeviceCreatedReply(reply),
            Self::Agents => AdaptorReply::RSAgentPackageCreatedReply(reply),
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
        }
    }

    /// The tenant that its payload names.
    pub(super) fn isp_id(&self) -> Option<&IspId> {
        match self {
            Self::Device(event) => event.isp_id(),
            Self::Agent(event) => event.isp_id(),
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
        RsAgentEvent::RSAgentsUpdated(_) | RsAgentEvent::RSDefaultAgentsUpdated(_) => {
            let reason = format!("{} is not supported by this version", event.event_type());
            Ok(Ending::rejected(reason, None))
        }
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
        RsAgentEvent::RSAgentsUpdated(it) => (it.isp_id.to_string(), it.revision),
        RsAgentEvent::RSDefaultAgentsUpdated(it) => (it.isp_id.to_string(), it.revision),
    }
}
