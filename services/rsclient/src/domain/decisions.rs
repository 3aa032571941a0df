//! Who decides about each leaf of a device's configuration, and what the other levels say of it.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::LazyLock,
};

use events::{
    ActRule, AgeGroup, Bounded, Category, ContentFiltering, ContentFilteringSettings, DeviceKind,
    DomainName, EffectiveServices, HttpUrl, Level, RuleAction, Rules, Schedules, Services,
    ThreatProtection, UserKind,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Live, Target, UserState};

/// Who may decide about a leaf, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decider {
    /// The device itself.
    Device,
    /// The user whose device it is.
    User,
    /// What the age of a child brings with it.
    Preset,
    /// The household.
    Account,
    /// The ISP.
    Isp,
    /// Nobody has said anything.
    Default,
}

/// The levels in their order; the default is what is left.
const LEVELS: [Decider; 5] =
    [Decider::Device, Decider::User, Decider::Preset, Decider::Account, Decider::Isp];

/// What each level says of one leaf.
#[derive(Debug)]
pub struct Leaf<'a, T>([Option<&'a T>; LEVELS.len()]);

/// A leaf that is on or off.
#[derive(Clone, Copy, Debug)]
pub struct Switch<'a> {
    /// What the levels say.
    pub leaf: Leaf<'a, bool>,
    /// What holds where they say nothing.
    pub default: bool,
    /// Whether the household is suspended, which switches off whatever they say.
    pub suspended: bool,
}

/// Everything that the levels decide for a device.
#[derive(Clone, Copy, Debug)]
pub struct Decisions<'a> {
    /// Whether a router is served.
    pub enabled: Switch<'a>,
    /// Routers: which software is run.
    pub target: Target<'a>,
    /// Whether content is filtered.
    pub filtering: Switch<'a>,
    /// What is filtered.
    pub categories: Leaf<'a, Bounded<Category>>,
    /// Whether search engines answer in their safe mode.
    pub safe_search: Switch<'a>,
    /// When it is filtered.
    pub schedules: Leaf<'a, Schedules>,
    /// What a page shows that is filtered.
    pub filtering_page: Leaf<'a, HttpUrl>,
    /// Whether threats are blocked.
    pub protection: Switch<'a>,
    /// What a page shows that is a threat.
    pub protection_page: Leaf<'a, HttpUrl>,
}

impl<T> Copy for Leaf<'_, T> {}

impl<T> Clone for Leaf<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<'a, T> Leaf<'a, T> {
    fn of<L>(levels: [Option<&'a L>; LEVELS.len()], leaf: impl Fn(&'a L) -> Option<&'a T>) -> Self {
        Self(levels.map(|it| it.and_then(&leaf)))
    }

    fn of_the_device(said: Option<&'a T>) -> Self {
        let mut levels = [None; LEVELS.len()];
        levels[0] = said;
        Self(levels)
    }

    /// The nearest level that says something, and what.
    pub fn decided(&self) -> Option<(Decider, &'a T)> {
        self.said().next()
    }

    /// All levels that say something, the nearest first, and what.
    pub fn said(&self) -> impl Iterator<Item = (Decider, &'a T)> {
        LEVELS.into_iter().zip(self.0).filter_map(|(level, said)| Some((level, said?)))
    }

    fn value(&self) -> Option<&'a T> {
        self.decided().map(|(_, it)| it)
    }
}

impl<'a> Switch<'a> {
    fn of(leaf: Leaf<'a, bool>, default: bool, suspended: bool) -> Self {
        Self { leaf, default, suspended }
    }

    /// Whether it is on.
    pub fn value(&self) -> bool {
        !self.suspended && self.leaf.value().copied().unwrap_or(self.default)
    }
}

impl<'a> Decisions<'a> {
    /// Asks every level about every leaf.
    pub fn of(live: &Live<'a>) -> Self {
        let levels = [
            live.state.services.as_ref(),
            live.user.and_then(|(_, it)| it.services.as_ref()),
            live.user.and_then(|(_, it)| preset(it)),
            live.account.services.as_ref(),
            live.configuration.and_then(|it| it.services.as_ref()),
        ];
        let suspended = live.is_suspended();
        let filtering = levels.map(|it| it.and_then(|it| it.content_filtering.as_ref()));
        let protection = levels.map(|it| it.and_then(|it| it.threat_protection.as_ref()));
        let (is_router, target) = match live.state.kind {
            DeviceKind::Router => (true, Target::of(&live.device.id, live.state, live.software)),
            DeviceKind::Device => (false, Target::default()),
        };
        Self {
            enabled: Switch::of(
                Leaf::of_the_device(live.said_enabled()),
                true,
                suspended && is_router,
            ),
            target,
            filtering: Switch::of(Leaf::of(filtering, |it| it.enabled.as_ref()), false, suspended),
            categories: Leaf::of(filtering, |it| it.categories.as_ref()),
            safe_search: Switch::of(
                Leaf::of(filtering, |it| it.safe_search.as_ref()),
                false,
                false,
            ),
            schedules: Leaf::of(filtering, |it| it.schedules.as_ref()),
            filtering_page: Leaf::of(filtering, |it| it.blocking_page_url.as_ref()),
            protection: Switch::of(Leaf::of(protection, |it| it.enabled.as_ref()), true, suspended),
            protection_page: Leaf::of(protection, |it| it.blocking_page_url.as_ref()),
        }
    }

