//! A load of which one can tell whether anything is missing: in each round every key says the round's number.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use crate::bus::Bus;

/// Rounds of records, one of each key.
pub(crate) struct Rounds<'a> {
    bus: &'a Bus,
    keys: usize,
    rounds: u32,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(bus: &'a Bus, keys: usize) -> Self {
        Self { bus, keys, rounds: 0 }
    }

    /// Publishes the next round.
    pub(crate) async fn say(&mut self) {
        let round = self.rounds.to_string();
        let messages: Vec<_> =
            (0..self.keys).map(|key| self.bus.message(Some(&format!("k{key}")), &round)).collect();
        try_join_all(messages.iter().map(|it| self.bus.producer.publish(it))).await.unwrap();
        self.rounds += 1;
    }

    pub(crate) fn records(&self) -> usize {
        self.keys * self.rounds as usize
    }

    /// Sorts out which of `handled`, in the order of their handling, were handled for the first time.
    ///
    /// # Panics
    /// A record is missing, or was handled before an earlier one of its key.
    pub(crate) fn firsts<'h>(&self, handled: impl Iterator<Item = (&'h str, u32)>) -> Vec<bool> {
        let mut next: BTreeMap<&str, u32> = BTreeMap::new();
        let firsts = handled.map(|(key, round)| {
            let next = next.entry(key).or_default();
            assert!(round <= *next, "{key}: record {round} was handled before record {next}");
            let is_first = round == *next;
            *next += u32::from(is_first);
            is_first
        });
        let firsts = firsts.collect();
        assert_eq!(next.len(), self.keys, "keys are missing");
        for (key, next) in next {
            assert_eq!(next, self.rounds, "{key}: records are missing");
        }
        firsts
    }
}
