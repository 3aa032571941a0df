//! The collection `service_configurations`.

use events::{IspConfiguration, IspId};
use futures_util::TryStreamExt;
use mongodb::{Collection, Database, bson::doc};

use super::{StoreError, Written, to_bson, write};
use crate::domain::Configuration;

/// A cheap handle to what ISPs say for all of their accounts.
#[derive(Clone)]
pub struct Configurations {
    documents: Collection<Configuration>,
}

impl Configurations {
    pub(super) fn open(database: &Database) -> Self {
        Self { documents: database.collection("service_configurations") }
    }

    /// Writes what an ISP says, unless something newer is held.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn save(&self, said: &IspConfiguration) -> Result<Written, StoreError> {
        let revision = said.revision.as_i64();
        let update = doc! { "$set": {
            "revision": revision,
            "services": to_bson(&said.services)?,
            "rules": to_bson(&said.rules)?,
        } };
        let guard = doc! { "revision": { "$lte": revision } };
        write(&self.documents, said.isp_id.as_str(), &said.isp_id, guard, update).await
    }

    /// What these ISPs say.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, isp_ids: &[&IspId]) -> Result<Vec<Configuration>, StoreError> {
        let ids: Vec<&str> = isp_ids.iter().map(|it| it.as_str()).collect();
        Ok(self.documents.find(doc! { "_id": { "$in": ids } }).await?.try_collect().await?)
    }
}
