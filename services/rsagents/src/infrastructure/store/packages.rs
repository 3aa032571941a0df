//! The collection `agent_packages`: a document for each package, with its `agent_package_id` as `_id` too.

use std::{collections::BTreeSet, time::Duration};

use chassis::mongo::is_duplicate_key;
use events::{AgentPackage, AgentPackageId, AgentPackageState, IspId, Revision, SyncScope};
use futures_util::TryStreamExt as _;
use mongodb::{
    Collection, Database, IndexModel,
    bson::{DateTime, Document, doc},
    options::{IndexOptions, ReturnDocument},
};
use outbox::raised;

use super::{PACKAGES, StoreError, to_bson};
use crate::domain::{BackendWord, Deleting, Package, State};

/// A cheap handle to the packages.
#[derive(Clone, Debug)]
pub struct Packages {
    documents: Collection<Package>,
    tombstone_life: Duration,
}

/// What became of a package that was to be new.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// It is written.
    Yes(Package),
    /// There is one of that id.
    Held(Package),
}

/// Which packages of an ISP are asked for.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In this state alone.
    pub state: Option<AgentPackageState>,
    /// For routers of this model alone.
    pub model: Option<String>,
    /// Behind this id.
    pub after: Option<String>,
    /// Most of them.
    pub limit: u32,
}

impl Packages {
    pub(super) async fn open(database: &Database, life: Duration) -> Result<Self, StoreError> {
        let documents = database.collection(PACKAGES);
        let of_isp = IndexModel::builder().keys(doc! { "isp_id": 1, "_id": 1 }).build();
        let options = IndexOptions::builder().expire_after(Duration::ZERO).build();
        let expiry = IndexModel::builder().keys(doc! { "expire_at": 1 }).options(options).build();
        let options = IndexOptions::builder().sparse(true).build();
        let deleting =
            IndexModel::builder().keys(doc! { "deleting.since": 1 }).options(options).build();
        documents.create_indexes([of_isp, expiry, deleting]).await?;
        Ok(Self { documents, tombstone_life: life })
    }

    /// Writes a package of which nothing is known and marks it as untold. Its revision is made here.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn create(&self, package: &AgentPackage) -> Result<Created, StoreError> {
        let id = package.agent_package_id.as_str();
        let nobody = doc! { "_id": id, "revision": { "$exists": false } };
        let mut members = content(package)?;
        members.insert("agent_package_id", id);
        members.insert("isp_id", package.isp_id.as_str());
        members.insert("deleted", false);
        let change = change(members, true);
        let written = self.documents.find_one_and_update(nobody, change).upsert(true);
        match written.return_document(ReturnDocument::After).await {
            Ok(Some(created)) => Ok(Created::Yes(created)),
            Ok(None) => Err(StoreError::Contended { id: id.to_owned() }),
            Err(error) if is_duplicate_key(&error) => {
                let held = self.find_one(&package.agent_package_id).await?;
                held.map(Created::Held).ok_or_else(|| StoreError::Contended { id: id.to_owned() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what has become of a package and marks it as untold, where it is as it was read and nobody deletes it.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn change(
        &self,
        read: &Package,
        next: &AgentPackage,
        is_other_software: bool,
    ) -> Result<Option<Package>, StoreError> {
        let change = change(content(next)?, is_other_software);
        let written = self.documents.find_one_and_update(unchanged(read), change);
        Ok(written.return_document(ReturnDocument::After).await?)
    }

    /// Remembers what the backend said of a package, unless it has said something of a later state.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn note(&self, id: &AgentPackageId, word: &BackendWord) -> Result<(), StoreError> {
        let revision = word.revision().as_i64();
        let older = doc! { "_id": id.as_str(), "$or": [
            { "backend": { "$exists": false } },
            { "backend": null },
            { "backend.revision": { "$lte": revision } },
        ] };
        let note = doc! { "$set": { "backend": to_bson(word)? } };
        self.documents.update_one(older, note).await?;
        Ok(())
    }

    /// Remembers that somebody wants a package deleted, where it is as it was read.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn begin_deleting(
        &self,
        read: &Package,
        deleting: &Deleting,
    ) -> Result<bool, StoreError> {
        let begin = doc! { "$set": { "deleting": to_bson(deleting)? } };
        Ok(self.documents.update_one(unchanged(read), begin).await?.matched_count == 1)
    }

    /// Joins a deletion that somebody is at already; answers whether it is not over.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn join_deleting(
        &self,
        id: &AgentPackageId,
        attempt: &str,
    ) -> Result<bool, StoreError> {
        let join = doc! { "$addToSet": { "deleting.attempts": attempt } };
        Ok(self.documents.update_one(deleted_by_somebody(id), join).await?.matched_count == 1)
    }

    /// Takes attempts at a deletion back; answers whether those were the last.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn take_back(
        &self,
        id: &AgentPackageId,
        attempts: &[String],
    ) -> Result<bool, StoreError> {
        let others = doc! { "$filter": {
            "input": { "$ifNull": ["$deleting.attempts", []] },
            "cond": { "$not": [{ "$in": ["$$this", attempts] }] },
        } };
        let is_last = doc! { "$eq": ["$deleting.attempts", []] };
        let take = vec![
            doc! { "$set": { "deleting.attempts": others } },
            doc! { "$set": { "deleting": { "$cond": [is_last, "$$REMOVE", "$deleting"] } } },
        ];
        let left = self.documents.find_one_and_update(deleted_by_somebody(id), take);
        let left = left.return_document(ReturnDocument::After).await?;
        Ok(left.is_some_and(|it| it.deleting.is_none()))
    }

