//! The collection `devices`.

use std::time::Duration;

use eventbus::Delivered;
use events::{
    AccountId, DeletedDevice, DeviceId, IspId, Revision, RouterFlags, RsProvisioningEvent,
    SyncScope, UserId,
};
use futures_util::TryStreamExt;
use mongodb::{
    Collection, Database,
    bson::{DateTime, Document, doc},
};
use serde::Deserialize;

use super::{
    StoreError, Written, expiry, forgotten_after, index, not_newer_than,
    notes::{Note, Notes},
    to_bson, write,
};
use crate::domain::{Device, DeviceState, FLAGS, Group, SystemDocument, ToldFlags, Which};

const COLLECTION: &str = "devices";

/// A cheap handle to the devices.
#[derive(Clone)]
pub struct Devices {
    documents: Collection<Device>,
    notes: Notes,
    tombstone_life: Duration,
}

/// Whose devices.
#[derive(Clone, Copy, Debug)]
pub enum DevicesOf<'a> {
    /// Those of a household.
    Account(&'a AccountId),
    /// Those of a person.
    User(&'a UserId),
}

impl Devices {
    pub(super) async fn open(database: &Database, life: Duration) -> Result<Self, StoreError> {
        let documents = database.collection(COLLECTION);
        let indexes = [
            index(doc! { "isp_id": 1, "_id": 1 }),
            index(doc! { "account_id": 1, "_id": 1 }),
            index(doc! { "state.user_id": 1, "_id": 1 }),
            index(doc! { "state.model": 1, "_id": 1 }),
            expiry(),
        ];
        documents.create_indexes(indexes).await?;
        let notes = Notes::open(database, COLLECTION);
        Ok(Self { documents, notes, tombstone_life: life })
    }

    /// Writes what provisioning says of a device, unless something newer is held.
    ///
    /// # Errors
    /// The store does not answer, or the device is another ISP's.
    pub async fn save(&self, said: &events::Device) -> Result<Written, StoreError> {
        let mut set = doc! {
            "account_id": said.account_id.as_str(),
            "revision": said.revision.as_i64(),
            "deleted": false,
            "state": to_bson(&DeviceState::from(said))?,
            "saved_at_ms": DateTime::now().timestamp_millis(),
        };
        let mut unset = doc! { "expire_at": "" };
        // A command waits here until somebody has published it: whoever publishes the highest revision sees it.
        // Older than this state, one that nobody has heard is superseded.
        match &said.action {
            Some(action) => set.insert("pending_action", to_bson(action)?),
            None => unset.insert("pending_action", ""),
        };
        let update = doc! { "$set": set, "$unset": unset };
        let guard = not_newer_than(said.revision);
        write(&self.documents, said.device_id.as_str(), &said.isp_id, guard, update).await
    }

    /// Ends a device, unless something newer is held. What it was stays known.
    ///
    /// # Errors
    /// The store does not answer, or the device is another ISP's.
    pub async fn remove(&self, said: &DeletedDevice) -> Result<Written, StoreError> {
        let revision = said.revision.as_i64();
        let update = doc! {
            "$set": {
                "revision": revision,
                "deleted": true,
                "expire_at": forgotten_after(self.tombstone_life),
                "saved_at_ms": DateTime::now().timestamp_millis(),
            },
            "$setOnInsert": { "account_id": said.account_id.as_str() },
            "$unset": { "pending_action": "" },
        };
        let guard = doc! { "revision": { "$lte": revision } };
        write(&self.documents, said.device_id.as_str(), &said.isp_id, guard, update).await
    }

    /// Ids behind `after`, in order, at most `limit`; tombstones left out.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn page(
        &self,
        isp_id: &IspId,
        of: DevicesOf<'_>,
        after: Option<&DeviceId>,
        limit: usize,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let mut filter = doc! { "isp_id": isp_id.as_str(), "deleted": false };
        match of {
            DevicesOf::Account(id) => drop(filter.insert("account_id", id.as_str())),
            DevicesOf::User(id) => drop(filter.insert("state.user_id", id.as_str())),
        }
        if let Some(after) = after {
            filter.insert("_id", doc! { "$gt": after.as_str() });
        }
        self.ids(filter, limit).await
    }

    async fn ids(&self, filter: Document, limit: usize) -> Result<Vec<DeviceId>, StoreError> {
        #[derive(Deserialize)]
        struct Id {
            #[serde(rename = "_id")]
            id: DeviceId,
        }
        let ids = self
            .documents
            .clone_with_type::<Id>()
            .find(filter)
            .sort(doc! { "_id": 1 })
            .limit(i64::try_from(limit).unwrap_or(i64::MAX))
            .projection(doc! { "_id": 1 })
            .await?;
        Ok(ids.map_ok(|it| it.id).try_collect().await?)
    }

    /// The routers of a group behind `after`, in order, at most `limit`; tombstones left out.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn of_group(
        &self,
        isp_id: &IspId,
        group: &Group,
        after: Option<&DeviceId>,
        limit: usize,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let mut filter = doc! {
            "isp_id": isp_id.as_str(), "deleted": false,
            "state.kind": "router", "state.model": group.model.as_str(),
        };
        if let Some(version) = &group.target_version {
            filter.insert("state.target_version", version.as_str());
        }
        if let Some(after) = after {
            filter.insert("_id", doc! { "$gt": after.as_str() });
        }
        self.ids(filter, limit).await
    }

    /// What a sync finds in a scope behind `after` and up to `up_to`, in order, at most `limit` devices. Tombstones are
    /// among it: a deletion that others may not know of is said again.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn found_in(
        &self,
        (scope, which): (&SyncScope, Which),
        (after, up_to): (Option<&str>, Option<&str>),
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let kept = doc! { "$or": ["$state.flags", "$state.upload_intervals"] };
        let router = doc! { "$eq": ["$state.kind", "router"] };
        let projection = doc! { "_id": 1, "has_flags": { "$and": [router, kept] } };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let devices = self.documents.clone_with_type::<FoundDevice>();
        let found = devices
            .find(in_scope((scope, which), after, up_to))
            .sort(doc! { "_id": 1 })
            .limit(limit)
            .batch_size(u32::try_from(limit).unwrap_or(u32::MAX))
            .projection(projection)
            .await?;
        Ok(found.map_ok(Found::from).try_collect().await?)
    }

    /// How many devices a sync finds in a scope behind `after`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn count_in(
        &self,
        scope: (&SyncScope, Which),
        after: Option<&str>,
    ) -> Result<u64, StoreError> {
        Ok(self.documents.count_documents(in_scope(scope, after, None)).await?)
    }

    /// Raises the revision of one device above `held`, which somebody else holds.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn raise_past(&self, id: &DeviceId, held: Revision) -> Result<(), StoreError> {
        let past = DateTime::now().timestamp_millis().max(held.as_i64() + 1);
        let raise = doc! { "$max": { "rs_revision": past } };
        self.documents.update_one(doc! { "_id": id.as_str() }, raise).await?;
        Ok(())
    }

    /// Raises the revision of the effective configuration of each of these devices, to at least `now_ms`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn raise(&self, ids: &[DeviceId], now_ms: i64) -> Result<(), StoreError> {
        let next = doc! { "$add": [{ "$ifNull": ["$rs_revision", 0_i64] }, 1_i64] };
        let raise = vec![doc! { "$set": { "rs_revision": { "$max": [next, now_ms] } } }];
        self.documents.update_many(these(ids), raise).await?;
        Ok(())
    }

    /// The devices of these ids that are known.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn find(&self, ids: &[DeviceId]) -> Result<Vec<Device>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
        super::these(&self.documents, &ids).await
    }

    /// Notes that a device is about to be published as served, and whether that puts its flags in doubt, unless its
    /// revision was raised since it was read: then somebody else publishes it, with everything that is known here and
    /// more.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn mark_live(
        &self,
        id: &DeviceId,
        read: Revision,
        flags_in_doubt: bool,
    ) -> Result<bool, StoreError> {
        let mut live = doc! { "published": "live" };
        if flags_in_doubt {
            live.insert("flags_in_doubt", true);
        }
        let mark = doc! { "$set": live };
        let result = self.documents.update_one(unraised(id, read), mark).await?;
        Ok(result.matched_count == 1)
    }

    /// Notes that others were told that a device is not served any more, unless it was raised since.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn mark_removed(&self, id: &DeviceId, read: Revision) -> Result<(), StoreError> {
        let flags = doc! { "told_flags": "", "flags_in_doubt": "" };
        let mark = doc! { "$set": { "published": "removed" }, "$unset": flags };
        self.documents.update_one(unraised(id, read), mark).await?;
        Ok(())
    }

    /// Notes which flags and intervals of a router the others were told, unless it was raised since.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn mark_flags(&self, told: &RouterFlags) -> Result<(), StoreError> {
        let flags = ToldFlags {
            flags: told.flags.clone(),
            upload_intervals: told.upload_intervals.clone(),
        };
        let set = doc! { "told_flags": to_bson(&flags)? };
        let mark = doc! { "$set": set, "$unset": { "flags_in_doubt": "" } };
        self.documents.update_one(unraised(&told.device_id, told.revision), mark).await?;
        Ok(())
    }

    /// Notes in the background what was published of a device and where it lies, so that whoever asks is told. Nobody
    /// waits for it, and nothing depends on it.
    pub fn note_published(&self, device: &Device, event: &RsProvisioningEvent, place: Delivered) {
        if let Some(note) = Note::of(device, event, place) {
            self.notes.write(note);
        }
    }

    /// A command was published, or has expired.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn clear_action(&self, id: &DeviceId, action: &str) -> Result<(), StoreError> {
        let still_pending = doc! { "_id": id.as_str(), "pending_action.id": action };
        let clear = doc! { "$unset": { "pending_action": "" } };
        self.documents.update_one(still_pending, clear).await?;
        Ok(())
    }

    /// A device that ended with its account is forgotten at `end`, or when its life is over.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn mark_ended(
        &self,
        device: &Device,
        end: Option<&DateTime>,
    ) -> Result<(), StoreError> {
        let unchanged = doc! {
            "_id": device.id.as_str(),
            "revision": device.revision.as_i64(),
            "expire_at": { "$exists": false },
        };
        let end = end.copied().unwrap_or_else(|| forgotten_after(self.tombstone_life));
        self.documents.update_one(unchanged, doc! { "$set": { "expire_at": end } }).await?;
        Ok(())
    }
}

