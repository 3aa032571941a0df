//! Notes beside what is stored, written many at a time in the background: nobody waits for one, and one may be lost.

use std::time::Duration;

use eventbus::Delivered;
use events::{DeviceId, RsProvisioningEvent, TopicEvent as _};
use jiff::Timestamp;
use mongodb::{
    Database,
    bson::{Document, doc},
};
use tokio::sync::mpsc;

use crate::domain::{Device, LastPublished};

/// Most notes that wait; what is more is given up rather than waited for.
const WAITING_MAX: usize = 10_000;
/// Most notes of one write.
const NOTES_MAX: usize = 500;
/// How long the first one waits for others.
const GATHER: Duration = Duration::from_millis(50);

/// Where notes are given to be written. Clones write to the same place.
#[derive(Clone, Debug)]
pub(super) struct Notes(mpsc::Sender<Note>);

/// What was published of one device.
#[derive(Debug)]
pub(super) struct Note {
    id: DeviceId,
    said: LastPublished,
}

impl Note {
    /// The note that is to be written; nothing where the same is noted already, as in a sync, which raises nothing.
    pub(super) fn of(
        device: &Device,
        event: &RsProvisioningEvent,
        place: Delivered,
    ) -> Option<Self> {
        match event {
            RsProvisioningEvent::RSDeviceCreated(_)
            | RsProvisioningEvent::RSDeviceUpdated(_)
            | RsProvisioningEvent::RSDeviceDeleted(_)
            | RsProvisioningEvent::RSDeviceAction(_) => (),
            RsProvisioningEvent::RSUserUpdated(_)
            | RsProvisioningEvent::RSCustomFlagsUpdated(_)
            | RsProvisioningEvent::RSRouterUploadIntervalsUpdated(_) => return None,
        }
        let noted = device.last_published.as_ref().map(|it| it.revision);
        if noted == Some(device.rs_revision) {
            return None;
        }
        let said = LastPublished {
            event: event.event_type().to_owned(),
            partition: place.partition,
            offset: place.offset,
            revision: device.rs_revision,
            at_ms: Timestamp::now().as_millisecond(),
        };
        Some(Self { id: device.id.clone(), said })
    }

    /// Nothing is noted over something newer.
    fn statement(&self) -> Document {
        let LastPublished { event, partition, offset, revision, at_ms } = &self.said;
        let revision = revision.as_i64();
        doc! {
            "q": { "_id": self.id.as_str(), "last_published.revision": { "$not": { "$gt": revision } } },
            "u": { "$set": { "last_published": {
                "event": event, "partition": partition, "offset": offset, "revision": revision, "at_ms": at_ms,
            } } },
        }
    }
}

impl Notes {
    pub(super) fn open(database: &Database, collection: &'static str) -> Self {
        let (notes, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(run(database.clone(), collection, waiting));
        Self(notes)
    }

    pub(super) fn write(&self, note: Note) {
        if self.0.try_send(note).is_err() {
            lost(1);
        }
    }
}

/// Runs until nobody has anything to note any more.
async fn run(database: Database, collection: &'static str, mut waiting: mpsc::Receiver<Note>) {
    let mut notes = Vec::new();
    while waiting.recv_many(&mut notes, NOTES_MAX).await > 0 {
        tokio::time::sleep(GATHER).await;
        while notes.len() < NOTES_MAX
            && let Ok(note) = waiting.try_recv()
        {
            notes.push(note);
        }
        let updates: Vec<Document> = notes.iter().map(Note::statement).collect();
        let command = doc! { "update": collection, "updates": updates, "ordered": false };
        if let Err(error) = database.run_command(command).await {
            tracing::debug!(%error, "what was published could not be noted");
            lost(notes.len());
        }
        notes.clear();
    }
}

fn lost(count: usize) {
    metrics::counter!("rsclient_notes_lost_total").increment(count as u64);
}
