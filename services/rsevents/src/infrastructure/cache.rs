//! What was read lately, for a while: bounded in number and in time.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hashbrown::HashMap;

/// Documents by their ids.
#[derive(Debug)]
pub(super) struct Cache<V> {
    generations: Mutex<Generations<V>>,
    /// Most documents of a generation.
    most: usize,
    life: Duration,
}

/// What is asked for moves to the young; when these are many, the old ones are forgotten.
#[derive(Debug)]
struct Generations<V> {
    young: HashMap<String, Held<V>>,
    old: HashMap<String, Held<V>>,
    /// How often something was forgotten because it has changed.
    changes: u64,
}

#[derive(Debug)]
struct Held<V> {
    document: Arc<V>,
    read_at: Instant,
}

/// What was found, and what has to be read.
pub(super) struct Found<V> {
    /// In the order of the ids; nothing where it is not held.
    pub(super) documents: Vec<Option<Arc<V>>>,
    /// To be handed back with what is read.
    pub(super) changes: u64,
}

impl<V> Cache<V> {
    /// Holds so many documents, each for so long.
    pub(super) fn new(most: usize, life: Duration) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new(), changes: 0 };
        Self { generations: Mutex::new(generations), most: (most / 2).max(1), life }
    }

    pub(super) fn find<'a>(&self, ids: impl Iterator<Item = &'a str>, now: Instant) -> Found<V> {
        let mut all = self.generations();
        let documents = ids.map(|id| self.one(&mut all, id, now)).collect();
        Found { documents, changes: all.changes }
    }

    fn one(&self, all: &mut Generations<V>, id: &str, now: Instant) -> Option<Arc<V>> {
        let is_fresh = |it: &Held<V>| now.saturating_duration_since(it.read_at) < self.life;
        if let Some(held) = all.young.get(id) {
            return is_fresh(held).then(|| Arc::clone(&held.document));
        }
        let (id, held) = all.old.remove_entry(id)?;
        let document = is_fresh(&held).then(|| Arc::clone(&held.document))?;
        self.add(all, id, held);
        Some(document)
    }

    /// Holds what was read, unless something has changed since: it may be what was read before.
    pub(super) fn hold(&self, read: &HashMap<String, Arc<V>>, changes: u64, read_at: Instant) {
        let mut all = self.generations();
        if all.changes != changes {
            return;
        }
        for (id, document) in read {
            let held = Held { document: Arc::clone(document), read_at };
            all.old.remove(id);
            self.add(&mut all, id.clone(), held);
        }
    }

    fn add(&self, all: &mut Generations<V>, id: String, held: Held<V>) {
        if all.young.len() >= self.most {
            all.old = std::mem::take(&mut all.young);
        }
        all.young.insert(id, held);
    }

    /// These have changed.
    pub(super) fn forget<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        let mut all = self.generations();
        all.changes += 1;
        for id in ids {
            all.young.remove(id);
            all.old.remove(id);
        }
    }

    fn generations(&self) -> MutexGuard<'_, Generations<V>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(10);

    fn hold(cache: &Cache<u32>, id: &str, value: u32, changes: u64, at: Instant) {
        cache.hold(&HashMap::from([(id.to_owned(), Arc::new(value))]), changes, at);
    }

    fn find(cache: &Cache<u32>, id: &str, now: Instant) -> Option<u32> {
        cache.find([id].into_iter(), now).documents[0].as_deref().copied()
    }

    #[test]
    fn what_was_read_is_held_for_a_while() {
        let (cache, now) = (Cache::new(10, LIFE), Instant::now());
        assert_eq!(find(&cache, "a", now), None);
        hold(&cache, "a", 1, 0, now);
        assert_eq!(find(&cache, "a", now + LIFE / 2), Some(1));
        assert_eq!(find(&cache, "a", now + LIFE), None);
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let (cache, now) = (Cache::new(4, LIFE), Instant::now());
        hold(&cache, "a", 0, 0, now);
        for n in 1..20 {
            hold(&cache, &format!("b{n}"), n, 0, now);
            assert_eq!(find(&cache, "a", now), Some(0), "{n}");
        }
        assert_eq!(find(&cache, "b1", now), None);
        let all = cache.generations();
        assert!(all.young.len() + all.old.len() <= 4);
    }

    #[test]
    fn what_has_changed_is_read_again_also_where_it_was_being_read() {
        let (cache, now) = (Cache::new(10, LIFE), Instant::now());
        hold(&cache, "a", 1, 0, now);
        let before = cache.find(["b"].into_iter(), now).changes;
        cache.forget(["a"].into_iter());
        assert_eq!(find(&cache, "a", now), None);
        hold(&cache, "b", 1, before, now);
        assert_eq!(find(&cache, "b", now), None);
        hold(&cache, "b", 2, before + 1, now);
        assert_eq!(find(&cache, "b", now), Some(2));
    }
}
