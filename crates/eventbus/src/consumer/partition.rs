//! One partition that is ours: which records are done, and which record of each key is next.
//!
//! Pure: it knows offsets and keys, no broker and no clock. Every step takes the same time, however many records
//! and keys there are.

use std::{collections::VecDeque, sync::Arc};

use hashbrown::{HashMap, hash_map::EntryRef};
use slab::Slab;
use tokio::time::Instant;

/// Room for so many keys is kept while there are none.
const KEYS_KEPT: usize = 64;

/// A key of a partition for as long as records of it are held; records without one are one key.
pub(crate) type KeyId = usize;

/// A record's number within its assignment, in the order of the broker.
pub(crate) type Seq = u64;

/// The records of a partition that were taken from the broker and are not behind the contiguous prefix yet.
pub(crate) struct Partition<R> {
    /// Every record from the first that is not done, in the order of the broker.
    window: VecDeque<Slot>,
    /// The number of the first.
    first: Seq,
    /// How many of them were started: what a crash now would repeat.
    ahead: usize,
    keys: HashMap<Arc<[u8]>, KeyId>,
    keyless: Option<KeyId>,
    queues: Slab<KeyQueue<R>>,
}

struct Slot {
    offset: i64,
    key: KeyId,
    state: SlotState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SlotState {
    New,
    Started,
    Done,
}

struct KeyQueue<R> {
    name: Option<Arc<[u8]>>,
    state: KeyState,
    /// The next record; nothing while all that there are run.
    head: Option<(Seq, R)>,
    behind: VecDeque<(Seq, R)>,
    /// The last one that is urgent: those before it are too, because it stands behind them.
    urgent: Option<Seq>,
    /// What had happened to the record that runs when it started.
    running: Tries,
}

/// What the records of a key are doing. While one runs or waits, the others stand behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyState {
    /// The next one can start.
    Ready,
    /// At least one is being handled.
    Running,
    /// The next one has failed and waits for its time.
    Waiting,
    /// The next one can start when fewer are ahead of the prefix.
    Held,
}

/// What has a key.
pub(crate) trait Keyed {
    /// The key, as on the wire.
    fn key(&self) -> Option<&[u8]>;

    /// Whether somebody waits for it.
    fn is_urgent(&self) -> bool {
        false
    }

    /// What happened to it so far.
    fn tries(&self) -> Tries {
        Tries::default()
    }
}

/// What happened to a record so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tries {
    /// Attempts that have ended.
    pub(crate) ended: u32,
    /// When the first one began.
    pub(crate) first_at: Option<Instant>,
    /// When the record was written, in Unix milliseconds.
    pub(crate) written_ms: Option<i64>,
}

/// A record of a key that is not done.
pub(crate) struct Open<'a, R> {
    pub(crate) offset: i64,
    pub(crate) tries: Tries,
    /// The record; nothing where it runs.
    pub(crate) record: Option<&'a R>,
}

/// Where the prefix ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Front<'a> {
    pub(crate) seq: Seq,
    pub(crate) offset: i64,
    pub(crate) id: KeyId,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) state: KeyState,
}

impl<R: Keyed> Partition<R> {
    pub(crate) fn new() -> Self {
        Self {
            window: VecDeque::new(),
            first: 0,
            ahead: 0,
            keys: HashMap::new(),
            keyless: None,
            queues: Slab::new(),
        }
    }

    /// How many records are held: those that are not done, and those behind them.
    pub(crate) fn len(&self) -> usize {
        self.window.len()
    }

    /// The number of the record that was taken last.
    pub(crate) fn last(&self) -> Seq {
        self.first + self.window.len() as Seq - 1
    }

    /// Whether a record is held still.
    pub(crate) fn holds(&self, seq: Seq) -> bool {
        seq >= self.first
    }

    /// How many of them were started: what a crash now would repeat.
    pub(crate) fn ahead(&self) -> usize {
        self.ahead
    }

    /// How many keys have records that are not done.
    pub(crate) fn keys(&self) -> usize {
        self.queues.len()
    }

