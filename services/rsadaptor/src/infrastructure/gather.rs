//! What many ask at the same time is asked in one call; each hears its own answer.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::sleep,
};

/// How questions are put together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathering {
    /// Most questions of a call.
    pub(super) most: usize,
    /// How long the first one waits for others. What waits for a call that is under way is put together in any case.
    pub(super) wait: Duration,
    /// Most calls at a time.
    pub(super) side_by_side: usize,
}

/// Where questions are put together. Clones gather into the same calls.
#[derive(Debug)]
pub(super) struct Gather<Q, A> {
    asked: mpsc::UnboundedSender<Asked<Q, A>>,
}

type Asked<Q, A> = (Q, oneshot::Sender<A>);

/// A call was broken off before it answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost;

impl<Q: Send + 'static, A: Send + 'static> Gather<Q, A> {
    /// Makes each call with `call`, which answers every question in its place.
    pub(super) fn new<C, F>(gathering: Gathering, call: C) -> Self
    where
        C: Fn(Vec<Q>) -> F + Send + 'static,
        F: Future<Output = Vec<A>> + Send + 'static,
    {
        let (asked, questions) = mpsc::unbounded_channel();
        tokio::spawn(run(gathering, questions, call));
        Self { asked }
    }

    /// Asks. How many ask at a time is bounded by how many records are handled at a time.
    ///
    /// # Errors
    /// The call was broken off.
    pub(super) async fn ask(&self, question: Q) -> Result<A, Lost> {
        let (answer, answered) = oneshot::channel();
        self.asked.send((question, answer)).map_err(|_| Lost)?;
        answered.await.map_err(|_| Lost)
    }
}

impl<Q, A> Clone for Gather<Q, A> {
    fn clone(&self) -> Self {
        Self { asked: self.asked.clone() }
    }
}

/// Runs until nobody can ask any more.
async fn run<Q, A, F>(
    gathering: Gathering,
    mut questions: mpsc::UnboundedReceiver<Asked<Q, A>>,
    call: impl Fn(Vec<Q>) -> F,
) where
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = Vec<A>> + Send + 'static,
{
    let Gathering { most, wait, side_by_side } = gathering;
    let places = Arc::new(Semaphore::new(side_by_side.max(1)));
    while let Some(first) = questions.recv().await {
        // Where enough have come already, nobody waits for more.
        if !wait.is_zero() && questions.len() + 1 < most {
            sleep(wait).await;
        }
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let (mut all, mut tell) = (vec![first.0], vec![first.1]);
        while all.len() < most
            && let Ok((question, answer)) = questions.try_recv()
        {
            // Who has gone meanwhile needs no answer.
            if !answer.is_closed() {
                all.push(question);
                tell.push(answer);
            }
        }
        let answers = call(all);
        tokio::spawn(async move {
            let answers = answers.await;
            drop(place);
            for (tell, answer) in tell.into_iter().zip(answers) {
                // Whoever asked may have gone.
                drop(tell.send(answer));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    fn doubling(gathering: Gathering, calls: &Arc<Mutex<Vec<usize>>>) -> Gather<u64, u64> {
        let calls = Arc::clone(calls);
        Gather::new(gathering, move |all: Vec<u64>| {
            calls.lock().unwrap().push(all.len());
            async move { all.into_iter().map(|it| it * 2).collect() }
        })
    }

    const WAITING: Gathering =
        Gathering { most: 10, wait: Duration::from_millis(5), side_by_side: 2 };

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_within_the_wait_is_one_call_and_each_hears_its_own_answer() {
        let calls = Arc::default();
        let gather = doubling(WAITING, &calls);
        let answers = join_all((0..8).map(|it| gather.ask(it))).await;
        let answers: Vec<u64> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [0, 2, 4, 6, 8, 10, 12, 14]);
        assert_eq!(*calls.lock().unwrap(), [8]);
        // A call has so many questions at the most.
        join_all((0..25).map(|it| gather.ask(it))).await;
        assert_eq!(*calls.lock().unwrap(), [8, 10, 10, 5]);
    }

    #[tokio::test]
    async fn who_does_not_wait_is_put_together_only_while_a_call_is_under_way() {
        let (entered, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, gate) = (Arc::clone(&entered), Arc::clone(&open));
        let at_once = Gathering { wait: Duration::ZERO, side_by_side: 1, ..WAITING };
        let gather = Gather::new(at_once, move |all: Vec<u64>| {
            let (count, gate) = (Arc::clone(&count), Arc::clone(&gate));
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                vec![all.len(); all.len()]
            }
        });
        let first = tokio::spawn({
            let gather = gather.clone();
            async move { gather.ask(0).await.unwrap() }
        });
        while entered.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let more = (1..=5).map(|it| {
            let gather = gather.clone();
            tokio::spawn(async move { gather.ask(it).await.unwrap() })
        });
        let more: Vec<_> = more.collect();
        tokio::task::yield_now().await;
        open.notify_one();
        assert_eq!(first.await.unwrap(), 1);
        open.notify_one();
        for it in more {
            assert_eq!(it.await.unwrap(), 5);
        }
    }

    #[tokio::test]
    async fn a_call_that_breaks_off_is_told_to_those_who_asked_and_others_go_on() {
        let at_once = Gathering { wait: Duration::ZERO, ..WAITING };
        let gather = Gather::new(at_once, async |all: Vec<u64>| {
            assert!(!all.contains(&13), "a bad one");
            all
        });
        assert!(gather.ask(13).await.is_err());
        assert_eq!(gather.ask(1).await.unwrap(), 1);
    }
}
