//! An account was created or updated.

use crate::{
    app::App,
    application::{Cause, Effect, Failure, publish_devices_of},
    infrastructure::store::{DevicesOf, Written},
};

/// Stores what an account says and publishes its devices.
///
/// # Errors
/// The store or the bus failed, or the account is another ISP's.
pub async fn save_account(
    app: &App,
    cause: &Cause,
    account: &events::Account,
) -> Result<Effect, Failure> {
    match app.store.accounts.save(account).await? {
        Written::Superseded => Ok(Effect::Superseded),
        Written::Yes => {
            let of = DevicesOf::Account(&account.account_id);
            publish_devices_of(app, cause, &account.isp_id, of).await?;
            Ok(Effect::Applied)
        }
    }
}
