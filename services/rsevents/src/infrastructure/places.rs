//! Whose devices are: from memory where it was read lately, else from the store, many in one query.

use std::{sync::Arc, time::Instant};

use events::{AccountId, DeviceId};
use hashbrown::HashMap;

use super::{
    cache::Cache,
    store::{Store, StoreError},
};
use crate::{
    domain::{Account, Device},
    settings::PlaceSettings,
};

/// A cheap handle to what is known of devices and accounts.
///
/// A process hears of the changes of its own share of the accounts, so what it holds may be as old as the setting says.
#[derive(Clone, Debug)]
pub struct Places {
    store: Store,
    devices: Arc<Cache<Device>>,
    accounts: Arc<Cache<Account>>,
}

/// How old an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// As old as what is held in memory.
    Held,
    /// The store is asked.
    New,
}

impl Places {
    /// What `store` holds, some of it in memory.
    pub fn new(store: Store, settings: &PlaceSettings) -> Self {
        let (most, life) = (settings.cache_entries, settings.cache_life());
        let devices = Arc::new(Cache::new(most, life));
        Self { store, devices, accounts: Arc::new(Cache::new(most, life)) }
    }

    /// The store, to be written to; whoever writes says so with [`Self::devices_changed`] or [`Self::account_changed`].
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Devices by their ids, in their order; nothing where one is not known.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn devices(
        &self,
        ids: &[&DeviceId],
        age: Age,
    ) -> Result<Vec<Option<Arc<Device>>>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
        if age == Age::New {
            self.devices.forget(ids.iter().copied());
        }
        let key = |it: &Device| it.id.as_str().to_owned();
        known(&self.devices, &ids, key, async |missing| self.store.devices(missing).await).await
    }

    /// Accounts by their ids, in their order; nothing where one is not known.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn accounts(
        &self,
        ids: &[&AccountId],
        age: Age,
    ) -> Result<Vec<Option<Arc<Account>>>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|it| it.as_str()).collect();
        if age == Age::New {
            self.accounts.forget(ids.iter().copied());
        }
        let key = |it: &Account| it.id.as_str().to_owned();
        known(&self.accounts, &ids, key, async |missing| self.store.accounts(missing).await).await
    }

    /// These were written.
    pub fn devices_changed<'a>(&self, ids: impl Iterator<Item = &'a DeviceId>) {
        self.devices.forget(ids.map(DeviceId::as_str));
    }

    /// This one was written.
    pub fn account_changed(&self, id: &AccountId) {
        self.accounts.forget([id.as_str()].into_iter());
    }
}

async fn known<V>(
    cache: &Cache<V>,
    ids: &[&str],
    key: impl Fn(&V) -> String,
    read: impl AsyncFnOnce(&[&str]) -> Result<Vec<V>, StoreError>,
) -> Result<Vec<Option<Arc<V>>>, StoreError> {
    let now = Instant::now();
    let mut found = cache.find(ids.iter().copied(), now);
    let is_missing = |it: &(&&str, &Option<Arc<V>>)| it.1.is_none();
    let missing = ids.iter().zip(&found.documents).filter(is_missing);
    let mut missing: Vec<&str> = missing.map(|it| *it.0).collect();
    if missing.is_empty() {
        return Ok(found.documents);
    }
    missing.sort_unstable();
    missing.dedup();
    metrics::counter!("rsevents_lookups_total").increment(missing.len() as u64);
    let read = read(&missing).await?.into_iter().map(|it| (key(&it), Arc::new(it)));
    let read: HashMap<String, Arc<V>> = read.collect();
    cache.hold(&read, found.changes, now);
    for (document, id) in found.documents.iter_mut().zip(ids) {
        if document.is_none() {
            *document = read.get(*id).map(Arc::clone);
        }
    }
    Ok(found.documents)
}
