//! The one table from this service's failures to an answer and to what becomes of a record.

use async_task::TaskError;
use mongodb::error::ErrorKind;
use problem::{Kind, Problem};

use crate::application::Failure;

impl Failure {
    /// What the one who asked can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Malformed(_) => Kind::Invalid,
            // What no document can hold, or what a stored one holds that cannot be read: no outage ends that.
            Self::Task(TaskError::Store(error)) if matches!(*error.kind, ErrorKind::Bson(_)) => {
                Kind::Internal
            }
            Self::Task(TaskError::Foreign(_)) => Kind::Internal,
            Self::Task(TaskError::Store(_) | TaskError::Contended(_) | TaskError::Service(_)) => {
                Kind::Unavailable
            }
        }
    }

    /// The failure on its way out.
    pub fn problem(self) -> Problem {
        let kind = self.kind();
        // `{:#}` prints the whole chain of sources.
        Problem::new(kind, format!("{:#}", anyhow::Error::new(self)))
    }
}
