//! One attempt at the records of a call: decode them, hand them to their callback, set aside what cannot be handled.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt;
use smallvec::smallvec;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::{
    call::{Ended, Entry, Few},
    guard::Guard,
    meters::Meter,
    partition::{Keyed, Tries},
};
use crate::{
    Delivery, EventBusProducer, Lane, Outcome, Record, Serializer, backoff,
    dead_letters::{Cause, History, set_aside},
    registry::{Callback, Called, Registered},
};

/// How long a key waits whose handling panicked, took too long or answered nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// What every attempt of a consumer needs.
pub(crate) struct Handling {
    pub(crate) group: String,
    pub(crate) serializer: Serializer,
    pub(crate) dead_letters: EventBusProducer,
    pub(crate) guard: Mutex<Guard>,
    pub(crate) attempts_max: u32,
    /// A record whose failures count is tried no longer than this.
    pub(crate) record_limit: Duration,
    /// A call takes no longer than this.
    pub(crate) limit: Duration,
}

/// A record with what happened to it so far.
pub(crate) struct Tried {
    pub(crate) record: Record,
    taken_at: Instant,
    attempts: u32,
    counted: u32,
    first_attempt_at: Option<Instant>,
    previous_failure_at: Option<Instant>,
    /// Why its last attempt failed.
    pub(crate) why: Option<Box<str>>,
    refused: Option<Refused>,
}

/// A record that is to be set aside.
#[derive(Clone)]
struct Refused {
    cause: Cause,
    error: String,
    /// How often that has failed.
    attempts: u32,
}

/// How an attempt ends.
enum Over {
    Ended(Ended),
    /// The record goes to the dead letters.
    Refused(Refused),
}

/// What is remembered of a message while its callback has it.
struct About {
    meter: Arc<Meter>,
    span: tracing::Span,
    wants_reply: bool,
}

impl Tried {
    pub(crate) fn new(record: Record) -> Self {
        Self {
            record,
            taken_at: Instant::now(),
            attempts: 0,
            counted: 0,
            first_attempt_at: None,
            previous_failure_at: None,
            why: None,
            refused: None,
        }
    }
}

impl Keyed for Box<Tried> {
    fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }

    fn tries(&self) -> Tries {
        Tries {
            ended: self.attempts,
            first_at: self.first_attempt_at,
            written_ms: self.record.timestamp_ms(),
        }
    }
}

impl Handling {
    /// Makes one attempt and notes it in its records. Answers how it ended for each of them.
    pub(crate) async fn attempt(
        &self,
        registered: &Registered,
        entries: &mut [Entry<Box<Tried>>],
        began: Instant,
    ) -> Few<Ended> {
        match &registered.registry.callback {
            Callback::One(callback) => {
                let [entry] = entries else { unreachable!("a call of one has one record") };
                smallvec![self.one(registered, &mut entry.record, &**callback, began).await]
            }
            Callback::Many(_, callback) => {
                // Seldom one record, and large: it stays out of what every attempt carries along.
                Box::pin(self.many(registered, entries, &**callback, began)).await
            }
        }
    }

    async fn one(
        &self,
        registered: &Registered,
        tried: &mut Tried,
        callback: &(dyn Fn(Delivery) -> Called<Outcome> + Send + Sync),
        began: Instant,
    ) -> Ended {
        let (delivery, about) = match self.open(registered, tried, began) {
            Ok(opened) => opened,
            Err(over) => return self.end(tried, over).await,
        };
        let called = self.call(registered, &about.span, || callback(delivery)).await;
        about.meter.seconds.record(began.elapsed().as_secs_f64());
        let over = self.close(tried, &about, called.unwrap_or_else(|it| failed(it, true)));
        self.end(tried, over).await
    }