    /// What was decided.
    pub fn services(&self) -> EffectiveServices {
        EffectiveServices {
            content_filtering: ContentFiltering {
                enabled: self.filtering.value(),
                categories: self.categories.value().map_or_else(Vec::new, sorted),
                safe_search: self.safe_search.value(),
                schedules: self
                    .schedules
                    .value()
                    .map_or_else(Vec::new, |it| it.as_slice().to_vec()),
                blocking_page_url: self.filtering_page.value().cloned(),
            },
            threat_protection: ThreatProtection {
                enabled: self.protection.value(),
                blocking_page_url: self.protection_page.value().cloned(),
            },
        }
    }
}

/// What is allowed and blocked, the first match decides. A domain that an earlier rule names is decided already:
/// `overruled` is told of each such entry with the place of the rule that stands before it.
pub(super) fn act_rules(
    live: &Live<'_>,
    mut overruled: impl FnMut(usize, Level, RuleAction),
) -> Vec<ActRule> {
    let levels = [
        (Level::Device, live.state.rules.as_ref()),
        (Level::User, live.user.and_then(|(_, it)| it.rules.as_ref())),
        (Level::Account, live.account.rules.as_ref()),
        (Level::Isp, live.configuration.and_then(|it| it.rules.as_ref())),
    ];
    let mut named: HashMap<&DomainName, usize> = HashMap::new();
    let mut act_rules = Vec::new();
    for (level, rules) in levels {
        for (action, domain) in rules.into_iter().flat_map(entries) {
            match named.entry(domain) {
                Entry::Occupied(earlier) => overruled(*earlier.get(), level, action),
                Entry::Vacant(place) => {
                    place.insert(act_rules.len());
                    act_rules.push(ActRule { action, domain: domain.clone(), level });
                }
            }
        }
    }
    act_rules
}

/// As they are sent: in their order, each once.
pub(super) fn sorted(categories: &Bounded<Category>) -> Vec<Category> {
    let mut categories = categories.as_slice().to_vec();
    categories.sort_unstable();
    categories.dedup();
    categories
}

fn entries(rules: &Rules) -> impl Iterator<Item = (RuleAction, &DomainName)> {
    let lists = [(RuleAction::Allow, &rules.allow), (RuleAction::Block, &rules.block)];
    lists.into_iter().flat_map(|(action, list)| {
        list.iter().flat_map(|it| it.as_slice()).map(move |it| (action, it))
    })
}

/// What holds for a child's devices unless the child's own settings say otherwise.
fn preset(user: &UserState) -> Option<&'static Services> {
    use Category::{Adult, Chat, Dating, Drugs, Gambling, Proxies, Social, Violence, Weapons};
    static CHILD: LazyLock<Services> = LazyLock::new(|| {
        filtering(vec![Adult, Gambling, Violence, Drugs, Weapons, Dating, Social, Chat, Proxies])
    });
    static TEEN: LazyLock<Services> =
        LazyLock::new(|| filtering(vec![Adult, Gambling, Drugs, Weapons, Dating, Proxies]));
    match (user.kind, user.age_group) {
        (UserKind::Parent, _) | (UserKind::Child, AgeGroup::Adult) => None,
        (UserKind::Child, AgeGroup::Child) => Some(&CHILD),
        (UserKind::Child, AgeGroup::Teen) => Some(&TEEN),
    }
}

fn filtering(categories: Vec<Category>) -> Services {
    let content_filtering = ContentFilteringSettings {
        enabled: Some(true),
        categories: Some(Bounded::try_from(categories).expect("a preset is short")),
        safe_search: Some(true),
        ..ContentFilteringSettings::default()
    };
    Services { content_filtering: Some(content_filtering), threat_protection: None }
}
