//! An account was deleted, alone or as a provision.

use events::DeletedAccount;

use crate::{
    app::App,
    application::{Cause, Failure, publish_devices_of},
    infrastructure::store::DevicesOf,
};

/// Ends an account, and with it every user and device whose revision is below that of the deletion.
///
/// # Errors
/// The store or the bus failed, or the account is another ISP's.
pub async fn remove_account(
    app: &App,
    cause: &Cause,
    deleted: &DeletedAccount,
) -> Result<(), Failure> {
    app.store.accounts.remove(deleted).await?;
    // Nothing but their end is written to users and devices: whether they are live is computed when they are read.
    app.store.mark_ended_users(&deleted.account_id).await?;
    publish_devices_of(app, cause, &deleted.isp_id, DevicesOf::Account(&deleted.account_id)).await
}
