//! One partition that is ours: which records are done, and which record of each key is next.
//!
//! Pure: it knows offsets and keys, no broker and no clock.

use std::collections::{HashMap, VecDeque};

/// A record's key; records without one are one key of their partition.
pub(crate) type Key = Option<Vec<u8>>;

/// The records of a partition that were taken from the broker and whose offsets are not stored yet.
pub(crate) struct Partition<R> {
    /// Every record from the first that is not done, in the order of the broker.
    window: VecDeque<Slot>,
    keys: HashMap<Key, KeyQueue<R>>,
}

struct Slot {
    offset: i64,
    done: bool,
}

struct KeyQueue<R> {
    records: VecDeque<R>,
    state: KeyState,
}

/// At most one record of a key is under way; while it runs or waits, the others stand behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyState {
    Ready,
    Running,
    Waiting,
}

/// Whether a key's next record can be handled now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Ready,
    NotYet,
}

impl<R> Partition<R> {
    pub(crate) fn new() -> Self {
        Self { window: VecDeque::new(), keys: HashMap::new() }
    }

    /// How many records a crash now would repeat.
    pub(crate) fn len(&self) -> usize {
        self.window.len()
    }

    /// Takes in the broker's next record.
    pub(crate) fn push(&mut self, offset: i64, key: Key, record: R) -> Next {
        self.window.push_back(Slot { offset, done: false });
        match self.keys.get_mut(&key) {
            Some(queue) => {
                queue.records.push_back(record);
                Next::NotYet
            }
            None => {
                let queue = KeyQueue { records: VecDeque::from([record]), state: KeyState::Ready };
                self.keys.insert(key, queue);
                Next::Ready
            }
        }
    }

    /// Starts the next record of a key that was said to be ready.
    pub(crate) fn start(&mut self, key: &Key) -> Option<R> {
        let queue = self.keys.get_mut(key).filter(|it| it.state == KeyState::Ready)?;
        queue.state = KeyState::Running;
        queue.records.pop_front()
    }

    /// The running record of a key is done.
    pub(crate) fn finish(&mut self, key: &Key, offset: i64) -> Next {
        if let Some(at) = self.find(offset) {
            self.window[at].done = true;
        }
        let Some(queue) = self.keys.get_mut(key) else { return Next::NotYet };
        if queue.records.is_empty() {
            self.keys.remove(key);
            return Next::NotYet;
        }
        queue.state = KeyState::Ready;
        Next::Ready
    }

    /// Offsets grow, unless the broker lost records and begins anew in the middle of an assignment.
    fn find(&self, offset: i64) -> Option<usize> {
        let open = |at: &usize| !self.window[*at].done;
        let sorted = self.window.binary_search_by_key(&offset, |it| it.offset).ok().filter(open);
        sorted.or_else(|| self.window.iter().position(|it| it.offset == offset && !it.done))
    }

    /// The running record of a key is not done: it stays in front and waits.
    pub(crate) fn postpone(&mut self, key: &Key, record: R) {
        if let Some(queue) = self.keys.get_mut(key) {
            queue.records.push_front(record);
            queue.state = KeyState::Waiting;
        }
    }

    /// A key has waited long enough.
    pub(crate) fn wake(&mut self, key: &Key) -> Next {
        match self.keys.get_mut(key) {
            Some(queue) if queue.state == KeyState::Waiting => {
                queue.state = KeyState::Ready;
                Next::Ready
            }
            Some(_) | None => Next::NotYet,
        }
    }

