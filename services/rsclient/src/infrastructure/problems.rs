//! The one table from this service's failures to what becomes of a record.

use async_task::TaskError;
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
            Self::NoSuch(_) => Kind::NotFound,
            Self::Conflict(_) => Kind::Conflict,
            Self::Changed => Kind::PreconditionFailed,
            // What no document can hold, or what a stored one holds that cannot be read: no outage ends that.
            Self::Store(StoreError::Mongo(err)) if matches!(*err.kind, ErrorKind::Bson(_)) => {
                Kind::Internal
            }
            Self::Task(TaskError::Service(err)) => {
                err.downcast_ref::<Self>().map_or(Kind::Unavailable, Self::kind)
            }
            Self::Task(_) | Self::Store(_) | Self::Publish(PublishError::Deliver { .. }) => {
                Kind::Unavailable
            }
            Self::Publish(PublishError::TooLarge(_)) => Kind::TooLarge,
        }
    }

    /// The failure on its way out.
    pub fn problem(&self) -> Problem {
        match self {
            // The same words as for what is somebody else's.
            Self::NoSuch(members) => {
                let problem = Problem::new(Kind::NotFound, Kind::NotFound.title());
                members.iter().fold(problem, |all, it| all.member(it, "is not known"))
            }
            Self::Malformed(_)
            | Self::TenantMismatch(_)
            | Self::Conflict(_)
            | Self::Changed
            | Self::Store(_)
            | Self::Task(_)
            | Self::Publish(_) => Problem::new(self.kind(), told(self)),
        }
    }
}

/// A failure with all that led to it.
fn told(failure: &dyn std::error::Error) -> String {
    let mut told = failure.to_string();
    let mut cause = failure.source();
    while let Some(source) = cause {
        told.push_str(": ");
        told.push_str(&source.to_string());
        cause = source.source();
    }
    told
}
