//! The one table from this service's failures to an answer and to what becomes of a record.

use async_task::TaskError;
use eventbus::PublishError;
use mongodb::error::ErrorKind;
use problem::{Kind, Problem};

use crate::{application::Failure, infrastructure::store::StoreError};

impl Failure {
    /// What the one who asked can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Malformed(_) | Self::Unsigned => Kind::Invalid,
            Self::NoSuch(_) => Kind::NotFound,
            Self::Conflict(_) | Self::Unchangeable(_) => Kind::Conflict,
            Self::Changed => Kind::PreconditionFailed,
            // What no document can hold, or what a stored one holds that cannot be read: no outage ends that.
            Self::Task(TaskError::Store(error)) | Self::Store(StoreError::Mongo(error))
                if matches!(*error.kind, ErrorKind::Bson(_)) =>
            {
                Kind::Internal
            }
            Self::Task(TaskError::Foreign(_)) => Kind::Internal,
            Self::Task(TaskError::Service(error)) => {
                error.downcast_ref::<Self>().map_or(Kind::Unavailable, Self::kind)
            }
            Self::Publish(PublishError::TooLarge(_)) => Kind::TooLarge,
            Self::Task(TaskError::Store(_) | TaskError::Contended(_))
            | Self::Store(_)
            | Self::Publish(PublishError::Deliver { .. })
            | Self::Peer(_) => Kind::Unavailable,
        }
    }

    /// The failure on its way out.
    pub fn problem(self) -> Problem {
        let kind = self.kind();
        match self {
            // The same words as for what is somebody else's.
            Self::NoSuch(members) => {
                let problem = Problem::new(kind, kind.title());
                members.iter().fold(problem, |all, it| all.member(it, "is not known"))
            }
            Self::Unsigned => {
                let problem = Problem::new(kind, "some members of the body are wrong");
                problem.member("/signature", "must be of somebody who is trusted")
            }
            Self::Malformed(_)
            | Self::Conflict(_)
            | Self::Unchangeable(_)
            | Self::Changed
            | Self::Store(_)
            | Self::Task(_)
            | Self::Publish(_)
            // `{:#}` prints the whole chain of sources.
            | Self::Peer(_) => Problem::new(kind, format!("{:#}", anyhow::Error::new(self))),
        }
    }
}
