//! Count that a user changed; the effect on devices comes with the devices.

use events::{ChangedUser, ReplyStatus};

use super::Result;
use crate::domain::Ending;

/// Counts the change. The backend holds no users.
///
/// # Errors
/// None.
pub async fn count_user(_user: &ChangedUser) -> Result {
    metrics::counter!("rsadaptor_users_updated_total").increment(1);
    Ok(Ending::new(ReplyStatus::Unchanged, None))
}
