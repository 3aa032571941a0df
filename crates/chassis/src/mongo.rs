//! The connection to MongoDB, and writing many documents at a time.

mod upserts;

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use mongodb::bson::doc;
use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::{ClientOptions, ReadPreference, WriteConcern};
use mongodb::{Client, Database};
use serde::{Deserialize, Serialize};

pub use self::upserts::{Upsert, UpsertError, Upserted, upsert};
use crate::Secret;

/// The server's code for a second document with one `_id`.
const DUPLICATE_KEY: i32 = 11_000;

/// Where a service keeps its documents.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MongoSettings {
    /// Connection string; it may hold credentials, so it is a secret as a whole.
    pub uri: Secret,
    /// The service's own database.
    pub database: String,
    /// Seconds to wait for a server that can take the operation.
    pub server_selection_seconds: u64,
    /// Greatest number of connections to one server.
    pub max_connections: u32,
}

/// What is remembered, and for how long.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How long deletions are remembered, in days: longer than topics and dead letters keep records.
    pub tombstone_days: u32,
}

impl Retention {
    /// How long deletions are remembered.
    pub fn tombstone_life(&self) -> Duration {
        Duration::from_secs(u64::from(self.tombstone_days) * 86_400)
    }
}

/// Connects, with write concern majority and reads from the primary whatever the URI says, and waits for the answer to a ping.
///
/// # Errors
/// A URI that is none, or no answer in time. The URI is in no error text.
pub async fn connect(settings: &MongoSettings) -> anyhow::Result<Database> {
    let mut options = ClientOptions::parse(settings.uri.expose())
        .await
        // The driver's text may quote the URI.
        .map_err(|_| anyhow!("mongo.uri is not a MongoDB connection string that can be used"))?;
    let limit = Duration::from_secs(settings.server_selection_seconds);
    options.app_name = Some(settings.database.clone());
    options.server_selection_timeout = Some(limit);
    options.connect_timeout = Some(limit);
    options.max_pool_size = Some(settings.max_connections);
    options.write_concern = Some(WriteConcern::majority());
    // Write, raise, then read: whoever reads must meet what was written before, and a secondary may not have it yet.
    options.selection_criteria = Some(ReadPreference::Primary.into());
    let database = Client::with_options(options)
        .context("mongo.uri cannot be used")?
        .database(&settings.database);
    database.run_command(doc! { "ping": 1 }).await.context("MongoDB does not answer")?;
    tracing::info!(database = settings.database, "connected to MongoDB");
    Ok(database)
}

/// Whether a write failed because a document with this `_id` is there already.
pub fn is_duplicate_key(error: &mongodb::error::Error) -> bool {
    // What finds and changes in one is a command, not a write.
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(it)) if it.code == DUPLICATE_KEY)
        || matches!(&*error.kind, ErrorKind::Command(it) if it.code == DUPLICATE_KEY)
}

/// Asks whether the server answers.
///
/// # Errors
/// It does not.
pub async fn answers(database: Database) -> Result<(), &'static str> {
    let pong = database.run_command(doc! { "ping": 1 }).await;
    pong.map(drop).map_err(|_| "MongoDB does not answer")
}