/// What a sync finds: a device or an ISP, and the requests about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the search goes on behind it.
    pub key: String,
    requests: Vec<String>,
}

#[derive(Deserialize)]
struct FoundDevice {
    #[serde(rename = "_id")]
    id: DeviceId,
    has_flags: bool,
}

impl From<FoundDevice> for Found {
    fn from(device: FoundDevice) -> Self {
        let key = String::from(device.id);
        let flags = device.has_flags.then(|| format!("{key}{FLAGS}"));
        Self { requests: [Some(key.clone()), flags].into_iter().flatten().collect(), key }
    }
}

impl Found {
    /// One request.
    pub fn request(key: String) -> Self {
        Self { requests: vec![key.clone()], key }
    }

    /// Documents of an ISP.
    pub fn documents(isp_id: &IspId, held: impl Iterator<Item = SystemDocument>) -> Self {
        let requests = held.map(|it| it.key(isp_id)).collect();
        Self { key: isp_id.as_str().to_owned(), requests }
    }

    /// How many requests it is.
    pub fn requests(&self) -> u64 {
        self.requests.len() as u64
    }

    /// The keys of its requests.
    pub fn into_keys(self) -> impl Iterator<Item = String> {
        self.requests.into_iter()
    }
}

fn in_scope(
    (scope, which): (&SyncScope, Which),
    after: Option<&str>,
    up_to: Option<&str>,
) -> Document {
    let mut filter = match which {
        Which::All => Document::new(),
        Which::Routers => doc! { "state.kind": "router" },
    };
    if let Some(isp_id) = &scope.isp_id {
        filter.insert("isp_id", isp_id.as_str());
    }
    if let Some(account_id) = &scope.account_id {
        filter.insert("account_id", account_id.as_str());
    }
    if let Some(model) = &scope.model {
        filter.extend(doc! { "state.model": model.as_str(), "state.kind": "router" });
    }
    let mut ids = Document::new();
    if let Some(after) = after {
        ids.insert("$gt", after);
    }
    if let Some(up_to) = up_to {
        ids.insert("$lte", up_to);
    }
    if !ids.is_empty() {
        filter.insert("_id", ids);
    }
    filter
}

fn these(ids: &[DeviceId]) -> Document {
    let ids: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
    doc! { "_id": { "$in": ids } }
}

fn unraised(id: &DeviceId, read: Revision) -> Document {
    doc! { "_id": id.as_str(), "rs_revision": read.as_i64() }
}
