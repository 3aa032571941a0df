//! The registry of topics: who says what to whom, under which key, how wide and for how long.
//!
//! Documentation, topic creation and deployments are generated from it.

/// A week, in hours.
const RETENTION_HOURS: u32 = 7 * 24;
/// How long dead letters are kept: long enough for somebody to look.
const DEAD_LETTER_RETENTION_HOURS: u32 = 30 * 24;
/// Partitions of a topic whose key is an entity.
const ENTITY: i32 = 12;
/// Partitions of a topic whose key is a task.
const REQUEST: i32 = 3;

/// One topic.
#[derive(Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name on the broker.
    pub name: &'static str,
    /// What a record's key is.
    pub key: &'static str,
    /// What may travel on it.
    pub events: &'static [EventSpec],
    /// How many partitions it has.
    pub partitions: i32,
    /// How long a record is kept, in hours.
    pub retention_hours: u32,
    /// What the broker does with old records.
    pub cleanup: Cleanup,
    /// Which broker and which serializer it belongs to.
    pub client: Client,
}

/// One event of a topic.
#[derive(Debug, PartialEq, Eq)]
pub struct EventSpec {
    /// Its name on the wire.
    pub name: &'static str,
    /// Who says it.
    pub producers: &'static [&'static str],
    /// Who listens: names of consumer groups.
    pub consumers: &'static [&'static str],
}

/// What the broker does with old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Deletes them after the retention.
    Delete,
}

impl Cleanup {
    /// The value of `cleanup.policy`.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Delete => "delete",
        }
    }
}

/// Which broker and which serializer a topic belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// The fleet's own broker; CloudEvents.
    Default,
    /// HS-BE's broker; bare JSON.
    External,
}

impl Topic {
    /// The topic of this name.
    pub fn find(name: &str) -> Option<&'static Topic> {
        ALL.iter().find(|it| it.name == name)
    }

    /// The event of this name, where the topic has it.
    pub fn event(&self, event_type: &str) -> Option<&'static EventSpec> {
        self.events.iter().find(|it| it.name == event_type)
    }

    /// The groups that listen to the topic, each once, in the order in which they appear.
    pub fn groups(&self) -> Vec<&'static str> {
        let mut groups = Vec::new();
        for group in self.events.iter().flat_map(|it| it.consumers) {
            if !groups.contains(group) {
                groups.push(*group);
            }
        }
        groups
    }
}

/// Where records of a topic go that a group cannot handle.
pub fn dead_letter_topic(topic: &str, group: &str) -> String {
    format!("{topic}.{group}.dlq")
}

/// Every dead-letter topic with its retention in hours.
pub fn dead_letters() -> Vec<(String, u32)> {
    let of = |topic: &'static Topic| {
        let groups = topic.groups();
        groups
            .into_iter()
            .map(move |it| (dead_letter_topic(topic.name, it), DEAD_LETTER_RETENTION_HOURS))
    };
    ALL.iter().flat_map(of).collect()
}

const fn event(
    name: &'static str,
    producers: &'static [&'static str],
    consumers: &'static [&'static str],
) -> EventSpec {
    EventSpec { name, producers, consumers }
}

const fn topic(
    name: &'static str,
    key: &'static str,
    partitions: i32,
    events: &'static [EventSpec],
) -> Topic {
    let (cleanup, client) = (Cleanup::Delete, Client::Default);
    Topic { name, key, events, partitions, retention_hours: RETENTION_HOURS, cleanup, client }
}

const fn external(name: &'static str, key: &'static str, events: &'static [EventSpec]) -> Topic {
    Topic { client: Client::External, ..topic(name, key, ENTITY, events) }
}

const ACCOUNTS: &[&str] = &["accounts"];
const ADAPTOR: &[&str] = &["rsadaptor"];
const AGENTS: &[&str] = &["rsagents"];
const CLIENT: &[&str] = &["rsclient"];
const HOMES: &[&str] = &["rsclient", "rsevents"];
const EVENTS: &[&str] = &["rsevents"];
const SYNC: &[&str] = &["rssync"];
const HS_BE: &[&str] = &["hs-be"];
const REPORTS: &[&str] = &["bucket-writer"];
const SUPERVISOR: &[&str] = &["subsystem-supervisor"];
const NOTIFICATIONS: &[&str] = &["notifications"];