    /// Forgets the records that are done and have only done records before them. Answers the offset to commit:
    /// that of the record behind them.
    pub(crate) fn advance(&mut self) -> Option<i64> {
        let mut next = None;
        while let Some(slot) = self.window.front().filter(|it| it.done) {
            next = Some(slot.offset + 1);
            self.window.pop_front();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(name: &str) -> Key {
        Some(name.as_bytes().to_vec())
    }

    #[test]
    fn records_of_a_key_run_one_at_a_time_and_in_order() {
        let mut partition = Partition::new();
        assert_eq!(partition.push(0, key("a"), 0), Next::Ready);
        assert_eq!(partition.push(1, key("a"), 1), Next::NotYet);
        assert_eq!(partition.push(2, key("b"), 2), Next::Ready);
        assert_eq!(partition.start(&key("a")), Some(0));
        assert_eq!(partition.start(&key("a")), None);
        assert_eq!(partition.start(&key("b")), Some(2));
        assert_eq!(partition.finish(&key("a"), 0), Next::Ready);
        assert_eq!(partition.start(&key("a")), Some(1));
    }

    #[test]
    fn only_the_contiguous_prefix_is_committed() {
        let mut partition = Partition::new();
        for offset in [3, 4, 7] {
            partition.push(offset, key(&offset.to_string()), offset);
            partition.start(&key(&offset.to_string()));
        }
        partition.finish(&key("4"), 4);
        assert_eq!(partition.advance(), None);
        partition.finish(&key("3"), 3);
        assert_eq!(partition.advance(), Some(5));
        partition.finish(&key("7"), 7);
        assert_eq!(partition.advance(), Some(8));
        assert_eq!(partition.len(), 0);
    }

    #[test]
    fn a_record_that_waits_stays_before_the_next_of_its_key() {
        let mut partition = Partition::new();
        partition.push(0, None, "first");
        partition.push(1, None, "second");
        let record = partition.start(&None).unwrap();
        partition.postpone(&None, record);
        assert_eq!(partition.start(&None), None);
        assert_eq!(partition.wake(&None), Next::Ready);
        assert_eq!(partition.wake(&None), Next::NotYet);
        assert_eq!(partition.start(&None), Some("first"));
    }

    #[test]
    fn offsets_that_begin_anew_in_the_middle_do_not_stop_the_partition() {
        let mut partition = Partition::new();
        for (offset, name) in [(998, "a"), (999, "b"), (0, "c"), (1, "d")] {
            partition.push(offset, key(name), offset);
            partition.start(&key(name));
        }
        for (offset, name) in [(1, "d"), (998, "a"), (0, "c"), (999, "b")] {
            partition.finish(&key(name), offset);
        }
        assert_eq!(partition.advance(), Some(2));
        assert_eq!(partition.len(), 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Start(u8),
        Finish(u8),
        Postpone(u8),
        Wake(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..4u8).prop_map(Step::Push),
            3 => (0..4u8).prop_map(Step::Start),
            2 => (0..4u8).prop_map(Step::Finish),
            1 => (0..4u8).prop_map(Step::Postpone),
            1 => (0..4u8).prop_map(Step::Wake),
        ];
        proptest::collection::vec(step, 1..200)
    }

    proptest! {
        /// Whatever happens: nothing is committed before it is done, and every key keeps its order.
        #[test]
        fn nothing_is_lost_and_nothing_is_committed_early(steps in steps()) {
            let mut partition = Partition::new();
            let mut running: HashMap<u8, i64> = HashMap::new();
            let mut last_done: HashMap<u8, i64> = HashMap::new();
            let (mut pushed, mut done, mut committed) = (0i64, Vec::<i64>::new(), 0i64);
            for step in steps {
                match step {
                    Step::Push(it) => {
                        partition.push(pushed, Some(vec![it]), pushed);
                        pushed += 1;
                    }
                    Step::Start(it) => if let Some(offset) = partition.start(&Some(vec![it])) {
                        prop_assert!(running.insert(it, offset).is_none(), "two of one key");
                        prop_assert!(last_done.get(&it).is_none_or(|last| *last < offset));
                    },
                    Step::Finish(it) => if let Some(offset) = running.remove(&it) {
                        partition.finish(&Some(vec![it]), offset);
                        last_done.insert(it, offset);
                        done.push(offset);
                    },
                    Step::Postpone(it) => if let Some(offset) = running.remove(&it) {
                        partition.postpone(&Some(vec![it]), offset);
                    },
                    Step::Wake(it) => { partition.wake(&Some(vec![it])); }
                }
                committed = partition.advance().unwrap_or(committed);
                prop_assert!((0..committed).all(|it| done.contains(&it)));
                prop_assert_eq!(partition.len() as i64, pushed - committed);
            }
        }
    }
}
