//! The dead letters of a topic and a group: where they lie, and which of them are still open.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
};

use anyhow::{Context as _, Result, bail};
use eventbus::{
    letters::{Entry, Extent, Letter, Mark, Place, extent, read},
    onlooker::{Unreadable, topics},
};
use events::topics::dead_letter_topic;
use rdkafka::ClientConfig;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::Selection;
use crate::{Usage, broker::onlooker};

/// How many letters are read ahead of what is done with them.
const READ_AHEAD: usize = 8;

/// Which dead letters are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum States {
    /// Those of which nothing has become yet.
    Open,
    /// All that the topic still has.
    All,
}

/// A dead-letter topic as it was when the command began.
pub(crate) struct Letters {
    /// The topic's name.
    pub(crate) topic: String,
    /// All topics of the broker with the number of their partitions.
    pub(crate) topics: BTreeMap<String, i32>,
    config: ClientConfig,
    extent: Extent,
    marks: HashMap<Place, Mark>,
}

impl Letters {
    /// Finds the dead-letter topic and reads its marks.
    pub(crate) async fn open(selection: &Selection) -> Result<Self> {
        let config = selection.broker.client()?;
        let (topic, group) = (selection.topic.clone(), selection.group.clone());
        let opened = spawn_blocking(move || open(config, &topic, &group)).await;
        let opened = opened.context("read the dead letters")??;
        let partitions = opened.topics[&opened.topic];
        if selection.offset.is_some() && selection.partition.is_none() && partitions > 1 {
            let topic = &opened.topic;
            let why = format!("`{topic}` has {partitions} partitions: say which with --partition");
            return Err(Usage(why).into());
        }
        Ok(opened)
    }

    /// Reads those that the selection takes, in the order in which they were set aside.
    pub(crate) fn read<'a>(&self, selection: &'a Selection, states: States) -> Reading<'a> {
        let (config, extent, marks) =
            (self.config.clone(), self.extent.clone(), self.marks.clone());
        let (letters_out, letters) = mpsc::channel(READ_AHEAD);
        let reader = spawn_blocking(move || {
            read(&config, &extent, |record| {
                let Entry::Letter(mut letter) = Entry::of(record) else {
                    return ControlFlow::Continue(());
                };
                letter.mark = marks.get(&letter.place).copied();
                if letter.mark.is_some() && states == States::Open {
                    return ControlFlow::Continue(());
                }
                // Nobody wants more of them where the other end is gone.
                match letters_out.blocking_send(letter) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            })
        });
        Reading { topic: self.topic.clone(), selection, letters, reader, found: 0 }
    }
}

fn open(config: ClientConfig, topic: &str, group: &str) -> Result<Letters> {
    let consumer = onlooker(&config)?;
    let topics = topics(&consumer)?;
    let name = dead_letter_topic(topic, group);
    let Some(partitions) = topics.get(&name).copied() else {
        bail!(missing(topic, group, &topics))
    };
    let extent = extent(&consumer, &name, partitions)?;
    drop(consumer);
    let mut marks = HashMap::new();
    read(&config, &extent, |record| {
        if let Entry::Mark(of, mark) = Entry::of(record) {
            marks.insert(of, mark);
        }
        ControlFlow::Continue(())
    })?;
    Ok(Letters { topic: name, topics, config, extent, marks })
}

/// Why there is no dead-letter topic, and what there is instead.
fn missing(topic: &str, group: &str, topics: &BTreeMap<String, i32>) -> String {
    let name = dead_letter_topic(topic, group);
    let (head, tail) = (format!("{topic}."), ".dlq");
    let group_of = |it: &'_ String| {
        let group = it.strip_prefix(&head)?.strip_suffix(tail)?;
        (!group.is_empty()).then(|| group.to_owned())
    };
    let groups: Vec<String> = topics.keys().filter_map(group_of).collect();
    match (groups.is_empty(), topics.contains_key(topic)) {
        (false, _) => format!(
            "the broker has no topic `{name}`: `{topic}` has dead letters of {}",
            groups.join(", ")
        ),
        (true, true) => {
            format!("the broker has no topic `{name}`, nor dead letters of any other group")
        }
        (true, false) => format!("the broker has neither a topic `{topic}` nor `{name}`"),
    }
}

/// Letters as they are read.
pub(crate) struct Reading<'a> {
    topic: String,
    selection: &'a Selection,
    letters: mpsc::Receiver<Letter>,
    reader: JoinHandle<Result<(), Unreadable>>,
    found: usize,
}

impl Reading<'_> {
    /// The next one, or nothing where there are no more.
    pub(crate) async fn next(&mut self) -> Result<Option<Letter>> {
        while let Some(letter) = self.letters.recv().await {
            if self.selection.takes(&letter) {
                self.found += 1;
                return Ok(Some(letter));
            }
        }
        (&mut self.reader).await.context("read the dead letters")??;
        match self.selection.offset {
            Some(offset) if self.found == 0 => {
                bail!("`{}` has no such dead letter at offset {offset}", self.topic)
            }
            Some(_) | None => Ok(None),
        }
    }
}