    /// Makes a tombstone of a package and marks it as untold; answers whether anybody was still at its deletion.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn entomb(&self, id: &AgentPackageId) -> Result<bool, StoreError> {
        let end = DateTime::now().timestamp_millis();
        let life = i64::try_from(self.tombstone_life.as_millis()).unwrap_or(i64::MAX);
        let mut set = raised(0);
        set.insert("deleted", true);
        set.insert("expire_at", DateTime::from_millis(end.saturating_add(life)));
        let entomb = vec![doc! { "$set": set }];
        let written = self.documents.update_one(deleted_by_somebody(id), entomb).await?;
        Ok(written.matched_count == 1)
    }

    /// Remembers that a deletion is over.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn end_deleting(&self, id: &AgentPackageId) -> Result<(), StoreError> {
        let gone = doc! { "_id": id.as_str(), "deleted": true };
        self.documents.update_one(gone, doc! { "$unset": { "deleting": "" } }).await?;
        Ok(())
    }

    /// The packages whose deletion began before this moment, in Unix milliseconds, and is not over.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn deleting_since(
        &self,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Package>, StoreError> {
        let found = self.documents.find(doc! { "deleting.since": { "$lte": before } });
        let found = found.sort(doc! { "deleting.since": 1 }).limit(limit).await?;
        Ok(found.try_collect().await?)
    }

    /// A package, or what is remembered of it.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find_one(&self, id: &AgentPackageId) -> Result<Option<Package>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": id.as_str() }).await?)
    }

    /// Packages by their ids, in no order.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, ids: &[&str]) -> Result<Vec<Package>, StoreError> {
        Ok(self.documents.find(doc! { "_id": { "$in": ids } }).await?.try_collect().await?)
    }

    /// Packages of an ISP in the order of their ids.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn of_isp(&self, isp_id: &IspId, page: &Page) -> Result<Vec<Package>, StoreError> {
        let mut filter = doc! { "isp_id": isp_id.as_str(), "deleted": false };
        if let Some(after) = &page.after {
            filter.insert("_id", doc! { "$gt": after });
        }
        if let Some(state) = page.state {
            filter.insert("state", State(state).as_str());
        }
        if let Some(model) = &page.model {
            filter.insert("models", model);
        }
        let found = self.documents.find(filter).sort(doc! { "_id": 1 });
        Ok(found.limit(page.limit.into()).await?.try_collect().await?)
    }

    /// The packages of an ISP that its routers may be pointed at, in the order of their ids.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn listed(&self, isp_id: &IspId) -> Result<Vec<Package>, StoreError> {
        let filter = doc! {
            "isp_id": isp_id.as_str(), "deleted": false, "backend.said": "applied",
        };
        let found = self.documents.find(filter).sort(doc! { "_id": 1 }).await?;
        let found: Vec<Package> = found.try_collect().await?;
        Ok(found.into_iter().filter(Package::is_listed).collect())
    }

    /// How many packages an ISP has.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn count_of(&self, isp_id: &IspId) -> Result<u64, StoreError> {
        let filter = doc! { "isp_id": isp_id.as_str(), "deleted": false };
        Ok(self.documents.count_documents(filter).await?)
    }

    /// The ids of packages that a full sync covers, behind `after` and up to `up_to`, at most `limit` of them.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn page(
        &self,
        scope: &SyncScope,
        (after, up_to): (Option<&str>, Option<&str>),
        limit: u64,
    ) -> Result<Vec<String>, StoreError> {
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
    /// The store does not answer.
    pub async fn count(&self, scope: &SyncScope, after: Option<&str>) -> Result<u64, StoreError> {
        match covered(scope, after, None) {
            Some(filter) => Ok(self.documents.count_documents(filter).await?),
            None => Ok(0),
        }
    }

    /// The ISPs of a scope that have packages, or had some that are remembered.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn isps(&self, scope: &SyncScope) -> Result<BTreeSet<IspId>, StoreError> {
        let Some(filter) = covered(scope, None, None) else { return Ok(BTreeSet::new()) };
        let found = self.documents.distinct("isp_id", filter).await?;
        Ok(found.iter().filter_map(|it| it.as_str()?.parse().ok()).collect())
    }

    /// Raises a package past `held`, which the backend has and this store knows nothing of. Answers whether the
    /// package is to be sent again: so it is, too, where it was raised past the same before.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn raise_past(
        &self,
        id: &str,
        held: Revision,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let held = held.as_i64();
        let unknown = doc! { "_id": id, "$or": [
            { "revision": { "$lt": held } },
            { "raised_past": held },
        ] };
        let past =
            doc! { "$max": { "revision": now_ms.max(held + 1) }, "$set": { "raised_past": held } };
        Ok(self.documents.update_one(unknown, past).await?.matched_count == 1)
    }

    /// The same where nobody is about to send it: it is marked as untold.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn raise_untold(&self, id: &str, held: Revision) -> Result<bool, StoreError> {
        let below = doc! { "_id": id, "revision": { "$lt": held.as_i64() } };
        let raise = vec![doc! { "$set": raised(held.as_i64() + 1) }];
        Ok(self.documents.update_one(below, raise).await?.matched_count == 1)
    }
}

