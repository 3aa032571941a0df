//! Why a device's configuration is as it is: for each leaf who decided, and what the others said.

use events::{
    ActRule, AgentPackageId, Category, DomainName, EffectiveDevice, HttpUrl, Level, RuleAction,
    Schedule, UserId,
};
use jiff::Timestamp;
use openapi::schema;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Absence, Decider, Decisions, Inputs, Leaf, Live, Switch, Target, UserAbsence, act_rules,
    effective_device, sorted,
};

/// What holds for a device, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// What holds, as it is published.
    pub configuration: EffectiveDevice,
    /// Who decided about each leaf.
    pub provenance: Vec<Provenance>,
    /// The rules, each with what it overrules.
    pub rules: Vec<ExplainedRule>,
    /// Whether content is filtered at the moment.
    pub filtering_now: FilteringNow,
}

/// Who decided about one leaf.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Provenance {
    /// A JSON pointer into the configuration.
    pub leaf: &'static str,
    /// What holds.
    #[schema(value_type = schema::Anything)]
    pub value: LeafValue,
    /// Who decided.
    pub decided_by: Decider,
    /// Why, where that is not plain from the order of the levels.
    pub because: Option<Because>,
    /// What each level says that says something, the nearest first, and the default.
    pub said: Vec<LevelSaid>,
}

/// Why somebody decided who is not the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The account is suspended: everything is off.
    AccountSuspended,
    /// The user that the device names is not known.
    UserUnknown,
    /// The user that the device names was deleted.
    UserDeleted,
    /// The user that the device names is of another account.
    UserOfAnotherAccount,
}

/// What one level says of a leaf.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LevelSaid {
    /// Who.
    pub level: Decider,
    /// What.
    #[schema(value_type = schema::Anything)]
    pub value: LeafValue,
}

/// What a leaf may be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LeafValue {
    /// On or off.
    Switch(bool),
    /// What is filtered.
    Categories(Vec<Category>),
    /// When it is filtered.
    Schedules(Vec<Schedule>),
    /// A page.
    Page(Option<HttpUrl>),
    /// Whose device it is.
    User(Option<UserId>),
    /// Which software a router is to run.
    Package(Option<AgentPackageId>),
}

/// A rule, with what it overrules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExplainedRule {
    /// What happens.
    #[schema(value_type = schema::RuleAction)]
    pub action: RuleAction,
    /// Where to.
    #[schema(value_type = schema::DomainName)]
    pub domain: DomainName,
    /// Who said so.
    #[schema(value_type = schema::Level)]
    pub level: Level,
    /// What was said of the same domain behind it, and has no effect.
    pub overrules: Vec<Overruled>,
}

/// An entry of a list that has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Overruled {
    /// Who said so.
    #[schema(value_type = schema::Level)]
    pub level: Level,
    /// What should have happened.
    #[schema(value_type = schema::RuleAction)]
    pub action: RuleAction,
}

/// Whether content is filtered at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilteringNow {
    /// Whether it is.
    pub active: bool,
    /// The schedule that makes it so, and until when; nothing where it is always or never filtered.
    pub schedule: Option<(Schedule, Timestamp)>,
}

/// What holds for a device at `now`, and why.
///
/// # Errors
/// It is not served, and why.
pub fn explained(inputs: Inputs<'_>, now: Timestamp) -> Result<Explained, Absence> {
    let live = inputs.live()?;
    let configuration = effective_device(inputs).expect("it is live");
    let filtering = &configuration.services.content_filtering;
    let mut holding =
        filtering.schedules.iter().filter_map(|it| Some((it.clone(), it.holds_until(now)?)));
    let schedule = holding.next().filter(|_| filtering.enabled);
    let always = filtering.enabled && filtering.schedules.is_empty();
    let filtering_now = FilteringNow { active: always || schedule.is_some(), schedule };
    Ok(Explained {
        provenance: provenance(inputs, &live),
        rules: rules(&live),
        filtering_now,
        configuration,
    })
}

