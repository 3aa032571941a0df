//! Read everything that the configurations of some devices depend on.

use std::collections::HashMap;

use events::{AccountId, DeviceId, IspId, UserId};

use crate::{
    app::App,
    application::Failure,
    domain::{Account, Configuration, Device, Inputs, User},
};

/// Everything that the configurations of a batch of devices depend on.
pub(super) struct Read {
    pub(super) devices: Vec<Device>,
    accounts: HashMap<AccountId, Account>,
    users: HashMap<UserId, User>,
    configurations: HashMap<IspId, Configuration>,
}

impl Read {
    /// Devices first: their revisions must not be newer than what is read of the others.
    pub(super) async fn all(app: &App, ids: &[DeviceId]) -> Result<Self, Failure> {
        let devices = app.store.devices.find(ids).await?;
        let users: Vec<&UserId> =
            devices.iter().filter_map(|it| it.state.as_ref()?.user_id.as_ref()).collect();
        let accounts: Vec<&AccountId> = devices.iter().map(|it| &it.account_id).collect();
        let isps: Vec<&IspId> = devices.iter().map(|it| &it.isp_id).collect();
        let accounts = app.store.accounts.find(&unique(accounts)).await?;
        let users = app.store.users.find(&unique(users)).await?;
        let configurations = app.store.configurations.find(&unique(isps)).await?;
        Ok(Self {
            accounts: accounts.into_iter().map(|it| (it.id.clone(), it)).collect(),
            users: users.into_iter().map(|it| (it.id.clone(), it)).collect(),
            configurations: configurations.into_iter().map(|it| (it.isp_id.clone(), it)).collect(),
            devices,
        })
    }

    pub(super) fn inputs<'a>(&'a self, device: &'a Device) -> Inputs<'a> {
        let user = device.state.as_ref().and_then(|it| it.user_id.as_ref());
        Inputs {
            device,
            account: self.accounts.get(&device.account_id),
            user: user.and_then(|it| self.users.get(it)),
            configuration: self.configurations.get(&device.isp_id),
        }
    }

    /// Those that ended with their accounts.
    pub(super) fn ended(&self) -> Vec<&Device> {
        self.devices.iter().filter(|it| self.inputs(it).has_ended()).collect()
    }
}

fn unique<T: Ord>(mut ids: Vec<T>) -> Vec<T> {
    ids.sort_unstable();
    ids.dedup();
    ids
}
