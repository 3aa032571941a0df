//! Read everything that the configurations of some devices depend on.

use std::collections::HashMap;

use events::{AccountId, DeviceId, DeviceKind, IspId, UserId};

use crate::{
    app::App,
    application::Failure,
    domain::{Account, Agents, Configuration, Device, Inputs, Package, Software, User},
};

/// Everything that the configurations of a batch of devices depend on.
pub(super) struct Read {
    pub(super) devices: Vec<Device>,
    accounts: HashMap<AccountId, Account>,
    users: HashMap<UserId, User>,
    configurations: HashMap<IspId, Configuration>,
    agents: HashMap<IspId, Agents>,
    associated: HashMap<IspId, Vec<Package>>,
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
        let (agents, associated) = software(app, &devices).await?;
        Ok(Self {
            agents,
            associated,
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
            software: Software {
                agents: self.agents.get(&device.isp_id),
                associated: self.associated.get(&device.isp_id).map_or(&[], Vec::as_slice),
            },
        }
    }

    /// Those that ended with their accounts.
    pub(super) fn ended(&self) -> Vec<&Device> {
        self.devices.iter().filter(|it| self.inputs(it).has_ended()).collect()
    }
}

/// What decides which software the routers among these devices run.
async fn software(
    app: &App,
    devices: &[Device],
) -> Result<(HashMap<IspId, Agents>, HashMap<IspId, Vec<Package>>), Failure> {
    let is_router =
        |it: &&Device| it.state.as_ref().is_some_and(|it| it.kind == DeviceKind::Router);
    let routers: Vec<&Device> = devices.iter().filter(is_router).collect();
    let (mut agents, mut associated) = (HashMap::new(), HashMap::<IspId, Vec<Package>>::new());
    if routers.is_empty() {
        return Ok((agents, associated));
    }
    let isps = unique(routers.iter().map(|it| &it.isp_id).collect());
    for it in app.store.agents.find(&isps).await? {
        agents.insert(it.isp_id.clone(), it);
    }
    if agents.is_empty() {
        // Nothing that could be associated is listed.
        return Ok((agents, associated));
    }
    let ids: Vec<&DeviceId> = routers.iter().map(|it| &it.id).collect();
    for it in app.store.packages.associated(&isps, &ids).await? {
        if let Some(isp_id) = it.isp_id.clone() {
            associated.entry(isp_id).or_default().push(it);
        }
    }
    Ok((agents, associated))
}

fn unique<T: Ord>(mut ids: Vec<T>) -> Vec<T> {
    ids.sort_unstable();
    ids.dedup();
    ids
}