fn provenance(inputs: Inputs<'_>, live: &Live<'_>) -> Vec<Provenance> {
    let decisions = Decisions::of(live);
    vec![
        of_switch("/enabled", &decisions.enabled),
        of_target(decisions.target),
        of_switch("/services/content_filtering/enabled", &decisions.filtering),
        of(
            "/services/content_filtering/categories",
            &decisions.categories,
            |it| LeafValue::Categories(sorted(it)),
            LeafValue::Categories(Vec::new()),
        ),
        of_switch("/services/content_filtering/safe_search", &decisions.safe_search),
        of(
            "/services/content_filtering/schedules",
            &decisions.schedules,
            |it| LeafValue::Schedules(it.as_slice().to_vec()),
            LeafValue::Schedules(Vec::new()),
        ),
        of_page("/services/content_filtering/blocking_page_url", &decisions.filtering_page),
        of_switch("/services/threat_protection/enabled", &decisions.protection),
        of_page("/services/threat_protection/blocking_page_url", &decisions.protection_page),
        of_user(inputs, live),
    ]
}

fn of<T>(
    leaf: &'static str,
    decision: &Leaf<'_, T>,
    value: impl Fn(&T) -> LeafValue,
    default: LeafValue,
) -> Provenance {
    let mut said: Vec<LevelSaid> =
        decision.said().map(|(level, it)| LevelSaid { level, value: value(it) }).collect();
    said.push(LevelSaid { level: Decider::Default, value: default });
    let LevelSaid { level, value } = said[0].clone();
    Provenance { leaf, value, decided_by: level, because: None, said }
}

fn of_switch(leaf: &'static str, switch: &Switch<'_>) -> Provenance {
    let of = of(leaf, &switch.leaf, |it| LeafValue::Switch(*it), LeafValue::Switch(switch.default));
    if !switch.suspended {
        return of;
    }
    let value = LeafValue::Switch(switch.value());
    let because = Some(Because::AccountSuspended);
    Provenance { value, decided_by: Decider::Account, because, ..of }
}

fn of_page(leaf: &'static str, page: &Leaf<'_, HttpUrl>) -> Provenance {
    of(leaf, page, |it| LeafValue::Page(Some(it.clone())), LeafValue::Page(None))
}

/// Which software a router is to run: what its ISP has chosen for it, or the default of its model.
fn of_target(target: Target<'_>) -> Provenance {
    let said = |level: Decider, it: Option<&AgentPackageId>| LevelSaid {
        level,
        value: LeafValue::Package(it.cloned()),
    };
    let chosen = target.chosen.map(|it| said(Decider::Isp, Some(it)));
    let said: Vec<LevelSaid> =
        chosen.into_iter().chain([said(Decider::Default, target.default)]).collect();
    let LevelSaid { level, value } = said[0].clone();
    let leaf = "/target_agent_package";
    Provenance { leaf, value, decided_by: level, because: None, said }
}

/// Whose device it is: what the device says, unless there is no such user in its household.
fn of_user(inputs: Inputs<'_>, live: &Live<'_>) -> Provenance {
    let because = inputs.user().and_then(Result::err).map(|it| match it {
        UserAbsence::Unknown => Because::UserUnknown,
        UserAbsence::Deleted => Because::UserDeleted,
        UserAbsence::OfAnotherAccount => Because::UserOfAnotherAccount,
    });
    let nobody = LevelSaid { level: Decider::Default, value: LeafValue::User(None) };
    let named = live.state.user_id.clone().map(|it| LeafValue::User(Some(it)));
    let named = named.map(|value| LevelSaid { level: Decider::Device, value });
    let decided_by = if live.user.is_some() { Decider::Device } else { Decider::Default };
    let value = LeafValue::User(live.user.map(|(id, _)| id.clone()));
    let said = named.into_iter().chain([nobody]).collect();
    Provenance { leaf: "/user_id", value, decided_by, because, said }
}

fn rules(live: &Live<'_>) -> Vec<ExplainedRule> {
    let mut overruled: Vec<(usize, Overruled)> = Vec::new();
    let rules = act_rules(live, |place, level, action| {
        overruled.push((place, Overruled { level, action }));
    });
    let mut rules: Vec<ExplainedRule> = rules
        .into_iter()
        .map(|ActRule { action, domain, level }| ExplainedRule {
            action,
            domain,
            level,
            overrules: Vec::new(),
        })
        .collect();
    for (place, it) in overruled {
        rules[place].overrules.push(it);
    }
    rules
}

impl Absence {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::AccountUnknown => "account_unknown",
            Self::AccountDeleted => "account_deleted",
            Self::AccountEnded => "account_ended",
        }
    }

    /// In a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Deleted => "the device was deleted",
            Self::AccountUnknown => "its account is not known yet",
            Self::AccountDeleted => "its account was deleted and has not come back",
            Self::AccountEnded => {
                "its account was deleted after the device was provisioned: \
                 the device must be provisioned again"
            }
        }
    }
}
