//! The relay: untold documents become messages, and are untold no more.

use std::{fmt, sync::Arc, time::Duration};

use eventbus::{EventBusMessage, EventBusProducer, PublishError};
use futures_util::{TryStreamExt as _, future::ready};
use mongodb::{
    Collection, Database, IndexModel,
    bson::{DateTime, Document, deserialize_from_document, doc},
    options::IndexOptions,
};
use serde::de::DeserializeOwned;
use tokio::time::MissedTickBehavior;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::soon::Soon;

/// How many documents a pass tells at a time.
const AT_A_TIME: usize = 8;
/// How long what is being told may take when the service stops; another process tells the rest.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a document stays untold.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The server did not answer, or not well.
    #[error("the store did not answer")]
    Store(#[from] mongodb::error::Error),
    /// The broker has not acknowledged a message.
    #[error("the bus did not take a message")]
    Publish(#[from] PublishError),
    /// What is stored is of another form.
    #[error("`{id}` cannot be read: {reason}")]
    Unreadable {
        /// The document.
        id: String,
        /// Where it stops making sense.
        reason: String,
    },
}

/// What is untold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many documents.
    pub documents: u64,
    /// For how long the oldest of them has been that.
    pub oldest: Duration,
}

/// The documents of one collection and how they are told. Cheap to clone.
pub struct Outbox<T> {
    inner: Arc<Inner<T>>,
}

/// What says the present state of a document.
type Messages<T> = Box<dyn Fn(&T) -> Vec<EventBusMessage> + Send + Sync>;

struct Inner<T> {
    documents: Collection<Document>,
    bus: EventBusProducer,
    messages: Messages<T>,
    soon: Soon,
    under_way: TaskTracker,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T> fmt::Debug for Outbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("collection", &self.inner.documents.name()).finish()
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Outbox<T> {
    /// Makes the index that finds what is untold. `messages` says the present state of a document.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn open(
        database: &Database,
        collection: &str,
        bus: EventBusProducer,
        messages: impl Fn(&T) -> Vec<EventBusMessage> + Send + Sync + 'static,
    ) -> Result<Self, mongodb::error::Error> {
        let documents = database.collection(collection);
        let only = IndexOptions::builder().partial_filter_expression(doc! { "untold": true });
        let keys = doc! { "untold": 1, "untold_since": 1 };
        let index = IndexModel::builder().keys(keys).options(only.build()).build();
        documents.create_indexes([index]).await?;
        let (soon, under_way) = (Soon::default(), TaskTracker::new());
        let inner = Inner { documents, bus, messages: Box::new(messages), soon, under_way };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Tells a document in the background, now that it has changed. What this does not come to, a pass does.
    pub fn tell_soon(&self, id: &str) {
        if !self.inner.soon.begins(id) {
            return;
        }
        let (outbox, id) = (self.clone(), id.to_owned());
        let telling = async move {
            loop {
                if let Err(error) = outbox.tell(&id).await {
                    outbox.inner.soon.gives_up(&id);
                    outbox.note(&id, &error);
                    return;
                }
                if !outbox.inner.soon.goes_on(&id) {
                    return;
                }
            }
        };
        self.inner.under_way.spawn(telling.in_current_span());
    }

    /// Tells others the present state of a document, where it is untold; answers whether it was.
    ///
    /// # Errors
    /// Store or bus failed; doing it again is safe.
    pub async fn tell(&self, id: &str) -> Result<bool, TellError> {
        let Some(revision) = self.publish(id).await? else { return Ok(false) };
        fail::fail_point!("outbox::before-mark", |_| std::process::abort());
        let same = doc! { "_id": id, "revision": revision };
        let told = doc! {
            "$set": { "told": revision },
            "$unset": { "untold": "", "untold_since": "" },
        };
        self.inner.documents.update_one(same, told).await?;
        Ok(true)
    }

    /// Says what an untold document says; answers its revision once the broker has acknowledged all of it.
    ///
    /// # Errors
    /// Store or bus failed; doing it again is safe.
    pub async fn publish(&self, id: &str) -> Result<Option<i64>, TellError> {
        let untold = doc! { "_id": id, "untold": true };
        let Some(document) = self.inner.documents.find_one(untold).await? else { return Ok(None) };
        let unreadable = |reason: String| TellError::Unreadable { id: id.to_owned(), reason };
        let revision = document.get_i64("revision").map_err(|it| unreadable(it.to_string()))?;
        let state: T =
            deserialize_from_document(document).map_err(|it| unreadable(it.to_string()))?;
        fail::fail_point!("outbox::before-publish", |_| std::process::abort());
        for message in (self.inner.messages)(&state) {
            self.inner.bus.publish(&message).await?;
        }
        Ok(Some(revision))
    }

    /// Tells every document that has been untold for so long; answers how many it has told. One that cannot be told is
    /// no reason to leave the others, a broker that does not answer is.
    ///
    /// # Errors
    /// Store or bus failed.
    pub async fn tell_all(&self, for_at_least: Duration) -> Result<usize, TellError> {
        let age_ms = i64::try_from(for_at_least.as_millis()).unwrap_or(i64::MAX);
        let since = DateTime::now().timestamp_millis().saturating_sub(age_ms);
        let untold = doc! {
            "untold": true,
            "untold_since": { "$lte": DateTime::from_millis(since) },
        };
        let found = self.inner.documents.find(untold).sort(doc! { "untold_since": 1 });
        let found = found.projection(doc! { "_id": 1 }).await?;
        let tellings = found.map_err(TellError::from).map_ok(|it| async move {
            let id = it.get_str("_id").unwrap_or_default();
            let told = self.tell(id).await;
            match told {
                Ok(told) => Ok(usize::from(told)),
                Err(error) if error.is_of_one_document() => {
                    self.note(id, &error);
                    Ok(0)
                }
                Err(error) => Err(error),
            }
        });
        tellings.try_buffer_unordered(AT_A_TIME).try_fold(0, |sum, it| ready(Ok(sum + it))).await
    }

    /// What is untold now.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn backlog(&self) -> Result<Backlog, mongodb::error::Error> {
        let untold = doc! { "untold": true };
        let oldest = self.inner.documents.find_one(untold.clone());
        let oldest = oldest.sort(doc! { "untold_since": 1 }).await?;
        let Some(oldest) = oldest else { return Ok(Backlog::default()) };
        let documents = self.inner.documents.count_documents(untold).await?;
        let since =
            oldest.get_datetime("untold_since").copied().unwrap_or_else(|_| DateTime::now());
        let age_ms = DateTime::now().timestamp_millis() - since.timestamp_millis();
        let oldest = Duration::from_millis(u64::try_from(age_ms).unwrap_or_default());
        Ok(Backlog { documents, oldest })
    }

