//! What rollouts write into the documents of packages. Each of it is one conditional write that may be done twice, and
//! has no effect where it comes too late.

use chassis::mongo::is_duplicate_key;
use events::{AgentPackageId, IspId, JobId, Revision};
use mongodb::bson::{Document, doc};

use super::{Packages, StoreError, to_bson};
use crate::domain::{Group, Share};

/// Most shares of one package, one for each rollout that leads to it.
const SHARES_MAX: usize = 32;

impl Packages {
    /// Keeps a package from being given up while a rollout leads away from it. Answers whether it does: not where the
    /// package has been given up, or is another ISP's.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn pin(
        &self,
        isp_id: &IspId,
        id: &AgentPackageId,
        rollout_id: &JobId,
    ) -> Result<bool, StoreError> {
        let pin = doc! {
            "$set": { "isp_id": isp_id.as_str() },
            "$addToSet": { "left_by": rollout_id.as_str() },
        };
        self.use_package(free(isp_id, id), pin).await
    }

    /// Makes the share of a rollout, which also keeps the package from being given up. Answers as above, and that it does
    /// not where too many rollouts lead to the package.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn make_share(
        &self,
        isp_id: &IspId,
        id: &AgentPackageId,
        share: &Share,
    ) -> Result<bool, StoreError> {
        let mut unmade = free(isp_id, id);
        unmade.insert("shares.rollout_id", doc! { "$ne": share.rollout_id.as_str() });
        unmade.insert(format!("shares.{}", SHARES_MAX - 1), doc! { "$exists": false });
        let make = doc! {
            "$set": { "isp_id": isp_id.as_str() },
            "$push": { "shares": to_bson(share)? },
        };
        if self.use_package(unmade, make).await? {
            return Ok(true);
        }
        let held = self.find(id).await?;
        let held = held.filter(|it| it.isp_id.as_ref() == Some(isp_id));
        Ok(held.is_some_and(|it| it.shares.iter().any(|it| it.rollout_id == share.rollout_id)))
    }

    /// Raises the share of a rollout; never lowers it, and makes none.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn raise_share(
        &self,
        id: &AgentPackageId,
        rollout_id: &JobId,
        per_mille: u16,
    ) -> Result<(), StoreError> {
        let per_mille = i32::from(per_mille);
        let lower = doc! { "_id": id.as_str(), "shares": { "$elemMatch": {
            "rollout_id": rollout_id.as_str(), "per_mille": { "$lt": per_mille },
        } } };
        let raise = doc! { "$set": { "shares.$.per_mille": per_mille } };
        self.documents.update_one(lower, raise).await?;
        Ok(())
    }

    /// Takes the share of a rollout back: from now on no router is meant to run the package because of it.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn withdraw_share(
        &self,
        id: &AgentPackageId,
        rollout_id: &JobId,
    ) -> Result<(), StoreError> {
        let take = doc! { "$pull": { "shares": { "rollout_id": rollout_id.as_str() } } };
        self.documents.update_one(doc! { "_id": id.as_str() }, take).await?;
        Ok(())
    }

    /// From now on nobody leads the group who has read the rollout before it had this fence.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn fence_share(
        &self,
        id: &AgentPackageId,
        rollout_id: &JobId,
        fence: i64,
    ) -> Result<(), StoreError> {
        let shared = doc! { "_id": id.as_str(), "shares.rollout_id": rollout_id.as_str() };
        let raise = doc! { "$max": { "shares.$.ended_by": fence } };
        self.documents.update_one(shared, raise).await?;
        Ok(())
    }

    /// Makes the group of a rollout one of the package, later than all before (`newest`), and takes its share away; unless
    /// the share has another `fence`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn lead(
        &self,
        id: &AgentPackageId,
        (rollout_id, group): (&JobId, &Group),
        fence: i64,
        newest: Revision,
    ) -> Result<(), StoreError> {
        let shared = doc! { "_id": id.as_str(), "shares": { "$elemMatch": {
            "rollout_id": rollout_id.as_str(), "ended_by": fence,
        } } };
        let group = doc! { "$literal": to_bson(group)? };
        let revision = raised(newest.as_i64() + 1);
        let led = doc! { "group": group.clone(), "since": revision.clone() };
        let mut change = without(&group);
        change.insert("association.revision", revision);
        change.insert("association.routers", doc! { "$ifNull": ["$association.routers", []] });
        with(&mut change, "association.groups", group);
        with(&mut change, "association.led", led);
        change.insert(
            "shares",
            doc! { "$filter": {
                "input": "$shares", "cond": { "$ne": ["$$this.rollout_id", rollout_id.as_str()] },
            } },
        );
        self.documents.update_one(shared, vec![doc! { "$set": change }]).await?;
        Ok(())
    }

    /// Takes the group of a rollout away from the package that it has led away from.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn leave(
        &self,
        id: &AgentPackageId,
        (rollout_id, group): (&JobId, &Group),
    ) -> Result<(), StoreError> {
        let group = to_bson(group)?;
        let pinned = doc! {
            "_id": id.as_str(), "left_by": rollout_id.as_str(), "association.groups": group.clone(),
        };
        let mut change = without(&doc! { "$literal": group });
        change.insert("association.revision", raised(0));
        self.documents.update_one(pinned, vec![doc! { "$set": change }]).await?;
        Ok(())
    }

    /// A rollout is over: the package that it led away from may be given up.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn unpin(&self, id: &AgentPackageId, rollout_id: &JobId) -> Result<(), StoreError> {
        let take = doc! { "$pull": { "left_by": rollout_id.as_str() } };
        self.documents.update_one(doc! { "_id": id.as_str() }, take).await?;
        Ok(())
    }

    async fn use_package(&self, free: Document, change: Document) -> Result<bool, StoreError> {
        match self.documents.update_one(free, change).upsert(true).await {
            Ok(_) => Ok(true),
            Err(err) if is_duplicate_key(&err) => Ok(false),
            Err(err) => Err(err.into()),
        }
    }
}

/// A package that an ISP may begin to use, or of which nothing is held.
fn free(isp_id: &IspId, id: &AgentPackageId) -> Document {
    doc! {
        "_id": id.as_str(),
        "isp_id": { "$in": [isp_id.as_str(), null] },
        "reserved": { "$ne": true },
    }
}

/// The next revision of an association.
fn raised(at_least: i64) -> Document {
    let before = doc! { "$ifNull": ["$association.revision", 0_i64] };
    let now = mongodb::bson::DateTime::now().timestamp_millis();
    doc! { "$max": [{ "$add": [before, 1_i64] }, now, at_least] }
}

/// The members of an association without a group. What the ISP has associated keeps its order.
fn without(group: &Document) -> Document {
    let others = |member: &str, it: &str| {
        let all = doc! { "$ifNull": [member, []] };
        doc! { "$filter": { "input": all, "cond": { "$ne": [it, group.clone()] } } }
    };
    let revision = doc! { "$ifNull": ["$association.revision", 0_i64] };
    doc! {
        "association.since": { "$ifNull": ["$association.since", revision] },
        "association.groups": others("$association.groups", "$$this"),
        "association.led": others("$association.led", "$$this.group"),
    }
}

/// Appends to a list that `change` makes.
fn with(change: &mut Document, member: &str, entry: Document) {
    let list = change.remove(member).expect("the member is there");
    change.insert(member, doc! { "$concatArrays": [list, [entry]] });
}
