//! The configuration that holds for a device once every level has spoken.
//!
//! Each leaf comes from the nearest level that has it: device, user, preset, account, ISP, default. Lists are
//! taken whole. Which software a router is to run is chosen apart from them ([`Target`](super::Target)). Who decided
//! about which leaf is worked out once, in [`Decisions`]: what is published and what is told to whoever asks why are
//! two views of it.

use events::{AccountStatus, DeviceKind, EffectiveDevice, UserId};

use super::{
    Account, AccountState, Configuration, Decisions, Device, DeviceState, Software, User,
    UserState, act_rules,
};

/// Everything that a device's configuration depends on, read after its `rs_revision` was raised.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The device.
    pub device: &'a Device,
    /// The account that it names, where it is known.
    pub account: Option<&'a Account>,
    /// The user that it names, where one is known.
    pub user: Option<&'a User>,
    /// What its ISP says, where it has spoken.
    pub configuration: Option<&'a Configuration>,
    /// Routers: what decides which software it runs.
    pub software: Software<'a>,
}

/// Why a device is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It was deleted.
    Deleted,
    /// The account that it names is not known, or not one of its ISP.
    AccountUnknown,
    /// Its account was deleted and has not come back.
    AccountDeleted,
    /// Its account was deleted after it was provisioned: it does not come back with the account.
    AccountEnded,
}

/// Why the user that a device names says nothing for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserAbsence {
    /// Not known, or not one of its ISP.
    Unknown,
    /// Deleted, alone or with the account.
    Deleted,
    /// A user of another account.
    OfAnotherAccount,
}

/// A device that is served, with all that speaks for it.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    pub(super) device: &'a Device,
    pub(super) state: &'a DeviceState,
    pub(super) account: &'a AccountState,
    pub(super) user: Option<(&'a UserId, &'a UserState)>,
    pub(super) configuration: Option<&'a Configuration>,
    pub(super) software: Software<'a>,
}

impl<'a> Inputs<'a> {
    /// A device is live when it is not deleted, its account is known, not deleted and of the same ISP, and no
    /// deletion of the account came after it. This is computed at each reading and stored nowhere.
    ///
    /// # Errors
    /// It is not, and why.
    pub fn live(self) -> Result<Live<'a>, Absence> {
        let Self { device, account, configuration, software, .. } = self;
        let state = device.state.as_ref().filter(|_| !device.deleted).ok_or(Absence::Deleted)?;
        let account = account.filter(|it| it.isp_id == device.isp_id);
        let account = account.ok_or(Absence::AccountUnknown)?;
        if device.revision < account.ended_at {
            return Err(Absence::AccountEnded);
        }
        let user = self.user().and_then(Result::ok);
        let account = account.live().ok_or(Absence::AccountDeleted)?;
        Ok(Live { device, state, account, user, configuration, software })
    }

    /// The user that the device names, as far as one counts: under the same rule as the device, and only in its
    /// household. Nothing where it names none.
    pub fn user(self) -> Option<Result<(&'a UserId, &'a UserState), UserAbsence>> {
        let Self { device, account, user, .. } = self;
        device.state.as_ref()?.user_id.as_ref()?;
        let Some(user) = user.filter(|it| it.isp_id == device.isp_id) else {
            return Some(Err(UserAbsence::Unknown));
        };
        if user.account_id != device.account_id {
            return Some(Err(UserAbsence::OfAnotherAccount));
        }
        let has_ended = account.is_some_and(|it| user.revision < it.ended_at);
        let state = user.state.as_ref().filter(|_| !user.deleted && !has_ended);
        Some(state.map(|it| (&user.id, it)).ok_or(UserAbsence::Deleted))
    }

    /// Whether the device is served.
    pub fn is_live(self) -> bool {
        self.live().is_ok()
    }

    /// Whether a deletion of the account came after the device: it does not come back with the account.
    pub fn has_ended(self) -> bool {
        self.account.is_some_and(|it| self.device.revision < it.ended_at)
    }
}

/// The configuration of a live device; nothing where it is not live.
pub fn effective_device(inputs: Inputs<'_>) -> Option<EffectiveDevice> {
    let live = inputs.live().ok()?;
    let decisions = Decisions::of(&live);
    let state = live.state;
    Some(EffectiveDevice {
        isp_id: live.device.isp_id.clone(),
        account_id: live.device.account_id.clone(),
        device_id: live.device.id.clone(),
        user_id: live.user.map(|(id, _)| id.clone()),
        revision: live.device.rs_revision,
        kind: state.kind,
        name: state.name.clone(),
        device_type: state.device_type,
        is_iot: state.device_type.is_iot(),
        mac: state.mac.clone(),
        model: state.model.clone(),
        serial: state.serial.clone(),
        enabled: decisions.enabled.value(),
        target_agent_package: decisions.target.package().cloned(),
        act_rules: act_rules(&live, |_, _, _| ()),
        services: decisions.services(),
    })
}

impl<'a> Live<'a> {
    /// A router can be switched off; of other devices that has no effect.
    pub(super) fn said_enabled(&self) -> Option<&'a bool> {
        match self.state.kind {
            DeviceKind::Router => self.state.enabled.as_ref(),
            DeviceKind::Device => None,
        }
    }

    /// A suspended household is not served: both services are off for all of its devices.
    pub(super) fn is_suspended(&self) -> bool {
        match self.account.status {
            AccountStatus::Active => false,
            AccountStatus::Suspended => true,
        }
    }
}
