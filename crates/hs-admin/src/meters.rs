//! The metrics of calls, looked up once for each kind of call.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use metrics::{Counter, Histogram};

use crate::{Call, ResourceKind, client::counter};

/// Calls by how they were answered, and how long they took.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    answered: Known<(Call, ResourceKind, u16), Handle<Counter>>,
    took: Known<(Call, ResourceKind), Handle<Histogram>>,
}

type Known<K, M> = RwLock<HashMap<K, M>>;

/// What the recorder gave for a metric.
struct Handle<M>(M);

impl Meters {
    pub(crate) fn answered(&self, call: Call, resource: ResourceKind, status: u16) {
        let new = || counter(call, resource, status.to_string());
        with(&self.answered, (call, resource, status), new, |it| it.increment(1));
    }

    pub(crate) fn took(&self, call: Call, resource: ResourceKind, time: Duration) {
        let (method, kind) = (call.as_str(), resource.as_str());
        let new =
            || metrics::histogram!("http_client_seconds", "method" => method, "resource" => kind);
        with(&self.took, (call, resource), new, |it| it.record(time.as_secs_f64()));
    }
}

fn with<K: Eq + Hash, M>(
    known: &Known<K, Handle<M>>,
    key: K,
    new: impl FnOnce() -> M,
    note: impl FnOnce(&M),
) {
    if let Some(Handle(it)) = known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return note(it);
    }
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    note(&known.entry(key).or_insert_with(|| Handle(new())).0);
}

impl<M> std::fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}
