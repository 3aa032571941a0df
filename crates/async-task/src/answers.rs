//! Answers that arrive together: those to one task are one write.

use std::{collections::BTreeMap, future::Future};

use eventbus::{Delivery, Outcome};
use events::{AppliedReply, RequestId, SyncReply};
use problem::{Kind, Problem};

use crate::TaskResult;

/// Why an answer has no effect whose task has heard it before, or does not wait for it.
const NOTHING_NEW: &str = "no request is open";

/// What answers a request of a task.
pub trait Answer {
    /// The request.
    fn request_id(&self) -> &RequestId;
}

impl Answer for SyncReply {
    fn request_id(&self) -> &RequestId {
        &self.request_id
    }
}

impl Answer for AppliedReply {
    fn request_id(&self) -> &RequestId {
        &self.request_id
    }
}

/// What came together of one event type for one task.
#[derive(Debug)]
pub struct Answers<A> {
    /// The task whose requests they answer.
    pub task_id: RequestId,
    /// Their event type.
    pub event_type: String,
    /// What they say, in the order in which they came.
    pub all: Vec<A>,
}

/// Where answers stand among the deliveries, and what they say.
type Places<A> = (Vec<usize>, Vec<A>);

/// Handles answers: `read` says what a record says or what becomes of it unheard, `dispatch` has one task count what is
/// for it. Answers what becomes of each record.
pub async fn on_answers<A, F>(
    deliveries: &[Delivery],
    read: impl Fn(&Delivery) -> Result<A, Outcome>,
    dispatch: impl Fn(Answers<A>) -> F,
) -> Vec<Outcome>
where
    A: Answer,
    F: Future<Output = Result<TaskResult, Problem>>,
{
    let mut outcomes = vec![Outcome::Done; deliveries.len()];
    let mut tasks: BTreeMap<(RequestId, &str), Places<A>> = BTreeMap::new();
    for (at, delivery) in deliveries.iter().enumerate() {
        match read(delivery).and_then(|it| Ok((task_of(&it, delivery)?, it))) {
            Ok((task_id, answer)) => {
                let event_type = delivery.message.event_type.as_str();
                let (places, all) = tasks.entry((task_id, event_type)).or_default();
                places.push(at);
                all.push(answer);
            }
            Err(outcome) => outcomes[at] = outcome,
        }
    }
    for ((task_id, event_type), (places, all)) in tasks {
        let event_type = event_type.to_owned();
        let dispatched = dispatch(Answers { task_id, event_type, all }).await;
        for at in places {
            outcomes[at] = match &dispatched {
                Ok(result) if result.changed => Outcome::Done,
                Ok(_) => Outcome::Skipped(NOTHING_NEW),
                Err(problem) => problem.clone().outcome(deliveries[at].attempt),
            };
        }
    }
    outcomes
}

fn task_of(answer: &impl Answer, delivery: &Delivery) -> Result<RequestId, Outcome> {
    let task_id = answer.request_id().task_id().parse();
    task_id.map_err(|error: events::InvalidId| {
        Problem::new(Kind::Invalid, error.to_string()).outcome(delivery.attempt)
    })
}
