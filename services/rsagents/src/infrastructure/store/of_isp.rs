//! The collections `agent_lists` and `default_agents`: a document for each ISP.
//!
//! Each write names the fence that was read, and raises it also where nothing else changes: who has read an older state
//! of what the document follows from cannot write it behind one who has read the newer one.

use std::collections::BTreeSet;

use chassis::mongo::is_duplicate_key;
use events::{AgentPackageId, IspId, ListedPackage, Revision, SyncScope};
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection, Database,
    bson::{Document, doc},
};
use outbox::raised;
use serde::de::DeserializeOwned;

use super::{DEFAULTS, LISTS, StoreError, to_bson};
use crate::domain::{AgentList, Defaults};

/// A cheap handle to what routers may be pointed at.
#[derive(Clone, Debug)]
pub struct AgentLists {
    documents: Collection<AgentList>,
}

/// A cheap handle to what models run by default.
#[derive(Clone, Debug)]
pub struct DefaultAgents {
    documents: Collection<Defaults>,
}

impl AgentLists {
    pub(super) fn open(database: &Database) -> Self {
        Self { documents: database.collection(LISTS) }
    }

    /// What the routers of an ISP may be pointed at.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, isp_id: &IspId) -> Result<AgentList, StoreError> {
        let found = self.documents.find_one(doc! { "_id": isp_id.as_str() }).await?;
        Ok(found.unwrap_or_else(|| AgentList::unset(isp_id.clone())))
    }

    /// Writes which packages those are, where the list is as it was read; answers whether it was. Where they are
    /// others, it is marked as untold.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn write(
        &self,
        read: &AgentList,
        packages: &[ListedPackage],
    ) -> Result<bool, StoreError> {
        let members = doc! { "packages": { "$literal": to_bson(&packages)? } };
        let is_new = packages != read.packages;
        write(&self.documents, (&read.isp_id, read.fence), members, is_new).await
    }

    /// Raises a list above `held`, which the backend has and this store knows nothing of.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn raise_past(&self, isp_id: &IspId, held: Revision) -> Result<(), StoreError> {
        raise_past(&self.documents, isp_id, held).await
    }
}

impl DefaultAgents {
    pub(super) fn open(database: &Database) -> Self {
        Self { documents: database.collection(DEFAULTS) }
    }

    /// What the routers of an ISP run where nothing else is said.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, isp_id: &IspId) -> Result<Defaults, StoreError> {
        let found = self.documents.find_one(doc! { "_id": isp_id.as_str() }).await?;
        Ok(found.unwrap_or_else(|| Defaults::unset(isp_id.clone())))
    }

    /// Writes what becomes of them, where they are as they were read; answers whether they were. Where the defaults
    /// are others, they are marked as untold.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn write(&self, read: &Defaults, next: &Defaults) -> Result<bool, StoreError> {
        let members = doc! {
            "defaults": { "$literal": to_bson(&next.defaults)? },
            "leaving": { "$literal": to_bson(&next.leaving)? },
        };
        let is_new = next.defaults != read.defaults;
        write(&self.documents, (&read.isp_id, read.fence), members, is_new).await
    }

    /// Has a package leave the defaults: none of them becomes it any more. Answers whether it does: not where it is one
    /// of them. Packages leave and stay without a look at what was read, so that many can at a time.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn leave(&self, isp_id: &IspId, id: &AgentPackageId) -> Result<bool, StoreError> {
        let is_none = doc! {
            "_id": isp_id.as_str(), "defaults.agent_package_id": { "$ne": id.as_str() },
        };
        let leave = doc! {
            "$addToSet": { "leaving": id.as_str() },
            // Also where it is leaving already: who has read that may take it for a rest.
            "$inc": { "fence": 1_i64 },
            "$setOnInsert": { "revision": 0_i64, "told": 0_i64, "defaults": [] },
        };
        match self.documents.update_one(is_none, leave).upsert(true).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate_key(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A package leaves the defaults no more.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn stay(&self, isp_id: &IspId, id: &AgentPackageId) -> Result<(), StoreError> {
        let leaving = doc! { "_id": isp_id.as_str(), "leaving": id.as_str() };
        let stay = doc! { "$pull": { "leaving": id.as_str() }, "$inc": { "fence": 1_i64 } };
        self.documents.update_one(leaving, stay).await?;
        Ok(())
    }

    /// The defaults that packages are leaving.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn being_left(&self, limit: i64) -> Result<Vec<Defaults>, StoreError> {
        let found = self.documents.find(doc! { "leaving.0": { "$exists": true } });
        Ok(found.limit(limit).await?.try_collect().await?)
    }

    /// Raises the defaults of an ISP above `held`, which the backend has and this store knows nothing of.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn raise_past(&self, isp_id: &IspId, held: Revision) -> Result<(), StoreError> {
        raise_past(&self.documents, isp_id, held).await
    }

    /// The ISPs of a scope that have ever set any.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn isps(&self, scope: &SyncScope) -> Result<BTreeSet<IspId>, StoreError> {
        let mut filter = doc! { "revision": { "$gt": 0_i64 } };
        if let Some(isp_id) = &scope.isp_id {
            filter.insert("_id", isp_id.as_str());
        }
        let found = self.documents.distinct("_id", filter).await?;
        Ok(found.iter().filter_map(|it| it.as_str()?.parse().ok()).collect())
    }
}

async fn write<T: DeserializeOwned + Send + Sync>(
    documents: &Collection<T>,
    (isp_id, fence): (&IspId, i64),
    members: Document,
    is_new: bool,
) -> Result<bool, StoreError> {
    let mut set = match is_new {
        true => raised(0),
        false => doc! {
            "revision": { "$ifNull": ["$revision", 0_i64] },
            "told": { "$ifNull": ["$told", 0_i64] },
        },
    };
    set.insert("fence", fence + 1);
    set.extend(members);
    // Nothing was there where the fence is 0.
    let mut as_read = doc! { "_id": isp_id.as_str(), "fence": fence };
    if fence == 0 {
        as_read.insert("fence", doc! { "$exists": false });
    }
    let written = documents.update_one(as_read, vec![doc! { "$set": set }]).upsert(fence == 0);
    match written.await {
        Ok(written) => Ok(written.matched_count == 1 || written.upserted_id.is_some()),
        Err(error) if is_duplicate_key(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn raise_past<T: DeserializeOwned + Send + Sync>(
    documents: &Collection<T>,
    isp_id: &IspId,
    held: Revision,
) -> Result<(), StoreError> {
    let below = doc! { "_id": isp_id.as_str(), "revision": { "$lt": held.as_i64() } };
    let raise = vec![doc! { "$set": raised(held.as_i64() + 1) }];
    documents.update_one(below, raise).await?;
    Ok(())
}
