//! An account was created or updated together with users and devices.

use std::collections::BTreeSet;

use events::{AccountId, DeviceId, IspId, Provision};

use super::save_user::tell;
use crate::{
    app::App,
    application::{Cause, Effect, Failure, publish_devices},
    domain::changed_user,
    infrastructure::store::{DevicesOf, StoreError, Written},
};

/// Stores everything that a provision carries, each part by its own revision, and publishes what that touches.
/// What is absent stays as it is. A part that belongs to another ISP does not keep the others from being stored;
/// the provision is refused afterwards.
///
/// # Errors
/// The store or the bus failed, the parts are not of one household, or one is another ISP's.
pub async fn save_provision(
    app: &App,
    cause: &Cause,
    provision: &Provision,
) -> Result<Effect, Failure> {
    check(provision)?;
    let isp_id = &provision.isp_id;
    let mut foreign = Vec::new();
    let account = own(app.store.accounts.save(&provision.account).await, &mut foreign)?;
    let mut users = Vec::new();
    for user in provision.users.as_slice() {
        if own(app.store.users.save(user).await, &mut foreign)? == Written::Yes {
            users.push(user);
        }
    }
    if !users.is_empty() {
        app.store.mark_ended_users(&provision.account.account_id).await?;
    }
    let mut touched = BTreeSet::new();
    for device in provision.devices.as_slice() {
        if own(app.store.devices.save(device).await, &mut foreign)? == Written::Yes {
            touched.insert(device.device_id.clone());
        }
    }
    let nothing_new = account == Written::Superseded && users.is_empty() && touched.is_empty();
    for user in &users {
        let event = changed_user(&user.isp_id, &user.account_id, &user.user_id, user.revision);
        tell(app, cause, &event).await?;
    }
    // Everything is stored: each device is published once, whatever touched it.
    for user in &users {
        touched.extend(devices_of(app, isp_id, DevicesOf::User(&user.user_id)).await?);
    }
    if account == Written::Yes {
        let of = DevicesOf::Account(&provision.account.account_id);
        touched.extend(devices_of(app, isp_id, of).await?);
    }
    publish_devices(app, cause, &touched.into_iter().collect::<Vec<_>>()).await?;
    match foreign.is_empty() {
        true if nothing_new => Ok(Effect::Superseded),
        true => Ok(Effect::Applied),
        false => Err(Failure::TenantMismatch(foreign.join("; "))),
    }
}

/// A part of another ISP is noted and has no effect.
fn own(
    written: Result<Written, StoreError>,
    foreign: &mut Vec<String>,
) -> Result<Written, Failure> {
    match written.map_err(Failure::from) {
        Err(Failure::TenantMismatch(part)) => {
            foreign.push(part);
            Ok(Written::Superseded)
        }
        other => other,
    }
}

/// All parts speak of one household of one ISP.
fn check(provision: &Provision) -> Result<(), Failure> {
    let (isp_id, account_id) = (&provision.isp_id, &provision.account.account_id);
    let account = [("account".to_owned(), &provision.account.isp_id, account_id)];
    let users = provision.users.as_slice().iter().enumerate();
    let devices = provision.devices.as_slice().iter().enumerate();
    let parts = account
        .into_iter()
        .chain(users.map(|(at, it)| (format!("users[{at}]"), &it.isp_id, &it.account_id)))
        .chain(devices.map(|(at, it)| (format!("devices[{at}]"), &it.isp_id, &it.account_id)));
    for (part, isp, account) in parts {
        let of_isp: &IspId = isp;
        let of_account: &AccountId = account;
        if of_isp != isp_id {
            return Err(Failure::TenantMismatch(format!("{part} is of another ISP")));
        }
        if of_account != account_id {
            return Err(Failure::Malformed(format!("{part} is of another account")));
        }
    }
    Ok(())
}

async fn devices_of(
    app: &App,
    isp_id: &IspId,
    of: DevicesOf<'_>,
) -> Result<Vec<DeviceId>, Failure> {
    Ok(app.store.devices.page(isp_id, of, None, usize::MAX).await?)
}
