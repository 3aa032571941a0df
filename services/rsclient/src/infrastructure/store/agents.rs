//! The collections `agents` and `agent_packages`.

use std::time::Duration;

use chassis::mongo::is_duplicate_key;
use events::{
    AgentPackage, AgentPackageId, DefaultAgents, DeletedAgentPackage, DeviceId, IspId, Revision,
};
use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database,
    bson::{Bson, DateTime, Document, doc},
    options::ReturnDocument,
};

use super::{
    ATTEMPTS_MAX, StoreError, Written, expiry, forgotten_after, index, sparse, to_bson, write,
};
use crate::domain::{
    Agents, Association, DefaultsOfModels, Expected, ListedAgents, Package, SaidPackage,
};

/// A cheap handle to what rsagents says of ISPs.
#[derive(Clone)]
pub struct AgentLists {
    documents: Collection<Agents>,
}

/// A cheap handle to the packages.
#[derive(Clone)]
pub struct Packages {
    pub(super) documents: Collection<Package>,
    tombstone_life: Duration,
}

/// What became of an association.
#[derive(Clone, Debug, PartialEq)]
pub enum Associated {
    /// It is written, and the routers are to be told.
    Yes(Association),
    /// Nobody may start to use the package any more.
    Reserved,
    /// Another state is held than the one that is expected.
    Changed,
    /// It is another ISP's.
    Foreign,
}

impl AgentLists {
    pub(super) fn open(database: &Database) -> Self {
        Self { documents: database.collection("agents") }
    }

    /// Writes which packages an ISP's routers may be pointed at, unless something newer is held.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn save_list(&self, said: &events::Agents) -> Result<Written, StoreError> {
        let packages = said.packages.as_slice().to_vec();
        let listed = to_bson(&ListedAgents { revision: said.revision, packages })?;
        self.save(&said.isp_id, "listed", said.revision, doc! { "listed": listed }).await
    }

    /// Writes what an ISP's routers run where nothing else is said, unless something newer is held.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn save_defaults(&self, said: &DefaultAgents) -> Result<Written, StoreError> {
        let by_model = said.defaults.clone();
        let defaults = to_bson(&DefaultsOfModels { revision: said.revision, by_model })?;
        self.save(&said.isp_id, "defaults", said.revision, doc! { "defaults": defaults }).await
    }

    async fn save(
        &self,
        isp_id: &IspId,
        member: &str,
        revision: Revision,
        set: Document,
    ) -> Result<Written, StoreError> {
        let held = format!("{member}.revision");
        let guard = doc! { "$or": [
            { &held: { "$lte": revision.as_i64() } },
            { &held: { "$exists": false } },
        ] };
        write(&self.documents, isp_id.as_str(), isp_id, guard, doc! { "$set": set }).await
    }

    /// What is said of these ISPs.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, isp_ids: &[&IspId]) -> Result<Vec<Agents>, StoreError> {
        let ids: Vec<&str> = isp_ids.iter().map(|it| it.as_str()).collect();
        super::these(&self.documents, &ids).await
    }
}

impl Packages {
    pub(super) async fn open(database: &Database, life: Duration) -> Result<Self, StoreError> {
        let documents = database.collection("agent_packages");
        let indexes = [
            index(doc! { "isp_id": 1, "association.routers": 1 }),
            index(doc! { "isp_id": 1, "association.groups.model": 1 }),
            index(doc! { "isp_id": 1, "shares.rollout_id": 1 }),
            sparse(doc! { "untold": 1 }),
            expiry(),
        ];
        documents.create_indexes(indexes).await?;
        Ok(Self { documents, tombstone_life: life })
    }

    /// Writes what rsagents says of a package, unless something newer is held.
    ///
    /// # Errors
    /// The store does not answer, or the package is another ISP's.
    pub async fn save(&self, said: &AgentPackage) -> Result<Written, StoreError> {
        let (id, isp_id) = (said.agent_package_id.as_str(), said.isp_id.as_str());
        let state = SaidPackage { revision: said.revision, state: Some(said.state) };
        let newer = doc! {
            "_id": id,
            "isp_id": { "$in": [isp_id, null] },
            "$or": [
                { "said": { "$exists": false } },
                { "said.revision": { "$lt": said.revision.as_i64() } },
                { "said.revision": said.revision.as_i64(), "said.state": { "$ne": null } },
            ],
        };
        let update = doc! {
            "$set": { "isp_id": isp_id, "said": to_bson(&state)? },
            "$unset": { "expire_at": "" },
        };
        match self.documents.update_one(newer, update).upsert(true).await {
            Ok(_) => Ok(Written::Yes),
            Err(err) if is_duplicate_key(&err) => match self.find(&said.agent_package_id).await? {
                Some(Package { isp_id: Some(held), .. }) if held != said.isp_id => {
                    Err(StoreError::TenantMismatch { id: id.to_owned() })
                }
                Some(_) | None => Ok(Written::Superseded),
            },
            Err(err) => Err(err.into()),
        }
    }