    async fn many(
        &self,
        registered: &Registered,
        entries: &mut [Entry<Box<Tried>>],
        callback: &(dyn Fn(Vec<Delivery>) -> Called<Vec<Outcome>> + Send + Sync),
        began: Instant,
    ) -> Few<Ended> {
        let mut ended: Few<Ended> = smallvec![Ended::Untouched; entries.len()];
        let (mut deliveries, mut all) = (Vec::with_capacity(entries.len()), Vec::new());
        // One of this key stays: nothing behind it may pass.
        let mut stays = false;
        for at in 0..entries.len() {
            stays = stays && is_behind(entries, at);
            if stays {
                continue;
            }
            match self.open(registered, &mut entries[at].record, began) {
                Ok((delivery, about)) => {
                    deliveries.push(delivery);
                    all.push((at, about));
                }
                Err(over) => {
                    ended[at] = self.end(&mut entries[at].record, over).await;
                    stays = ended[at] != Ended::Done;
                }
            }
        }
        if all.is_empty() {
            return ended;
        }
        let span = tracing::info_span!("records", topic = registered.registry.topic);
        // The spans of the records stand beside the call, not around it.
        let called = self.call(registered, &span, || callback(deliveries)).await;
        let seconds = began.elapsed().as_secs_f64();
        // Where all of them have failed together, each goes by itself from now on: only that one counts.
        let is_one = all.len() == 1;
        let (outcomes, failure) = match called {
            Ok(outcomes) => (outcomes, "the callback answered nothing for the record".to_owned()),
            Err(failure) => (Vec::new(), failure),
        };
        let mut outcomes = outcomes.into_iter();
        let mut last = None;
        for (at, about) in all {
            let outcome = outcomes.next();
            let stays =
                last.is_some_and(|it| ended[it] != Ended::Done && is_of_one_key(entries, it, at));
            if !stays {
                last = Some(at);
                about.meter.seconds.record(seconds);
                let outcome = outcome.unwrap_or_else(|| {
                    entries[at].alone = true;
                    failed(failure.clone(), is_one)
                });
                let tried = &mut entries[at].record;
                let over = self.close(tried, &about, outcome);
                ended[at] = self.end(tried, over).await;
            }
        }
        for (entry, _) in entries.iter_mut().zip(&ended).filter(|it| *it.1 == Ended::Untouched) {
            // It stood behind another one: its own time has not begun.
            entry.record.first_attempt_at = None;
        }
        ended
    }

    /// Begins an attempt at a record: there is something to call its callback with, or the attempt is over.
    fn open(
        &self,
        registered: &Registered,
        tried: &mut Tried,
        began: Instant,
    ) -> Result<(Delivery, About), Over> {
        if let Some(refused) = tried.refused.take() {
            return Err(Over::Refused(refused));
        }
        tried.attempts += 1;
        let first_attempt_at = *tried.first_attempt_at.get_or_insert(began);
        let message = match self.serializer.deserialize(&tried.record) {
            Ok(message) => message,
            Err(err) => {
                return Err(self.refuse(tried, Cause::Undecodable, err.to_string()));
            }
        };
        let meter = registered.meters.of(&message.event_type);
        if let Some(topic) = registered.topic {
            let Some(event) = topic.event(&message.event_type) else {
                let error = format!("`{}` has no event `{}`", topic.name, message.event_type);
                return Err(self.refuse(tried, Cause::UnknownEventType, error));
            };
            if !event.consumers.contains(&self.group.as_str()) {
                meter.count("not_for_us");
                return Err(Over::Ended(Ended::Done));
            }
        }
        let span = match (message.attributes.lane, &registered.registry.callback) {
            (Lane::Live, Callback::One(_)) => {
                let span = span(&tried.record, Some(&message.event_type), tried.attempts);
                message.trace_id.adopt(&span);
                span
            }
            // There are too many of them: they get one where there is something to say.
            (Lane::Sync, Callback::One(_)) | (_, Callback::Many(..)) => tracing::Span::none(),
        };
        let wants_reply = message.attributes.request_id.is_some();
        let delivery = Delivery {
            attempt: tried.attempts,
            counted: tried.counted,
            attempts_max: self.attempts_max,
            taken_at: tried.taken_at,
            first_attempt_at,
            previous_failure_at: tried.previous_failure_at,
            message,
        };
        Ok((delivery, About { meter, span, wants_reply }))
    }

    /// A callback that panics or takes too long has failed; the records may be at fault.
    async fn call<T>(
        &self,
        registered: &Registered,
        span: &tracing::Span,
        callback: impl FnOnce() -> Called<T>,
    ) -> Result<T, String> {
        let panicked = || Err("the callback panicked".to_owned());
        let called = catch_unwind(AssertUnwindSafe(|| span.in_scope(callback)));
        let Ok(called) = called else { return panicked() };
        let mut call = AssertUnwindSafe(called).catch_unwind();
        // A call that ends at once needs no timer.
        let polled = poll_fn(|context| {
            let _entered = span.enter();
            Poll::Ready(call.poll_unpin(context))
        })
        .await;
        let limit = registered.registry.limit.unwrap_or(self.limit);
        let ended = match polled {
            Poll::Ready(ended) => Ok(ended),
            Poll::Pending => timeout(limit, call.instrument(span.clone())).await,
        };
        match ended {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => panicked(),
            Err(_) => Err(format!("the callback took longer than {} s", limit.as_secs_f64())),
        }
    }

