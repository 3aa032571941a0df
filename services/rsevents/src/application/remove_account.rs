//! An account is gone, and with it its devices.

use events::DeletedAccount;

use super::{Effect, Failure, save_account::effect};
use crate::app::App;

/// Ends an account. Also where something newer is known of it, its devices end that are older than this.
///
/// # Errors
/// The store does not answer, or the account is another ISP's.
pub async fn remove_account(app: &App, account: &DeletedAccount) -> Result<Effect, Failure> {
    let written = app.places.store().remove_account(account).await?;
    app.places.account_changed(&account.account_id);
    let effect = effect(written)?;
    app.places.store().mark_ended(&account.account_id).await?;
    Ok(effect)
}
