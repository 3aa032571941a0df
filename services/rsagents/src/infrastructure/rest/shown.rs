//! Packages as callers see them.

use std::collections::BTreeMap;

use events::{AgentPackageId, AgentPackageState, Bounded, Count, HttpUrl, IspId, Revision, Text};
use openapi::schema;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{BackendWord, Package};

/// A release of the agent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AgentPackage {
    #[schema(value_type = schema::Id)]
    agent_package_id: AgentPackageId,
    #[schema(value_type = schema::Id)]
    isp_id: IspId,
    #[schema(value_type = schema::Revision)]
    revision: Revision,
    /// A semantic version.
    #[schema(value_type = schema::Text)]
    version: Text,
    /// The models of routers that it runs on.
    #[schema(value_type = Vec<schema::Text>)]
    models: Bounded<Text>,
    /// Where routers fetch it.
    #[schema(value_type = schema::HttpUrl)]
    url: HttpUrl,
    /// What it hashes to, hexadecimal.
    #[schema(value_type = String)]
    sha256: Text,
    #[schema(value_type = u64)]
    size_bytes: Count,
    /// Its maker's signature.
    signature: String,
    #[schema(value_type = PackageState)]
    state: AgentPackageState,
    /// Whether somebody wants it deleted, and that is not over.
    deleting: bool,
    /// Whether routers may be pointed at it: its state allows it, and the backend holds it.
    listed: bool,
    backend: Backend,
}

/// What the backend said of a package last.
#[derive(Debug, Serialize, ToSchema)]
struct Backend {
    status: BackendStatus,
    /// What it answered, where it refused the package.
    http_status: Option<u16>,
    /// Why it did.
    error: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BackendStatus {
    /// It has not been told yet, or has not answered.
    Waiting,
    /// It holds the package.
    Applied,
    /// It does not take it.
    Refused,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PackagePage {
    items: Vec<AgentPackage>,
    /// Where the next page begins, as `cursor`; nothing on the last one.
    next: Option<String>,
}

/// What routers run where nothing else is said.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DefaultAgents {
    /// A package for each model.
    #[schema(value_type = BTreeMap<String, schema::Id>, example = json!({"hg-8000": "p-1"}))]
    pub(super) defaults: BTreeMap<Text, AgentPackageId>,
}

impl From<Package> for AgentPackage {
    fn from(held: Package) -> Self {
        let (deleting, listed) = (held.deleting.is_some(), held.is_listed());
        let (backend, it) = (Backend::of(&held), held.package);
        Self {
            agent_package_id: it.agent_package_id,
            isp_id: it.isp_id,
            revision: it.revision,
            version: it.version,
            models: it.models,
            url: it.url,
            sha256: it.sha256,
            size_bytes: it.size_bytes,
            signature: it.signature,
            state: it.state,
            deleting,
            listed,
            backend,
        }
    }
}

impl Backend {
    fn of(held: &Package) -> Self {
        match &held.backend {
            Some(BackendWord::Refused { http_status, error, .. }) => Self {
                status: BackendStatus::Refused,
                http_status: *http_status,
                error: error.clone(),
            },
            Some(BackendWord::Applied { .. }) if held.is_applied() => {
                Self { status: BackendStatus::Applied, http_status: None, error: None }
            }
            Some(BackendWord::Applied { .. }) | None => {
                Self { status: BackendStatus::Waiting, http_status: None, error: None }
            }
        }
    }
}

impl PackagePage {
    /// The packages of a page, and behind which one there are more.
    pub(super) fn of(packages: Vec<Package>, next: Option<AgentPackageId>) -> Self {
        let items = packages.into_iter().map(AgentPackage::from).collect();
        Self { items, next: next.map(String::from) }
    }
}

/// Where in its life a package is: from draft to released, deprecated and revoked, and never back.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "it stands in the document for a type that knows nothing of it")]
pub(super) enum PackageState {
    /// It may still become other software; no router may run it.
    Draft,
    /// Routers may run it.
    Released,
    /// Routers that run it go on.
    Deprecated,
    /// No router may run it.
    Revoked,
}

/// A package as it is made, or said anew. `signature` is of these lines, each ended by a line feed:
/// `routersecure agent package`, the version, the SHA-256, the size.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it stands in the document for what is read member by member")]
pub(super) struct PackageBody {
    /// A semantic version.
    #[schema(max_length = 64, example = "4.2.0")]
    version: String,
    /// The models of routers that it runs on.
    #[schema(min_items = 1, max_items = 50)]
    models: Vec<String>,
    /// Where routers fetch it.
    url: schema::HttpUrl,
    /// What it hashes to.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    #[schema(minimum = 1, maximum = 9007199254740991_u64)]
    size_bytes: u64,
    /// Ed25519, in Base64.
    #[schema(pattern = "^[A-Za-z0-9+/_=-]{1,128}$")]
    signature: String,
    /// Without it a new package is a draft; who replaces one says it.
    #[schema(nullable = false)]
    state: Option<PackageState>,
}

/// What changes of a package; what is absent stays.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it stands in the document for what is read member by member")]
pub(super) struct PackagePatch {
    #[schema(nullable = false, max_length = 64, example = "4.2.0")]
    version: Option<String>,
    #[schema(nullable = false, min_items = 1, max_items = 50)]
    models: Option<Vec<String>>,
    #[schema(nullable = false)]
    url: Option<schema::HttpUrl>,
    #[schema(nullable = false, pattern = "^[0-9a-f]{64}$")]
    sha256: Option<String>,
    #[schema(nullable = false, minimum = 1, maximum = 9007199254740991_u64)]
    size_bytes: Option<u64>,
    #[schema(nullable = false, pattern = "^[A-Za-z0-9+/_=-]{1,128}$")]
    signature: Option<String>,
    #[schema(nullable = false)]
    state: Option<PackageState>,
}
