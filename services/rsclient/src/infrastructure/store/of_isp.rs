//! Documents of which each ISP has one, changed by requests and told by a relay.

use std::collections::BTreeSet;

use chassis::mongo::is_duplicate_key;
use events::{IspId, Revision, SyncScope};
use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database,
    bson::{Document, doc},
    options::ReturnDocument,
};
use outbox::raised;
use serde::{Deserialize, de::DeserializeOwned};

use super::{ATTEMPTS_MAX, StoreError};
use crate::domain::Expected;

/// A cheap handle to the documents of one kind.
pub struct OfIsp<T: Send + Sync> {
    documents: Collection<T>,
}

impl<T: Send + Sync> Clone for OfIsp<T> {
    fn clone(&self) -> Self {
        Self { documents: self.documents.clone() }
    }
}

impl<T: DeserializeOwned + Send + Sync> OfIsp<T> {
    pub(super) fn open(database: &Database, collection: &str) -> Self {
        Self { documents: database.collection(collection) }
    }

    /// The document of an ISP, where it has one.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, isp_id: &IspId) -> Result<Option<T>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": isp_id.as_str() }).await?)
    }

    /// Changes the document of an ISP, or makes it, and marks it as untold; one write. `members` says what each of its
    /// members becomes. Answers the new state; nothing where another state is held than the one that is expected.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn change(
        &self,
        isp_id: &IspId,
        expected: &Expected,
        members: Document,
    ) -> Result<Option<T>, StoreError> {
        let mut held = doc! { "_id": isp_id.as_str() };
        let is_new = match expected {
            Expected::Any => true,
            Expected::OneOf(revisions) => {
                let numbers: Vec<i64> = revisions.iter().map(|it| it.as_i64()).collect();
                held.insert("revision", doc! { "$in": numbers });
                revisions.contains(&Revision::default())
            }
        };
        let mut set = raised(0);
        set.extend(members);
        for _ in 0..ATTEMPTS_MAX {
            let change = vec![doc! { "$set": set.clone() }];
            let changed = self.documents.find_one_and_update(held.clone(), change).upsert(is_new);
            match changed.return_document(ReturnDocument::After).await {
                Ok(changed) => return Ok(changed),
                // It was made this very moment, or it is there with another revision.
                Err(err) if is_duplicate_key(&err) => match expected {
                    Expected::Any => (),
                    Expected::OneOf(_) => return Ok(None),
                },
                Err(err) => return Err(err.into()),
            }
        }
        Err(StoreError::Contended { id: isp_id.to_string() })
    }

    /// Raises the revision of a document above `held`, which somebody else holds. It is told again, too.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn raise_past(&self, isp_id: &IspId, held: Revision) -> Result<(), StoreError> {
        let below = doc! { "_id": isp_id.as_str(), "revision": { "$lt": held.as_i64() } };
        let raise = vec![doc! { "$set": raised(held.as_i64() + 1) }];
        self.documents.update_one(below, raise).await?;
        Ok(())
    }

    /// The ISPs of a scope that have such a document, behind `after` and up to `up_to`, in order, at most `limit`. What
    /// is narrower than an ISP has none.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn isps(
        &self,
        scope: &SyncScope,
        (after, up_to): (Option<&str>, Option<&str>),
        limit: usize,
    ) -> Result<BTreeSet<IspId>, StoreError> {
        #[derive(Deserialize)]
        struct Id {
            #[serde(rename = "_id")]
            id: IspId,
        }
        let Some(filter) = in_scope(scope, after, up_to) else { return Ok(BTreeSet::new()) };
        let ids = self.documents.clone_with_type::<Id>();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = ids.find(filter).sort(doc! { "_id": 1 }).limit(limit);
        let found = found.projection(doc! { "_id": 1 }).await?;
        Ok(found.map_ok(|it| it.id).try_collect().await?)
    }

    /// How many ISPs of a scope behind `after` have such a document.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn count(&self, scope: &SyncScope, after: Option<&str>) -> Result<u64, StoreError> {
        match in_scope(scope, after, None) {
            Some(filter) => Ok(self.documents.count_documents(filter).await?),
            None => Ok(0),
        }
    }
}

fn in_scope(scope: &SyncScope, after: Option<&str>, up_to: Option<&str>) -> Option<Document> {
    if scope.account_id.is_some() || scope.model.is_some() {
        return None;
    }
    let mut ids = Document::new();
    if let Some(isp_id) = &scope.isp_id {
        ids.insert("$eq", isp_id.as_str());
    }
    if let Some(after) = after {
        ids.insert("$gt", after);
    }
    if let Some(up_to) = up_to {
        ids.insert("$lte", up_to);
    }
    Some(if ids.is_empty() {
        Document::new()
    } else {
        doc! { "_id": ids }
    })
}
