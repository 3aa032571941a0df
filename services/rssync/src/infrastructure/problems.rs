//! The one table from this service's failures to an answer and to what becomes of a record.

use async_task::TaskError;
use mongodb::error::ErrorKind;
use problem::{Kind, Problem};

use crate::application::Failure;

impl Failure {
    /// What the one who asked can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoSuchJob(_) => Kind::NotFound,
            Self::Foreign(_) => Kind::TenantMismatch,
            Self::NotAllowed(_) => Kind::Forbidden,
            Self::Conflict(_) => Kind::Conflict,
            Self::Malformed(_) => Kind::Invalid,
            Self::Store(error) | Self::Task(TaskError::Store(error)) => of_store(error),
            Self::Task(TaskError::Foreign(_)) => Kind::Internal,
            Self::Task(TaskError::Contended(_) | TaskError::Service(_)) | Self::Peer(_) => {
                Kind::Unavailable
            }
        }
    }

    /// The failure on its way out.
    pub fn problem(self) -> Problem {
        let kind = self.kind();
        match kind {
            // The same words as for what is somebody else's.
            Kind::NotFound => Problem::new(kind, kind.title()),
            Kind::Invalid
            | Kind::Unauthorized
            | Kind::Forbidden
            | Kind::NoSuchMethod
            | Kind::Conflict
            | Kind::PreconditionFailed
            | Kind::TooLarge
            | Kind::TenantMismatch
            | Kind::Unavailable
            | Kind::Internal => Problem::new(kind, format!("{:#}", anyhow::Error::new(self))),
        }
    }
}

/// What a stored document holds that cannot be read is not mended by waiting.
fn of_store(error: &mongodb::error::Error) -> Kind {
    match matches!(*error.kind, ErrorKind::Bson(_)) {
        true => Kind::Internal,
        false => Kind::Unavailable,
    }
}