    /// Notes that a package is gone, unless something newer is held. Whoever is to run it is told another one.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn remove(&self, said: &DeletedAgentPackage) -> Result<Written, StoreError> {
        let state = SaidPackage { revision: said.revision, state: None };
        let newer = doc! {
            "_id": said.agent_package_id.as_str(),
            "$or": [
                { "said": { "$exists": false } },
                { "said.revision": { "$lte": said.revision.as_i64() } },
            ],
        };
        let expire_at = forgotten_after(self.tombstone_life);
        let update = doc! {
            "$set": { "said": to_bson(&state)?, "reserved": true, "expire_at": expire_at },
        };
        match self.documents.update_one(newer, update).upsert(true).await {
            Ok(_) => Ok(Written::Yes),
            Err(err) if is_duplicate_key(&err) => Ok(Written::Superseded),
            Err(err) => Err(err.into()),
        }
    }

    /// A package.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, id: &AgentPackageId) -> Result<Option<Package>, StoreError> {
        Ok(self.documents.find_one(doc! { "_id": id.as_str() }).await?)
    }

    /// The packages that any of these routers, or any router of a group or of a share, is to run, the last associated one
    /// first. Of the routers that they name, only these are among the answer.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn associated(
        &self,
        isp_ids: &[&IspId],
        routers: &[&DeviceId],
    ) -> Result<Vec<Package>, StoreError> {
        let isp_ids: Vec<&str> = isp_ids.iter().map(|it| it.as_str()).collect();
        let routers: Vec<&str> = routers.iter().map(|it| it.as_str()).collect();
        let any = doc! {
            "isp_id": { "$in": isp_ids },
            "$or": [
                { "association.routers": { "$in": &routers } },
                { "association.groups.model": { "$exists": true } },
                { "shares.rollout_id": { "$exists": true } },
            ],
        };
        let named = doc! { "$filter": {
            "input": "$association.routers", "cond": { "$in": ["$$this", &routers] },
        } };
        let projection = doc! {
            "isp_id": 1, "reserved": 1, "said": 1, "shares": 1, "association": { "$cond": [
                { "$eq": [{ "$type": "$association" }, "object"] },
                { "$mergeObjects": ["$association", { "routers": named }] },
                "$$REMOVE",
            ] },
        };
        let found = self.documents.find(any).projection(projection);
        let found = found.sort(doc! { "association.revision": -1, "_id": 1 }).await?;
        Ok(found.try_collect().await?)
    }

    /// Says who is to run a package, in one write that nobody's reservation precedes; it is marked until the routers
    /// have been told.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn associate(
        &self,
        isp_id: &IspId,
        id: &AgentPackageId,
        expected: &Expected,
        wanted: &Association,
    ) -> Result<Associated, StoreError> {
        let mut free = doc! { "_id": id.as_str(), "isp_id": { "$in": [isp_id.as_str(), null] } };
        if !wanted.is_empty() {
            free.insert("reserved", doc! { "$ne": true });
        }
        let mut is_new = true;
        if let Expected::OneOf(revisions) = expected {
            is_new = revisions.contains(&Revision::default());
            let zero = is_new.then_some(Bson::Null);
            let numbers = revisions.iter().map(|it| it.as_i64().into());
            let tags: Vec<Bson> = numbers.chain(zero).collect();
            free.insert("association.revision", doc! { "$in": tags });
        }
        let before = doc! { "$ifNull": ["$association.revision", 0_i64] };
        let now = DateTime::now().timestamp_millis();
        let change = vec![doc! { "$set": {
            "isp_id": isp_id.as_str(),
            "untold": true,
            "association": {
                "revision": { "$max": [{ "$add": [before, 1_i64] }, now] },
                "routers": { "$literal": to_bson(&wanted.routers)? },
                "groups": { "$literal": to_bson(&wanted.groups)? },
            },
        } }];
        for _ in 0..ATTEMPTS_MAX {
            let changed = self.documents.find_one_and_update(free.clone(), change.clone());
            let changed = changed.upsert(is_new).return_document(ReturnDocument::After).await;
            match changed {
                Ok(Some(changed)) => {
                    return Ok(Associated::Yes(changed.association.unwrap_or_default()));
                }
                Ok(None) => (),
                Err(err) if is_duplicate_key(&err) => (),
                Err(err) => return Err(err.into()),
            }
            let Some(held) = self.find(id).await? else {
                if !is_new {
                    return Ok(Associated::Changed);
                }
                continue;
            };
            if held.isp_id.as_ref().is_some_and(|it| it != isp_id) {
                return Ok(Associated::Foreign);
            }
            if held.reserved && !wanted.is_empty() {
                return Ok(Associated::Reserved);
            }
            if matches!(expected, Expected::OneOf(_)) {
                return Ok(Associated::Changed);
            }
        }
        Err(StoreError::Contended { id: id.to_string() })
    }

    /// Has nobody start to use a package any more, for good, unless somebody is to run it, or a rollout leads to it or
    /// away from it. Then it answers the package, which says who.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn reserve(&self, id: &AgentPackageId) -> Result<Option<Package>, StoreError> {
        let unused = doc! {
            "_id": id.as_str(),
            "association.routers.0": { "$exists": false },
            "association.groups.0": { "$exists": false },
            "shares.0": { "$exists": false },
            "left_by.0": { "$exists": false },
        };
        let reserve = doc! { "$set": { "reserved": true } };
        for _ in 0..ATTEMPTS_MAX {
            match self.documents.update_one(unused.clone(), reserve.clone()).upsert(true).await {
                Ok(_) => return Ok(None),
                Err(err) if is_duplicate_key(&err) => (),
                Err(err) => return Err(err.into()),
            }
            let used = self.find(id).await?.filter(Package::is_used);
            if used.is_some() {
                return Ok(used);
            }
        }
        Err(StoreError::Contended { id: id.to_string() })
    }

    /// The packages of which the routers were not told yet who is to run them.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn walks_due(&self, limit: i64) -> Result<Vec<Package>, StoreError> {
        let due = self.documents.find(doc! { "untold": true }).limit(limit).await?;
        Ok(due.try_collect().await?)
    }

    /// The routers are being told who is to run a package, as it was read.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn mark_walked(&self, id: &AgentPackageId, read: Revision) -> Result<(), StoreError> {
        let same = doc! { "_id": id.as_str(), "association.revision": read.as_i64() };
        self.documents.update_one(same, doc! { "$unset": { "untold": "" } }).await?;
        Ok(())
    }
}
