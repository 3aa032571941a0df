//! An account comes together with its devices.

use events::Provision;

use super::{Effect, Failure, save_account, save_devices};
use crate::app::App;

/// Remembers an account and whose devices it has, each by its own revision; what is absent stays as it is. The devices
/// are remembered also where the account is another ISP's, which is refused afterwards.
///
/// # Errors
/// The store does not answer, the parts are not of one household, or one is another ISP's.
pub async fn save_provision(app: &App, provision: &Provision) -> Result<Effect, Failure> {
    check(provision)?;
    let account = match save_account(app, &provision.account).await {
        Err(Failure::TenantMismatch(why)) => Err(Failure::TenantMismatch(why)),
        ended => Ok(ended?),
    };
    let devices = save_devices(app, provision.devices.as_slice()).await?;
    match account? {
        Effect::Applied => Ok(Effect::Applied),
        Effect::Superseded => Ok(devices),
    }
}

/// All parts speak of one household of one ISP.
fn check(provision: &Provision) -> Result<(), Failure> {
    let (isp_id, account) = (&provision.isp_id, &provision.account);
    let account_part = [("account".to_owned(), &account.isp_id, &account.account_id)];
    let users = provision.users.as_slice().iter().enumerate();
    let devices = provision.devices.as_slice().iter().enumerate();
    let parts = account_part
        .into_iter()
        .chain(users.map(|(at, it)| (format!("users[{at}]"), &it.isp_id, &it.account_id)))
        .chain(devices.map(|(at, it)| (format!("devices[{at}]"), &it.isp_id, &it.account_id)));
    for (part, its_isp, its_account) in parts {
        if its_isp != isp_id {
            return Err(Failure::TenantMismatch(format!("{part} is of another ISP")));
        }
        if its_account != &account.account_id {
            return Err(Failure::Malformed(format!("{part} is of another account")));
        }
    }
    Ok(())
}