/// Every topic of the fleet.
pub const ALL: &[Topic] = &[
    topic(
        "as-provision-command-topic",
        "device_id",
        ENTITY,
        &[event("PostDevice", EVENTS, ACCOUNTS), event("PatchDevice", EVENTS, ACCOUNTS)],
    ),
    topic(
        "as-provision-topic",
        "account_id",
        ENTITY,
        &[
            event("AccountCreated", ACCOUNTS, HOMES),
            event("AccountUpdated", ACCOUNTS, HOMES),
            event("AccountDeleted", ACCOUNTS, HOMES),
            event("UserCreated", ACCOUNTS, HOMES),
            event("UserUpdated", ACCOUNTS, HOMES),
            event("UserDeleted", ACCOUNTS, HOMES),
            event("DeviceCreated", ACCOUNTS, HOMES),
            event("DeviceUpdated", ACCOUNTS, HOMES),
            event("DeviceDeleted", ACCOUNTS, HOMES),
            event("ProvisionCreated", ACCOUNTS, HOMES),
            event("ProvisionUpdated", ACCOUNTS, HOMES),
            event("ProvisionDeleted", ACCOUNTS, HOMES),
        ],
    ),
    topic(
        "as-configuration-topic",
        "isp_id",
        ENTITY,
        &[
            event("ISPGlobalConfigurationsCreated", &["customconfig"], &["accounts", "rsclient"]),
            event("ISPGlobalConfigurationsUpdated", &["customconfig"], &["accounts", "rsclient"]),
        ],
    ),
    topic(
        "as-rs-provision-topic",
        "device_id (RSUserUpdated: user_id)",
        ENTITY,
        &[
            event("RSDeviceCreated", CLIENT, ADAPTOR),
            event("RSDeviceUpdated", CLIENT, ADAPTOR),
            event("RSDeviceDeleted", CLIENT, ADAPTOR),
            event("RSDeviceAction", CLIENT, ADAPTOR),
            event("RSUserUpdated", CLIENT, ADAPTOR),
            event("RSCustomFlagsUpdated", CLIENT, ADAPTOR),
            event("RSRouterUploadIntervalsUpdated", CLIENT, ADAPTOR),
        ],
    ),
    topic(
        "as-rs-system-configuration-topic",
        "isp_id",
        ENTITY,
        &[
            event("RSRouterProtectionUpdated", CLIENT, ADAPTOR),
            event("RSSystemUpdated", CLIENT, ADAPTOR),
        ],
    ),
    topic(
        "as-rs-agent-topic",
        "agent_package_id (RSAgentsUpdated, RSDefaultAgentsUpdated: isp_id)",
        ENTITY,
        &[
            event("RSAgentsUpdated", AGENTS, &["rsclient", "rsadaptor"]),
            event("RSDefaultAgentsUpdated", AGENTS, &["rsclient", "rsadaptor"]),
            event("RSAgentPackageCreated", AGENTS, &["rsclient", "rsadaptor"]),
            event("RSAgentPackageDeleted", AGENTS, &["rsclient", "rsadaptor"]),
        ],
    ),
    topic(
        "as-rs-event-topic",
        "device_id",
        ENTITY,
        &[
            event("RSDeviceEventConnected", EVENTS, ACCOUNTS),
            event("RSRouterAgentReported", EVENTS, CLIENT),
        ],
    ),
    topic(
        "as-rs-agents-request-topic",
        "task id",
        REQUEST,
        &[
            event("RSSyncAgentPackages", SYNC, AGENTS),
            event("RSSyncAgentPackagesBulk", AGENTS, AGENTS),
            event("RSCancelSync", SYNC, AGENTS),
            event("RSSyncControl", SYNC, AGENTS),
        ],
    ),
    topic(
        "as-rs-agents-reply-topic",
        "task id",
        REQUEST,
        &[
            event("RSSyncAgentPackagesReply", AGENTS, SYNC),
            event("RSSyncAgentPackagesBulkReply", AGENTS, AGENTS),
        ],
    ),
    topic(
        "as-rs-client-request-topic",
        "task id",
        REQUEST,
        &[
            event("RSSyncSystem", SYNC, CLIENT),
            event("RSSyncAccounts", SYNC, CLIENT),
            event("RSSyncAccountsBulk", CLIENT, CLIENT),
            event("RSCancelSync", SYNC, CLIENT),
            event("RSSyncControl", SYNC, CLIENT),
        ],
    ),
    topic(
        "as-rs-client-reply-topic",
        "task id",
        REQUEST,
        &[
            event("RSSyncSystemReply", CLIENT, SYNC),
            event("RSSyncAccountsReply", CLIENT, SYNC),
            event("RSSyncAccountsBulkReply", CLIENT, CLIENT),
        ],
    ),
    topic(
        "as-rs-adaptor-reply-topic",
        "task id",
        REQUEST,
        &[
            event("RSDeviceCreatedReply", ADAPTOR, CLIENT),
            event("RSAgentPackageCreatedReply", ADAPTOR, AGENTS),
            event("RSSystemReply", ADAPTOR, &["rsclient", "rsagents"]),
        ],
    ),
    topic(
        "as-subsystem-topic",
        "subsystem",
        1,
        &[event("ProductIsInstalled", CLIENT, SUPERVISOR), event("Heartbeat", CLIENT, SUPERVISOR)],
    ),
    topic(
        "as-notification-topic",
        "account_id",
        ENTITY,
        &[
            event("device_event_new_device", EVENTS, NOTIFICATIONS),
            event("device_inactive_delete_alert", ACCOUNTS, NOTIFICATIONS),
            event("device_inactive_deleted", ACCOUNTS, NOTIFICATIONS),
            event("threat_blocked", EVENTS, NOTIFICATIONS),
        ],
    ),
    topic("as-wsp-request-topic", "account_id", ENTITY, &[event("WSPRequest", EVENTS, REPORTS)]),
    external(
        "hs-event-topic",
        "device_id",
        &[
            event("device_event_connected", HS_BE, EVENTS),
            event("device_event_new_device", HS_BE, EVENTS),
            event("device_event_active", HS_BE, EVENTS),
            event("device_event_blocked", HS_BE, EVENTS),
            event("device_event_threat", HS_BE, EVENTS),
            event("router_event_agent", HS_BE, EVENTS),
        ],
    ),
    external(
        "hs-account-topic",
        "resource id",
        &[
            event("device_configuration", ADAPTOR, HS_BE),
            event("router_configuration", ADAPTOR, HS_BE),
        ],
    ),
    external(
        "hs-system-topic",
        "resource id",
        &[
            event("system_router_allowed_ip", ADAPTOR, HS_BE),
            event("system_router_dns", ADAPTOR, HS_BE),
            event("system_general", ADAPTOR, HS_BE),
            event("system_agent_versions", ADAPTOR, HS_BE),
            event("system_agent_default", ADAPTOR, HS_BE),
        ],
    ),
];
