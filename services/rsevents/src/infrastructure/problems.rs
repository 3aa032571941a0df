//! The one table from this service's failures to what becomes of a record.

use eventbus::PublishError;
use mongodb::error::ErrorKind;
use problem::{Kind, Problem};

use crate::{application::Failure, infrastructure::store::StoreError};

impl Failure {
    /// What the one who said it can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Malformed(_) | Self::Untimely(_) => Kind::Invalid,
            Self::TenantMismatch(_) => Kind::TenantMismatch,
            Self::Unknown(_) => Kind::NotFound,
            // What no document can hold, or what a stored one holds that cannot be read: no outage ends that.
            Self::Store(StoreError::Mongo(err)) if matches!(*err.kind, ErrorKind::Bson(_)) => {
                Kind::Internal
            }
            Self::Store(_) | Self::Publish(PublishError::Deliver { .. }) => Kind::Unavailable,
            Self::Publish(PublishError::TooLarge(_)) => Kind::TooLarge,
        }
    }

    /// The failure on its way out.
    pub fn problem(&self) -> Problem {
        let mut told = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            told.push_str(": ");
            told.push_str(&source.to_string());
            cause = source.source();
        }
        Problem::new(self.kind(), told)
    }
}