    /// What an outcome means for its record.
    fn close(&self, tried: &mut Tried, about: &About, outcome: Outcome) -> Over {
        let is_failure = match &outcome {
            Outcome::Done | Outcome::Skipped(_) => false,
            Outcome::RetryAfter { reason, .. } | Outcome::Reject { reason } => !reason.is_empty(),
        };
        let span = match is_failure && about.span.is_none() {
            true => span(&tried.record, tried.record.header("ce_type"), tried.attempts),
            false => about.span.clone(),
        };
        let _entered = span.enter();
        match outcome {
            Outcome::Done => {
                about.meter.done.increment(1);
                self.guard().handled();
            }
            Outcome::Skipped(reason) => {
                tracing::debug!(reason, "a record has no effect");
                about.meter.count(reason);
                // What was refused by a reply looks like this too.
                if !about.wants_reply {
                    self.guard().handled();
                }
            }
            Outcome::Reject { reason } => {
                about.meter.count("rejected");
                return self.refuse(tried, Cause::Rejected, reason);
            }
            Outcome::RetryAfter { after, counted, reason } => {
                about.meter.count(if reason.is_empty() { "held" } else { "retried" });
                return self.retry(tried, after, counted, reason);
            }
        }
        Over::Ended(Ended::Done)
    }

    fn retry(&self, tried: &mut Tried, after: Duration, counted: bool, reason: String) -> Over {
        tried.previous_failure_at = Some(Instant::now());
        tried.counted += u32::from(counted);
        let is_too_old = tried.first_attempt_at.is_some_and(|it| it.elapsed() >= self.record_limit);
        // What does not count is not the record's fault, however long it lasts.
        if tried.counted >= self.attempts_max || (counted && is_too_old) {
            return self.refuse(tried, Cause::Exhausted, reason);
        }
        if !reason.is_empty() {
            tracing::warn!(reason, counted, after_ms = after.as_millis() as u64, "a record waits");
        }
        tried.why = Some(reason.into_boxed_str());
        Over::Ended(Ended::Retry { after })
    }

    fn refuse(&self, tried: &mut Tried, cause: Cause, error: String) -> Over {
        // A newer producer's events are no sign of a bad deploy here.
        let counts = match cause {
            Cause::Undecodable | Cause::Rejected | Cause::Exhausted => true,
            Cause::UnknownEventType => false,
        };
        if counts && !self.guard().may_set_aside() {
            tracing::error!(
                topic = tried.record.topic(),
                partition = tried.record.partition(),
                offset = tried.record.offset(),
                error,
                "a record is kept back: there are too many dead letters"
            );
            // It is tried anew when somebody has resumed the consumer.
            (tried.attempts, tried.counted, tried.first_attempt_at) = (0, 0, None);
            return Over::Ended(Ended::Untouched);
        }
        Over::Refused(Refused { cause, error, attempts: 0 })
    }

    async fn end(&self, tried: &mut Tried, over: Over) -> Ended {
        match over {
            Over::Ended(ended) => ended,
            // Seldom, and large: it stays out of what every attempt carries along.
            Over::Refused(refused) => Box::pin(self.set_aside(tried, refused)).await,
        }
    }

    /// A dead letter that cannot be written waits as a record does: its key stands still, others go on.
    async fn set_aside(&self, tried: &mut Tried, refused: Refused) -> Ended {
        let Refused { cause, error, attempts } = &refused;
        let history =
            History { group: &self.group, cause: *cause, error, attempts: tried.attempts };
        let Err(err) = set_aside(&self.dead_letters, &tried.record, history).await else {
            return Ended::Done;
        };
        tracing::error!(
            ?err,
            topic = tried.record.topic(),
            "a dead letter could not be written, trying again"
        );
        tried.why = Some(format!("its dead letter could not be written: {err}").into_boxed_str());
        let attempts = attempts + 1;
        tried.refused = Some(Refused { attempts, ..refused });
        Ended::Retry { after: backoff(attempts) }
    }

    pub(crate) fn guard(&self) -> std::sync::MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a record stands behind the one before it: both are of one key.
fn is_behind(entries: &[Entry<Box<Tried>>], at: usize) -> bool {
    at > 0 && is_of_one_key(entries, at - 1, at)
}

fn is_of_one_key(entries: &[Entry<Box<Tried>>], one: usize, other: usize) -> bool {
    let (one, other) = (&entries[one].record.record, &entries[other].record.record);
    one.partition() == other.partition() && one.key() == other.key()
}

fn failed(reason: String, counted: bool) -> Outcome {
    Outcome::RetryAfter { after: PAUSE, counted, reason }
}

fn span(record: &Record, event_type: Option<&str>, attempt: u32) -> tracing::Span {
    tracing::info_span!(
        "record",
        topic = record.topic(),
        partition = record.partition(),
        offset = record.offset(),
        key = record.key().and_then(|it| str::from_utf8(it).ok()),
        event_type,
        trace_id = record.header("traceparent").and_then(|it| it.split('-').nth(1)),
        attempt
    )
}
