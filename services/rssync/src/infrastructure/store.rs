//! Jobs and the scopes that they have, at rest.

mod jobs;
mod scopes;

pub use jobs::{Jobs, PageOfJobs};
pub use scopes::{Scopes, Taken};

use mongodb::Database;

/// A cheap handle to everything that is stored beside the tasks themselves.
#[derive(Clone, Debug)]
pub struct Store {
    /// Jobs, as others see them.
    pub jobs: Jobs,
    /// The scopes of the jobs that have not ended.
    pub scopes: Scopes,
}

impl Store {
    /// Makes the indexes that the queries rely on.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn open(database: &Database, open_max: u32) -> mongodb::error::Result<Self> {
        Ok(Self { jobs: Jobs::open(database).await?, scopes: Scopes::open(database, open_max) })
    }
}
