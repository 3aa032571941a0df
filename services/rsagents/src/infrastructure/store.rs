//! The collection `agent_packages`: a document for each package, with its `agent_package_id` as `_id` too.
//!
//! Every write is one conditional write of one document: it takes effect where what is held is not newer.

use std::time::Duration;

use chassis::mongo::is_duplicate_key;
use events::{AgentPackage, AgentPackageId, Revision, SyncScope};
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{DateTime, Document, doc, serialize_to_document},
    error::Result,
    options::IndexOptions,
};

use crate::domain::Package;

/// A cheap handle to the packages.
#[derive(Clone, Debug)]
pub struct Packages {
    documents: Collection<Package>,
    tombstone_life: Duration,
}

impl Packages {
    /// Makes the indexes that the queries rely on. Tombstones are kept for `tombstone_life`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open(database: &Database, tombstone_life: Duration) -> Result<Self> {
        let documents = database.collection("agent_packages");
        let of_isp = IndexModel::builder().keys(doc! { "isp_id": 1, "_id": 1 }).build();
        let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
        let expiry = IndexModel::builder().keys(doc! { "expire_at": 1 }).options(options).build();
        documents.create_indexes([of_isp, expiry]).await?;
        Ok(Self { documents, tombstone_life })
    }

    /// Writes a package, unless something newer is held; answers whether it did.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn save(&self, package: &AgentPackage) -> Result<bool> {
        let held = Package { package: package.clone(), deleted: false };
        let update = doc! { "$set": serialize_to_document(&held)?, "$unset": { "expire_at": "" } };
        let (id, revision) = (package.agent_package_id.as_str(), package.revision.as_i64());
        let older = doc! { "_id": id, "isp_id": package.isp_id.as_str(), "$or": [
            { "revision": { "$lt": revision } },
            { "revision": revision, "deleted": false },
        ] };
        match self.documents.update_one(older, update).upsert(true).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate_key(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Remembers that a package is gone, unless something newer is held; answers whether it did.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn remove(&self, id: &AgentPackageId, revision: Revision) -> Result<bool> {
        let end = DateTime::now().timestamp_millis();
        let life = i64::try_from(self.tombstone_life.as_millis()).unwrap_or(i64::MAX);
        let expire_at = DateTime::from_millis(end.saturating_add(life));
        let revision = revision.as_i64();
        let older = doc! { "_id": id.as_str(), "revision": { "$lte": revision } };
        let gone = doc! { "revision": revision, "deleted": true, "expire_at": expire_at };
        let written = self.documents.update_one(older, doc! { "$set": gone }).await?;
        Ok(written.matched_count == 1)
    }

    /// Packages by their ids, in no order.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn find(&self, ids: &[&str]) -> Result<Vec<Package>> {
        self.documents.find(doc! { "_id": { "$in": ids } }).await?.try_collect().await
    }

    /// The ids of packages that a full sync covers, behind `after` and up to `up_to`, at most `limit` of them.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn page(
        &self,
        scope: &SyncScope,
        after: Option<&str>,
        up_to: Option<&str>,
        limit: u64,
    ) -> Result<Vec<String>> {
        let Some(filter) = covered(scope, after, up_to) else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let ids = self.documents.clone_with_type::<Document>();
        let found = ids.find(filter).projection(doc! { "_id": 1 });
        let found = found.sort(doc! { "_id": 1 }).limit(limit).await?;
        let found: Vec<Document> = found.try_collect().await?;
        Ok(found.iter().filter_map(|it| it.get_str("_id").ok().map(str::to_owned)).collect())
    }

    /// How many packages a full sync covers behind `after`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn count(&self, scope: &SyncScope, after: Option<&str>) -> Result<u64> {
        match covered(scope, after, None) {
            Some(filter) => self.documents.count_documents(filter).await,
            None => Ok(0),
        }
    }

    /// Raises a package past `held`, which the backend has and this store knows nothing of. Answers whether the
    /// package is to be sent again: so it is, too, where it was raised past the same before.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn raise_past(&self, id: &str, held: Revision, now_ms: i64) -> Result<bool> {
        let held = held.as_i64();
        let unknown = doc! { "_id": id, "$or": [
            { "revision": { "$lt": held } },
            { "raised_past": held },
        ] };
        let past =
            doc! { "$max": { "revision": now_ms.max(held + 1) }, "$set": { "raised_past": held } };
        Ok(self.documents.update_one(unknown, past).await?.matched_count == 1)
    }
}

/// Packages belong to an ISP, not to its accounts: a scope of one account covers none.
fn covered(scope: &SyncScope, after: Option<&str>, up_to: Option<&str>) -> Option<Document> {
    let SyncScope { isp_id, account_id, model } = scope;
    if account_id.is_some() {
        return None;
    }
    let mut filter = Document::new();
    if let Some(isp_id) = isp_id {
        filter.insert("isp_id", isp_id.as_str());
    }
    if let Some(model) = model {
        filter.insert("models", model.as_str());
    }
    let mut ids = Document::new();
    ids.extend(after.map(|it| ("$gt".to_owned(), it.into())));
    ids.extend(up_to.map(|it| ("$lte".to_owned(), it.into())));
    if !ids.is_empty() {
        filter.insert("_id", ids);
    }
    Some(filter)
}
