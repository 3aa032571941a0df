//! The one table from this service's failures to what becomes of a record.

use eventbus::PublishError;
use problem::{Kind, Problem};

use crate::application::Failure;

impl Failure {
    /// What the one who asked can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Malformed(_) => Kind::Invalid,
            Self::TenantMismatch(_) => Kind::TenantMismatch,
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
