//! What the service can be asked to do: one use case, one file, one function.

mod act_on_device;
mod apply_device;
mod count_user;
mod fulfil;
mod remove_device;

use crate::domain::{Attempt, Ending, Later, Spared};

pub use act_on_device::act_on_device;
pub use apply_device::apply_device;
pub use count_user::count_user;
pub use remove_device::remove_device;

/// What the envelope of a record says to a use case.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// After this nothing is sent any more.
    pub expires_at: Option<jiff::Timestamp>,
    /// Whether it is sent even where nothing would change.
    pub force: bool,
    /// How often it was tried.
    pub attempt: Attempt,
}

impl Request {
    fn spared(&self) -> Spared {
        if self.force { Spared::Never } else { Spared::IfSame }
    }

    fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|it| it < jiff::Timestamp::now())
    }
}

/// How an attempt ends: the record is over, or it waits.
pub type Result = std::result::Result<Ending, Later>;
