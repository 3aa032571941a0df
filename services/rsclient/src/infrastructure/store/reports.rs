//! The collection `router_agents`: what routers have reported last of the software that they tried to install.

use std::time::Duration;

use events::{AgentPackageId, DeviceId, InstallationStatus, IspId, RouterAgentReported};
use mongodb::{
    Collection, Database,
    bson::{DateTime, doc},
};
use serde::{Deserialize, Serialize};

use super::{StoreError, Written, expiry, forgotten_after, to_bson, write};

/// How long a report is kept: longer than any rollout lasts.
const LIFE: Duration = Duration::from_secs(400 * 86_400);

/// What a router has reported last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The router.
    #[serde(rename = "_id")]
    pub id: DeviceId,
    /// The tenant.
    pub isp_id: IspId,
    /// The package.
    pub agent_package_id: AgentPackageId,
    /// How it went.
    pub status: InstallationStatus,
    /// When the router says that it was, in Unix milliseconds: the order between two reports.
    pub at_ms: i64,
    /// When it was heard of here, in Unix milliseconds.
    pub heard_at_ms: i64,
}

/// A cheap handle to the reports.
#[derive(Clone)]
pub struct Reports {
    documents: Collection<Report>,
}

impl Reports {
    pub(super) async fn open(database: &Database) -> Result<Self, StoreError> {
        let documents = database.collection("router_agents");
        documents.create_indexes([expiry()]).await?;
        Ok(Self { documents })
    }

    /// Writes what a router reports, unless it has reported this or something later. Of equal times the one counts that
    /// is said last.
    ///
    /// # Errors
    /// The store does not answer, or the router is another ISP's.
    pub async fn save(&self, said: &RouterAgentReported) -> Result<Written, StoreError> {
        let at_ms = said.at.instant().as_millisecond();
        let (package, status) = (said.agent_package_id.as_str(), to_bson(&said.status)?);
        let guard = doc! { "$or": [
            { "at_ms": { "$lt": at_ms } },
            { "at_ms": at_ms, "agent_package_id": { "$ne": package } },
            { "at_ms": at_ms, "status": { "$ne": status.clone() } },
            { "at_ms": { "$exists": false } },
        ] };
        let update = doc! { "$set": {
            "agent_package_id": package,
            "status": status,
            "error": said.error.as_ref().map(events::Text::as_str),
            "at_ms": at_ms,
            "heard_at_ms": DateTime::now().timestamp_millis(),
            "expire_at": forgotten_after(LIFE),
        } };
        write(&self.documents, said.device_id.as_str(), &said.isp_id, guard, update).await
    }

    /// What these routers have reported, in the order of their ids.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, ids: &[DeviceId]) -> Result<Vec<Report>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
        super::these(&self.documents, &ids).await
    }
}