    /// Looks `every` so often for what is untold, tells it, and shows how much there is and how old; until `stop`.
    pub async fn relay_until(&self, every: Duration, stop: &CancellationToken) {
        // A pass waits for the broker; what is shown must not.
        let showing = repeat(every, stop, async || {
            if let Ok(backlog) = self.backlog().await {
                self.show(backlog);
            }
        });
        // What has just changed is being told by the process that took the change.
        let passing = repeat(every, stop, async || {
            if let Err(error) = self.tell_all(every).await {
                self.note("", &error);
            }
        });
        tokio::join!(showing, passing);
        self.inner.under_way.close();
        if tokio::time::timeout(LAST_WORDS, self.inner.under_way.wait()).await.is_err() {
            tracing::warn!(collection = self.collection(), "left untold at the end");
        }
    }

    fn collection(&self) -> &str {
        self.inner.documents.name()
    }

    fn show(&self, backlog: Backlog) {
        let labels = [("collection", self.collection().to_owned())];
        #[allow(clippy::cast_precision_loss, reason = "a gauge need not be exact")]
        metrics::gauge!("outbox_untold_documents", &labels).set(backlog.documents as f64);
        metrics::gauge!("outbox_untold_seconds", &labels).set(backlog.oldest.as_secs_f64());
    }

    fn note(&self, id: &str, error: &TellError) {
        let labels = [("collection", self.collection().to_owned())];
        metrics::counter!("outbox_failures_total", &labels).increment(1);
        let (collection, reason) = (self.collection(), error as &(dyn std::error::Error + 'static));
        match error.is_of_one_document() {
            true => tracing::error!(collection, id, reason, "a document cannot be told"),
            false => tracing::warn!(collection, id, reason, "not told yet"),
        }
    }
}

async fn repeat(every: Duration, stop: &CancellationToken, once: impl AsyncFn()) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // What is cut off was not told, and says so itself.
        if stop.run_until_cancelled(once()).await.is_none() {
            return;
        }
    }
}

impl TellError {
    /// Whether waiting does not mend it.
    fn is_of_one_document(&self) -> bool {
        match self {
            Self::Unreadable { .. } | Self::Publish(PublishError::TooLarge(_)) => true,
            Self::Store(_) | Self::Publish(PublishError::Deliver { .. }) => false,
        }
    }
}
