//! Values of the fleet's words, as the documents describe them. Nothing is ever made of these types: they stand where
//! the code has its own, whose crates know nothing of OpenAPI.
#![allow(missing_docs, reason = "the names say it, and a field's words would go into the document")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// The id of an entity.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9_.:-]{1,64}$", example = "isp-1")]
pub struct Id(pub String);

/// A text without control characters.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 1024)]
pub struct Text(pub String);

/// A moment (RFC 3339, UTC).
#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-21T10:00:00Z")]
pub struct Time(pub String);

/// Which homes a sync covers; without any member all of them.
#[derive(ToSchema)]
pub struct SyncScope {
    pub isp_id: Option<Id>,
    pub account_id: Option<Id>,
    /// Routers of this model alone.
    pub model: Option<Text>,
}

/// What a sync sends.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum SyncMode {
    /// Everything, also what would change nothing.
    Force,
    /// What would change something.
    Delta,
}

/// What became of a sync's devices, agent packages and documents.
#[derive(ToSchema)]
pub struct SyncCounts {
    pub total: u64,
    pub applied: u64,
    pub unchanged: u64,
    pub superseded: u64,
    pub gone: u64,
    pub rejected: u64,
    pub not_sent: u64,
    pub unknown: u64,
}

/// Order between two states of an entity; it only grows.
#[derive(ToSchema)]
#[schema(value_type = u64, minimum = 0, maximum = 9007199254740991_u64)]
pub struct Revision(pub u64);

/// Router or not.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum DeviceKind {
    Router,
    Device,
}

/// A command to a device.
#[derive(ToSchema)]
pub struct Action {
    pub id: Text,
    pub name: ActionName,
    /// After this the command is dropped.
    pub expires_at: Time,
}

/// What a device can be told to do.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum ActionName {
    Block,
    Unblock,
    Reboot,
    Rescan,
}

/// A domain name in lower-case ASCII (IDNA).
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 253, example = "example.org")]
pub struct DomainName(pub String);

/// An absolute address of HTTP.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 2048, example = "https://isp.example/blocked")]
pub struct HttpUrl(pub String);

/// What a rule does.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum RuleAction {
    Allow,
    Block,
}

/// Who has set a rule.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Level {
    Device,
    User,
    Account,
    Isp,
}

/// A kind of content.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum Category {
    Adult,
    Chat,
    Dating,
    Drugs,
    Gambling,
    Games,
    MalwareRisk,
    Proxies,
    Social,
    Streaming,
    Violence,
    Weapons,
}

/// A day of the week.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time of day.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "21:00")]
pub struct TimeOfDay(pub String);

/// A time of the week in which content is filtered.
#[derive(ToSchema)]
pub struct Schedule {
    pub name: Text,
    /// The days on which it begins.
    #[schema(min_items = 1, max_items = 7)]
    pub days: Vec<Day>,
    pub from: TimeOfDay,
    /// Before `from` means on the next day.
    pub to: TimeOfDay,
    /// A name of the IANA database.
    #[schema(example = "Europe/Madrid")]
    pub timezone: String,
}

/// The configuration that holds for a device, as it is published.
#[derive(ToSchema)]
#[schema(value_type = Object)]
pub struct Configuration(pub ());

/// A switch, a list, a text or null: the leaf that it belongs to says which.
#[derive(ToSchema)]
#[schema(value_type = serde_json::Value)]
pub struct Anything(pub serde_json::Value);

/// An IP address.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 45, example = "192.0.2.53")]
pub struct Ip(pub String);

/// A network, or a single address.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 49, example = "198.51.100.0/24")]
pub struct IpNetwork(pub String);

/// Protection of routers.
#[derive(ToSchema)]
pub struct RouterProtection {
    pub enabled: bool,
    /// Where blocked traffic goes.
    #[schema(required)]
    pub block_page_ip: Option<Ip>,
}

/// Name servers.
#[derive(ToSchema)]
pub struct DnsAllowedList {
    #[schema(max_items = 1000)]
    pub dns_allowed_list: Vec<Ip>,
}

/// Networks.
#[derive(ToSchema)]
pub struct AllowedList {
    #[schema(max_items = 1000)]
    pub allowed_list: Vec<IpNetwork>,
}

/// Protection inside a home's network.
#[derive(ToSchema)]
pub struct LanProtection {
    pub enabled: bool,
    /// Things that nobody sits at reach no other device.
    pub isolate_iot: bool,
    /// Forged ARP answers are dropped.
    pub arp_guard: bool,
}

/// What experts set.
#[derive(ToSchema)]
pub struct AdvancedConfiguration {
    pub log_level: LogLevel,
    pub telemetry: bool,
    /// Feature by feature, whether it is on.
    pub features: BTreeMap<String, bool>,
}

/// How much is logged.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Who is to run an agent package.
#[derive(ToSchema)]
pub struct PackageUsers {
    /// Single routers.
    #[schema(max_items = 1000)]
    pub routers: Vec<Id>,
    #[schema(max_items = 1000)]
    pub groups: Vec<RouterGroup>,
}

/// Routers of a model, all or those that want a version.
#[derive(ToSchema)]
pub struct RouterGroup {
    pub model: Text,
    #[schema(required)]
    pub target_version: Option<Text>,
}