    /// The first record that is not done.
    pub(crate) fn front(&self) -> Option<Front<'_>> {
        let slot = self.window.front()?;
        let queue = &self.queues[slot.key];
        Some(Front {
            seq: self.first,
            offset: slot.offset,
            id: slot.key,
            key: queue.name.as_deref(),
            state: queue.state,
        })
    }

    /// The records of a key that are not done, in the order of the broker, and what they are doing.
    pub(crate) fn of_key(&self, key: &[u8]) -> Option<(KeyState, Vec<Open<'_, R>>)> {
        let id = *self.keys.get(key)?;
        let queue = &self.queues[id];
        let mut waiting = queue.head.iter().chain(&queue.behind).peekable();
        let mut open = Vec::new();
        for (seq, slot) in (self.first..).zip(&self.window) {
            if slot.key == id && slot.state != SlotState::Done {
                let record = waiting.next_if(|(it, _)| *it == seq).map(|(_, it)| it);
                let tries = record.map_or(queue.running, Keyed::tries);
                open.push(Open { offset: slot.offset, tries, record });
            }
        }
        Some((queue.state, open))
    }

    /// Takes in the broker's next record. Answers its key, and whether that has become ready, or urgent while it was.
    pub(crate) fn push(&mut self, offset: i64, record: R) -> (KeyId, bool) {
        let seq = self.first + self.window.len() as Seq;
        let (id, is_new) = self.find_or_add(record.key());
        self.window.push_back(Slot { offset, key: id, state: SlotState::New });
        let queue = &mut self.queues[id];
        let becomes_urgent = record.is_urgent() && !queue.is_urgent();
        queue.urgent = if record.is_urgent() { Some(seq) } else { queue.urgent };
        if is_new {
            queue.head = Some((seq, record));
        } else {
            queue.behind.push_back((seq, record));
            // Where all that there were run, the queue has no head.
            queue.refill();
        }
        (id, is_new || (becomes_urgent && queue.state == KeyState::Ready))
    }

    fn find_or_add(&mut self, key: Option<&[u8]>) -> (KeyId, bool) {
        let queues = &mut self.queues;
        let Some(key) = key else {
            let is_new = self.keyless.is_none();
            let id = *self.keyless.get_or_insert_with(|| queues.insert(KeyQueue::new(None)));
            return (id, is_new);
        };
        match self.keys.entry_ref(key) {
            EntryRef::Occupied(known) => (*known.get(), false),
            EntryRef::Vacant(vacant) => {
                let name: Arc<[u8]> = Arc::from(key);
                let id = queues.insert(KeyQueue::new(Some(Arc::clone(&name))));
                vacant.insert_entry_with_key(name, id);
                (id, true)
            }
        }
    }

    /// The next record of a key, where the key is ready.
    pub(crate) fn ready(&self, key: KeyId) -> Option<(Seq, &R)> {
        let queue = self.queues.get(key).filter(|it| it.state == KeyState::Ready)?;
        queue.head.as_ref().map(|(seq, record)| (*seq, record))
    }

    /// Whether a key's next record, or one that stands behind it, is urgent.
    pub(crate) fn is_urgent(&self, key: KeyId) -> bool {
        self.queues.get(key).is_some_and(KeyQueue::is_urgent)
    }

    /// The keys that are ready.
    pub(crate) fn ready_keys(&self) -> impl Iterator<Item = KeyId> {
        self.queues.iter().filter(|(_, it)| it.state == KeyState::Ready).map(|(key, _)| key)
    }

    /// Whether a ready key may start while at most so many records are ahead of the prefix. The first record that is
    /// not done always may, and so may one that has been started before.
    pub(crate) fn may_start(&self, key: KeyId, ahead_max: usize) -> bool {
        let Some((seq, _)) = self.ready(key) else { return false };
        self.ahead < ahead_max || seq == self.first || self.slot(seq).state == SlotState::Started
    }

    /// Puts a ready key aside until fewer records are ahead.
    pub(crate) fn hold(&mut self, key: KeyId) {
        self.queues[key].state = KeyState::Held;
    }

    /// A key that was held, or has waited long enough, is ready. Answers whether it was in that state.
    pub(crate) fn wake(&mut self, key: KeyId, from: KeyState) -> bool {
        match self.queues.get_mut(key) {
            Some(queue) if queue.state == from => {
                queue.state = KeyState::Ready;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Starts the next record of a ready key, and up to `most` in all of those behind it as long as they `may` go
    /// with it.
    pub(crate) fn start(
        &mut self,
        key: KeyId,
        most: usize,
        may: impl Fn(&R) -> bool,
        mut each: impl FnMut(Seq, R),
    ) {
        let Some(queue) = self.queues.get_mut(key).filter(|it| it.state == KeyState::Ready) else {
            return;
        };
        queue.state = KeyState::Running;
        for nth in 0..most {
            let next = queue.head.take_if(|(_, record)| nth == 0 || may(record));
            let Some((seq, record)) = next else { break };
            if nth == 0 {
                queue.running = record.tries();
            }
            queue.refill();
            let slot = &mut self.window[(seq - self.first) as usize];
            if slot.state == SlotState::New {
                slot.state = SlotState::Started;
                self.ahead += 1;
            }
            each(seq, record);
        }
    }

    /// A record that was started is done.
    pub(crate) fn finish(&mut self, seq: Seq) {
        let at = (seq - self.first) as usize;
        self.window[at].state = SlotState::Done;
    }

    /// A record that was started is not done: it stands in front of its key again. Of several, the last comes first.
    pub(crate) fn give_back(&mut self, key: KeyId, seq: Seq, record: R) {
        let queue = &mut self.queues[key];
        if let Some(head) = queue.head.replace((seq, record)) {
            queue.behind.push_front(head);
        }
    }

    /// Nothing of a key runs any more. Answers whether it has a next record; that is ready, or waits.
    pub(crate) fn release(&mut self, key: KeyId, state: KeyState) -> bool {
        let queue = &mut self.queues[key];
        queue.state = state;
        if queue.head.is_some() {
            return true;
        }
        match self.queues.remove(key).name {
            Some(name) => drop(self.keys.remove(&name)),
            None => self.keyless = None,
        }
        if self.queues.is_empty() && self.queues.capacity() > KEYS_KEPT {
            // What a burst has needed is given back.
            (self.queues, self.keys) = (Slab::new(), HashMap::new());
        }
        false
    }

    /// Forgets the records that are done and have only done records before them. Answers the offset to commit:
    /// that of the record behind them.
    pub(crate) fn advance(&mut self) -> Option<i64> {
        let mut next = None;
        while let Some(slot) = self.window.front().filter(|it| it.state == SlotState::Done) {
            next = Some(slot.offset + 1);
            self.window.pop_front();
            self.first += 1;
            self.ahead -= 1;
        }
        next
    }

    fn slot(&self, seq: Seq) -> &Slot {
        &self.window[(seq - self.first) as usize]
    }
}

impl<R> KeyQueue<R> {
    fn new(name: Option<Arc<[u8]>>) -> Self {
        let (state, running) = (KeyState::Ready, Tries::default());
        Self { name, state, head: None, behind: VecDeque::new(), urgent: None, running }
    }

    fn is_urgent(&self) -> bool {
        self.head.as_ref().is_some_and(|(head, _)| self.urgent.is_some_and(|it| it >= *head))
    }

    fn refill(&mut self) {
        if self.head.is_none() {
            self.head = self.behind.pop_front();
        }
    }
}
