//! The configuration that holds for a device once every level has spoken.
//!
//! Each leaf comes from the nearest level that has it: device, user, preset, account, ISP, default. Lists are
//! taken whole.

use events::{
    AccountStatus, ActRule, AgeGroup, Bounded, Category, ContentFiltering,
    ContentFilteringSettings, DeviceKind, EffectiveDevice, EffectiveServices, Level, RuleAction,
    Rules, Schedule, Services, ThreatProtection, UserId, UserKind,
};

use super::{
    Account, AccountState, Configuration, Device, DeviceState, Software, User, UserState,
    target_package,
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

/// A device that is served, with all that speaks for it.
struct Live<'a> {
    device: &'a Device,
    state: &'a DeviceState,
    account: &'a AccountState,
    user: Option<(&'a UserId, &'a UserState)>,
    configuration: Option<&'a Configuration>,
}

impl<'a> Inputs<'a> {
    /// A device is live when it is not deleted, its account is known, not deleted and of the same ISP, and no
    /// deletion of the account came after it. This is computed at each reading and stored nowhere.
    fn live(self) -> Option<Live<'a>> {
        let Self { device, account, user, configuration, .. } = self;
        let state = device.state.as_ref().filter(|_| !device.deleted)?;
        let account = account.filter(|it| it.isp_id == device.isp_id)?;
        if device.revision < account.ended_at {
            return None;
        }
        // A user counts under the same rule, and only in this household.
        let counts = |it: &&User| {
            !it.deleted
                && it.isp_id == device.isp_id
                && it.account_id == device.account_id
                && it.revision >= account.ended_at
        };
        let user = user.filter(counts).and_then(|it| Some((&it.id, it.state.as_ref()?)));
        Some(Live { device, state, account: account.live()?, user, configuration })
    }

    /// Whether the device is served.
    pub fn is_live(self) -> bool {
        self.live().is_some()
    }

    /// Whether a deletion of the account came after the device: it does not come back with the account.
    pub fn has_ended(self) -> bool {
        self.account.is_some_and(|it| self.device.revision < it.ended_at)
    }
}

/// The configuration of a live device; nothing where it is not live.
pub fn effective_device(inputs: Inputs<'_>) -> Option<EffectiveDevice> {
    let live = inputs.live()?;
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
        enabled: live.is_enabled(),
        target_agent_package: match state.kind {
            DeviceKind::Router => target_package(&live.device.id, state, inputs.software).cloned(),
            DeviceKind::Device => None,
        },
        act_rules: live.act_rules(),
        services: live.services(),
    })
}

impl Live<'_> {
    fn is_enabled(&self) -> bool {
        match self.state.kind {
            DeviceKind::Router => self.state.enabled.unwrap_or(true) && self.is_served(),
            DeviceKind::Device => true,
        }
    }

    /// A suspended household is not served: both services are off for all of its devices.
    fn is_served(&self) -> bool {
        match self.account.status {
            AccountStatus::Active => true,
            AccountStatus::Suspended => false,
        }
    }

    fn services(&self) -> EffectiveServices {
        let preset = self.user.and_then(|(_, it)| preset(it));
        let levels = [
            self.state.services.as_ref(),
            self.user.and_then(|(_, it)| it.services.as_ref()),
            preset.as_ref(),
            self.account.services.as_ref(),
            self.configuration.and_then(|it| it.services.as_ref()),
        ];
        let filtering = levels.map(|it| it.and_then(|it| it.content_filtering.as_ref()));
        let protection = levels.map(|it| it.and_then(|it| it.threat_protection.as_ref()));
        let schedules = nearest(filtering, |it| it.schedules.as_ref());
        EffectiveServices {
            content_filtering: ContentFiltering {
                enabled: self.is_served()
                    && nearest(filtering, |it| it.enabled.as_ref()).copied().unwrap_or(false),
                categories: sorted(nearest(filtering, |it| it.categories.as_ref())),
                safe_search: nearest(filtering, |it| it.safe_search.as_ref())
                    .copied()
                    .unwrap_or(false),
                schedules: schedules
                    .map_or_else(Vec::new, |it: &Bounded<Schedule>| it.as_slice().to_vec()),
                blocking_page_url: nearest(filtering, |it| it.blocking_page_url.as_ref()).cloned(),
            },
            threat_protection: ThreatProtection {
                enabled: self.is_served()
                    && nearest(protection, |it| it.enabled.as_ref()).copied().unwrap_or(true),
                blocking_page_url: nearest(protection, |it| it.blocking_page_url.as_ref()).cloned(),
            },
        }
    }

    fn act_rules(&self) -> Vec<ActRule> {
        let levels = [
            (Level::Device, self.state.rules.as_ref()),
            (Level::User, self.user.and_then(|(_, it)| it.rules.as_ref())),
            (Level::Account, self.account.rules.as_ref()),
            (Level::Isp, self.configuration.and_then(|it| it.rules.as_ref())),
        ];
        let mut named = std::collections::HashSet::new();
        let mut act_rules = Vec::new();
        for (level, rules) in levels {
            let said = rules.into_iter().flat_map(entries);
            // A domain that an earlier rule names is decided already.
            let new = said.filter(|(_, domain)| named.insert((*domain).clone()));
            act_rules.extend(new.map(|(action, it)| ActRule { action, domain: it.clone(), level }));
        }
        act_rules
    }
}

fn nearest<'a, L, T>(
    levels: [Option<&'a L>; 5],
    leaf: impl Fn(&'a L) -> Option<&'a T>,
) -> Option<&'a T> {
    levels.into_iter().flatten().find_map(leaf)
}

fn sorted(categories: Option<&Bounded<Category>>) -> Vec<Category> {
    let mut categories = categories.map_or_else(Vec::new, |it| it.as_slice().to_vec());
    categories.sort_unstable();
    categories.dedup();
    categories
}

fn entries(rules: &Rules) -> impl Iterator<Item = (RuleAction, &events::DomainName)> {
    let lists = [(RuleAction::Allow, &rules.allow), (RuleAction::Block, &rules.block)];
    lists.into_iter().flat_map(|(action, list)| {
        list.iter().flat_map(|it| it.as_slice()).map(move |it| (action, it))
    })
}

/// What holds for a child's devices unless the child's own settings say otherwise.
fn preset(user: &UserState) -> Option<Services> {
    use Category::{Adult, Chat, Dating, Drugs, Gambling, Proxies, Social, Violence, Weapons};
    let child = || vec![Adult, Gambling, Violence, Drugs, Weapons, Dating, Social, Chat, Proxies];
    let teen = || vec![Adult, Gambling, Drugs, Weapons, Dating, Proxies];
    let categories = match (user.kind, user.age_group) {
        (UserKind::Parent, _) | (UserKind::Child, AgeGroup::Adult) => return None,
        (UserKind::Child, AgeGroup::Child) => child(),
        (UserKind::Child, AgeGroup::Teen) => teen(),
    };
    let categories = Bounded::try_from(categories).expect("a preset is short");
    let content_filtering = ContentFilteringSettings {
        enabled: Some(true),
        categories: Some(categories),
        safe_search: Some(true),
        ..ContentFilteringSettings::default()
    };
    Some(Services { content_filtering: Some(content_filtering), threat_protection: None })
}
