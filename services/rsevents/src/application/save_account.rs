//! There is an account.

use super::{Effect, Failure};
use crate::{app::App, infrastructure::store::Written};

/// Remembers an account, unless something newer is known.
///
/// # Errors
/// The store does not answer, or the account is another ISP's.
pub async fn save_account(app: &App, account: &events::Account) -> Result<Effect, Failure> {
    let written = app.places.store().save_account(account).await?;
    // Also where nothing was written: what is held in memory may be older still.
    app.places.account_changed(&account.account_id);
    effect(written)
}

/// What a write means.
pub(super) fn effect(written: Written) -> Result<Effect, Failure> {
    match written {
        Written::Yes => Ok(Effect::Applied),
        Written::Superseded => Ok(Effect::Superseded),
        Written::Foreign(why) => Err(Failure::TenantMismatch(why)),
    }
}
