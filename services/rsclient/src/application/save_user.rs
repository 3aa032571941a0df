//! A user was created or updated.

use eventbus::{EventBusMessage, Origin};
use events::TopicEvent as _;

use crate::{
    SOURCE,
    app::App,
    application::{Cause, Effect, Failure, publish_devices_of},
    domain::changed_user,
    infrastructure::store::{DevicesOf, Written},
};

/// Stores what a user says, tells others that the user changed, and publishes the user's devices.
///
/// # Errors
/// The store or the bus failed, or the user is another ISP's.
pub async fn save_user(app: &App, cause: &Cause, user: &events::User) -> Result<Effect, Failure> {
    if app.store.users.save(user).await? == Written::Superseded {
        return Ok(Effect::Superseded);
    }
    app.store.mark_ended_users(&user.account_id).await?;
    let event = changed_user(&user.isp_id, &user.account_id, &user.user_id, user.revision);
    tell(app, cause, &event).await?;
    publish_devices_of(app, cause, &user.isp_id, DevicesOf::User(&user.user_id)).await?;
    Ok(Effect::Applied)
}

/// Says that a user has changed.
pub(super) async fn tell(
    app: &App,
    cause: &Cause,
    event: &events::RsProvisioningEvent,
) -> Result<(), Failure> {
    let id = format!("{}/user/{}", cause.message_id, event.key());
    let origin = Origin::Message { id: &id, n: 0 };
    app.bus.publish(&EventBusMessage::new(event, SOURCE, origin)).await?;
    Ok(())
}
