//! A user was deleted.

use events::DeletedUser;

use super::save_user::tell;
use crate::{
    app::App,
    application::{Cause, Effect, Failure, publish_devices_of},
    domain::changed_user,
    infrastructure::store::{DevicesOf, Written},
};

/// Ends a user. The user's devices stay; the user's level says nothing any more.
///
/// # Errors
/// The store or the bus failed, or the user is another ISP's.
pub async fn remove_user(app: &App, cause: &Cause, user: &DeletedUser) -> Result<Effect, Failure> {
    if app.store.users.remove(user).await? == Written::Superseded {
        return Ok(Effect::Superseded);
    }
    let event = changed_user(&user.isp_id, &user.account_id, &user.user_id, user.revision);
    tell(app, cause, &event).await?;
    publish_devices_of(app, cause, &user.isp_id, DevicesOf::User(&user.user_id)).await?;
    Ok(Effect::Applied)
}
