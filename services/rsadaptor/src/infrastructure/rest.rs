//! The REST face, for services of the fleet alone: what is known of a resource.

use auth::{Caller, INTERNAL, Verifier};
use axum::{
    Router,
    extract::{FromRef, Path, State, rejection::PathRejection},
    routing::get,
};
use eventbus::{Inspector, WaitingRecord};
use events::{
    AgentPackageId, DeviceId, IspId, RsAgentEvent, RsProvisioningEvent, RsSystemEvent,
    TopicEvent as _,
};
use hs_admin::SystemDocument;
use jiff::Timestamp;
use problem::{Json, Kind as ProblemKind, Problem, no_such_method, no_such_path};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    rejections::Rejection,
    store::{Described, StoreError},
};
use crate::{app::App, domain::Subject};

/// What the routes reach for.
#[derive(Clone)]
pub struct Resources {
    /// The service.
    pub app: App,
    /// What says which records wait.
    pub inspector: Inspector,
    /// Whose tokens are taken.
    pub verifier: Verifier,
}

impl FromRef<Resources> for Verifier {
    fn from_ref(resources: &Resources) -> Self {
        resources.verifier.clone()
    }
}

/// `GET /resources/{resource_id}`: what is applied of a resource, what waits, and what was rejected last. The id is that
/// of a device, `<router>~flags`, `package~<package>` or `system/<isp>/<document>`. Of a resource that nobody has heard
/// of, all of that is nothing.
pub fn router(resources: Resources) -> Router {
    Router::new()
        .route("/resources/{*resource_id}", get(show))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .with_state(resources)
}

/// What is asked for.
struct Asked {
    /// The row's id.
    row: String,
    /// Whether it is the flags of a router.
    is_flags: bool,
    /// The key of its records.
    key: String,
    /// Where they travel.
    topics: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Shown {
    resource: String,
    applied: Option<ShownApplied>,
    waiting: Vec<ShownRecord>,
    circuit: ShownCircuit,
    last_rejection: Option<ShownRejection>,
}

#[derive(Debug, Serialize)]
struct ShownApplied {
    kind: &'static str,
    revision: u64,
    /// `applied`, `deleted`, or `unknown` where a call without a known end may have changed what the backend holds.
    status: &'static str,
    at: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownRecord {
    topic: String,
    partition: i32,
    offset: i64,
    key: String,
    since: String,
    attempts: u32,
    reason: String,
}

#[derive(Debug, Serialize)]
struct ShownCircuit {
    state: &'static str,
    since: Option<String>,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownRejection {
    revision: u64,
    http_status: Option<u16>,
    error: String,
    at: String,
}

async fn show(
    State(Resources { app, inspector, .. }): State<Resources>,
    caller: Caller,
    resource: Result<Path<String>, PathRejection>,
) -> Result<Json<Shown>, Problem> {
    caller.require(INTERNAL)?;
    let no_such = || Problem::new(ProblemKind::NotFound, "that is the id of no resource");
    let Path(resource) = resource.map_err(|_| no_such())?;
    let asked = asked(&resource).ok_or_else(no_such)?;
    let described = app.applied.describe(&asked.row).await.map_err(unavailable)?;
    let waiting = inspector.waiting(&asked.key).into_iter();
    let waiting = waiting.filter(|it| asked.topics.contains(&it.topic.as_str()));
    Ok(Json(Shown {
        applied: described.and_then(|it| applied(&it, asked.is_flags)),
        waiting: waiting.map(ShownRecord::from).collect(),
        circuit: circuit(&app),
        last_rejection: app.rejections.of(&resource).map(ShownRejection::from),
        resource,
    }))
}

fn asked(resource: &str) -> Option<Asked> {
    let agents = RsAgentEvent::topic().name;
    if let Some(rest) = resource.strip_prefix("system/") {
        let (isp_id, name) = rest.split_once('/')?;
        let isp_id: IspId = isp_id.parse().ok()?;
        let document = SystemDocument::ALL.into_iter().find(|it| it.as_str() == name)?;
        let row = Subject::System(&isp_id, document).key().into_owned();
        let topics = vec![RsSystemEvent::topic().name, agents];
        return Some(Asked { row, is_flags: false, key: isp_id.into(), topics });
    }
    if let Some(id) = resource.strip_prefix("package~") {
        let id: AgentPackageId = id.parse().ok()?;
        let row = Subject::Package(&id).key().into_owned();
        return Some(Asked { row, is_flags: false, key: id.into(), topics: vec![agents] });
    }
    let (id, is_flags) = match resource.strip_suffix("~flags") {
        Some(router) => (router, true),
        None => (resource, false),
    };
    let id: DeviceId = id.parse().ok()?;
    let topics = vec![RsProvisioningEvent::topic().name];
    Some(Asked { row: id.to_string(), is_flags, key: id.into(), topics })
}

fn applied(described: &Described, is_flags: bool) -> Option<ShownApplied> {
    let (applied, text) = (&described.applied, |it: Timestamp| it.to_string());
    if is_flags {
        let flags = applied.flags.as_ref()?;
        let status = match (applied.has_no_flags(), &flags.hash) {
            (true, _) => "deleted",
            (false, Some(_)) => "applied",
            (false, None) => "unknown",
        };
        let (kind, revision, at) = ("flags", flags.revision.get(), described.flags_at.map(text));
        return Some(ShownApplied { kind, revision, status, at });
    }
    let status = match (&applied.hash, applied.tombstone) {
        (None, _) => "unknown",
        (Some(_), true) => "deleted",
        (Some(_), false) => "applied",
    };
    let (kind, revision) = (applied.kind.as_str(), applied.revision.get());
    Some(ShownApplied { kind, revision, status, at: described.at.map(text) })
}

fn circuit(app: &App) -> ShownCircuit {
    match app.backend.stopped_since() {
        None => ShownCircuit { state: "closed", since: None, reason: None },
        Some((since, why)) => {
            let since = Timestamp::now() - Instant::now().saturating_duration_since(since);
            ShownCircuit { state: "open", since: Some(since.to_string()), reason: Some(why) }
        }
    }
}

impl From<WaitingRecord> for ShownRecord {
    fn from(it: WaitingRecord) -> Self {
        let WaitingRecord { topic, partition, offset, key, since, attempts, reason } = it;
        Self { topic, partition, offset, key, since: since.to_string(), attempts, reason }
    }
}

impl From<Rejection> for ShownRejection {
    fn from(it: Rejection) -> Self {
        let Rejection { revision, http_status, error, at } = it;
        Self { revision: revision.get(), http_status, error, at: at.to_string() }
    }
}

fn unavailable(error: StoreError) -> Problem {
    Problem::new(ProblemKind::Unavailable, format!("{:#}", anyhow::Error::new(error)))
}
