//! Devices of syncs that are put in one call. What is heard of a device alone is told to its record; what is heard of
//! the call as a whole is told apart from it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use eventbus::Destination;
use events::Revision;
use hs_admin::{Answer, BatchAnswer, BatchEntry, HsAdmin};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::infrastructure::gather::{Gather, Gathering};

/// How devices are put together.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Most devices of a call.
    pub items_max: usize,
    /// How long the first one waits for others.
    pub wait: Duration,
}

/// A device that is to be put.
#[derive(Clone, Debug)]
pub(super) struct Question {
    entry: BatchEntry,
    expires_at: Option<Timestamp>,
}

/// What its record is told.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// What the backend says of the device.
    Answered(Answer),
    /// It was not sent: it has expired, or sending was stopped.
    NotSent,
    /// The backend was in trouble with all of them.
    Trouble {
        /// What it said.
        answer: Answer,
        /// Whether this record tells the destination, which is told of each call once.
        speaks: bool,
        /// How long the backend wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The backend has not taken the call at all.
    Refused,
}

/// Where devices are put together.
#[derive(Debug)]
pub(super) struct Batches(Gather<Question, Told>);

impl Question {
    pub(super) fn new(
        revision: Revision,
        configuration: Bytes,
        expires_at: Option<Timestamp>,
    ) -> Self {
        Self { entry: BatchEntry { revision, configuration }, expires_at }
    }
}

impl Batches {
    /// Each call takes a place in both of `slots`, in their order.
    pub(super) fn new(
        BatchLimits { items_max, wait }: BatchLimits,
        side_by_side: usize,
        admin: HsAdmin,
        slots: [Arc<Semaphore>; 2],
        destination: Destination,
    ) -> Self {
        let gathering = Gathering { most: items_max, wait, side_by_side };
        Self(Gather::new(gathering, move |questions| {
            put(admin.clone(), slots.clone(), destination.clone(), questions)
        }))
    }

    pub(super) async fn ask(&self, question: Question) -> Told {
        self.0.ask(question).await.unwrap_or(Told::NotSent)
    }
}

async fn put(
    admin: HsAdmin,
    [first, second]: [Arc<Semaphore>; 2],
    destination: Destination,
    questions: Vec<Question>,
) -> Vec<Told> {
    let _first = first.acquire_owned().await.expect("it is never closed");
    let _second = second.acquire_owned().await.expect("it is never closed");
    let count = questions.len();
    if destination.open_for().is_some() {
        return vec![Told::NotSent; count];
    }
    let now = Timestamp::now();
    let is_late: Vec<bool> =
        questions.iter().map(|it| it.expires_at.is_some_and(|it| it <= now)).collect();
    let of_time = questions.into_iter().filter(|it| it.expires_at.is_none_or(|it| it > now));
    let entries: Vec<BatchEntry> = of_time.map(|it| it.entry).collect();
    if entries.is_empty() {
        return vec![Told::NotSent; count];
    }
    let sent = entries.len();
    let mut told = told(admin.post_devices(&entries).await, sent).into_iter();
    let each = is_late.into_iter().map(|is_late| match is_late {
        true => Told::NotSent,
        false => told.next().expect("each that was sent is told"),
    });
    each.collect()
}

/// What each of so many records is told.
fn told(answer: BatchAnswer, count: usize) -> Vec<Told> {
    let whole = match answer {
        BatchAnswer::Each(answers) => return answers.into_iter().map(Told::Answered).collect(),
        BatchAnswer::Whole(whole) => whole,
    };
    match whole {
        Answer::Trouble { retry_after, .. } => {
            let of = |at| Told::Trouble { answer: whole.clone(), speaks: at == 0, retry_after };
            (0..count).map(of).collect()
        }
        // Whether the backend knows batches, or is set up at all, each record finds out by itself.
        Answer::Done { .. }
        | Answer::NotSent
        | Answer::Stale
        | Answer::Early { .. }
        | Answer::Wrong { .. }
        | Answer::Misconfigured { .. } => {
            metrics::counter!("rsadaptor_batches_refused_total").increment(1);
            tracing::warn!(answer = ?whole, "a batch was refused: its devices go one by one");
            vec![Told::Refused; count]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_whole_that_failed_one_record_speaks_and_of_one_that_was_refused_none() {
        let detail = || "as told".to_owned();
        let trouble =
            Answer::Trouble { http_status: Some(503), retry_after: None, detail: detail() };
        let all = told(BatchAnswer::Whole(trouble), 3);
        let speak = all.iter().filter(|it| matches!(it, Told::Trouble { speaks: true, .. }));
        assert_eq!((all.len(), speak.count()), (3, 1));
        let wrong = Answer::Wrong { http_status: 413, detail: detail() };
        let all = told(BatchAnswer::Whole(wrong), 2);
        assert!(matches!(all[..], [Told::Refused, Told::Refused]));
    }
}