/// The members of a package that people say.
fn content(package: &AgentPackage) -> Result<Document, StoreError> {
    let size = i64::try_from(package.size_bytes.get()).unwrap_or(i64::MAX);
    Ok(doc! {
        "version": { "$literal": package.version.as_str() },
        "models": { "$literal": to_bson(&package.models)? },
        "url": { "$literal": package.url.as_str() },
        "sha256": { "$literal": package.sha256.as_str() },
        "size_bytes": size,
        "signature": { "$literal": &package.signature },
        "state": State(package.state).as_str(),
    })
}

/// The one write that changes a package.
fn change(members: Document, is_other_software: bool) -> Vec<Document> {
    let mut set = raised(0);
    set.extend(members);
    let mut stages = vec![doc! { "$set": set }];
    if is_other_software {
        stages.push(doc! { "$set": { "content_revision": "$revision" } });
    }
    stages
}

/// A package as it was read, which nobody deletes.
fn unchanged(read: &Package) -> Document {
    doc! {
        "_id": read.package.agent_package_id.as_str(),
        "revision": read.package.revision.as_i64(),
        "deleted": false,
        "deleting": { "$exists": false },
    }
}

/// A package that somebody is deleting, and that is not gone yet.
fn deleted_by_somebody(id: &AgentPackageId) -> Document {
    doc! { "_id": id.as_str(), "deleting": { "$exists": true }, "deleted": false }
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
