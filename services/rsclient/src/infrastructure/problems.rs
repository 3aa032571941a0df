//! The one table from this service's failures to what becomes of a record.

use eventbus::PublishError;
use mongodb::error::ErrorKind;
use problem::{Kind, Problem};

use crate::{application::Failure, infrastructure::store::StoreError};

impl Failure {
    /// What the one who asked can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Malformed(_) => Kind::Invalid,
            Self::TenantMismatch(_) => Kind::TenantMismatch,
            // What no document can hold, or what a stored one holds that cannot be read: no outage ends that.
            Self::Store(StoreError::Mongo(err)) if matches!(*err.kind, ErrorKind::Bson(_)) => {
                Kind::Internal
            }
            Self::Store(_) | Self::Publish(PublishError::Deliver { .. }) => Kind::Unavailable,
            Self::Publish(PublishError::TooLarge(_)) => Kind::TooLarge,
        }
    }

    /// The failure on its way out.
    pub fn problem(self) -> Problem {
        let kind = self.kind();
        // `{:#}` prints the whole chain of sources.
        Problem::new(kind, format!("{:#}", anyhow::Error::new(self)))
    }
}
