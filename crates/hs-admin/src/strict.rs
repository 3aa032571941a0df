//! Reading without mercy: a missing member is an error even where null would do, and so is an unknown one.
//!
//! The types of [`events`] tolerate both, as records on the bus must. The mirrors below name the same members,
//! which the compiler checks, and read them strictly.

use events::{
    ActRule, Action, ActionName, Category, ContentFiltering, Day, DomainName, EffectiveServices,
    HttpUrl, Level, RuleAction, Schedule, Text, ThreatProtection, TimeOfDay, TimeZone, Timestamp,
};
use serde::{Deserialize, Deserializer, de::Error};

/// Most characters of a signature.
const LONG_TEXT_CHARS_MAX: usize = 8_192;

/// A member that may be null and may not be missing.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// Services of which every member is there.
pub(crate) fn services<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<EffectiveServices, D::Error> {
    StrictServices::deserialize(deserializer)
}

/// An action of which every member is there, or null.
pub(crate) fn action<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Action>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Entry(#[serde(with = "StrictAction")] Action);
    Ok(Option::<Entry>::deserialize(deserializer)?.map(|it| it.0))
}

/// Rules of which every member is there.
pub(crate) fn act_rules<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<ActRule>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Entry(#[serde(with = "StrictActRule")] ActRule);
    Ok(Vec::<Entry>::deserialize(deserializer)?.into_iter().map(|it| it.0).collect())
}

/// A text that is longer than a name.
pub(crate) fn long_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.chars().count() > LONG_TEXT_CHARS_MAX {
        return Err(D::Error::custom("a signature must have at most 8192 characters"));
    }
    Ok(text)
}

fn schedules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Schedule>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Entry(#[serde(with = "StrictSchedule")] Schedule);
    Ok(Vec::<Entry>::deserialize(deserializer)?.into_iter().map(|it| it.0).collect())
}

#[derive(Deserialize)]
#[serde(remote = "EffectiveServices", deny_unknown_fields)]
struct StrictServices {
    #[serde(with = "StrictContentFiltering")]
    content_filtering: ContentFiltering,
    #[serde(with = "StrictThreatProtection")]
    threat_protection: ThreatProtection,
}

#[derive(Deserialize)]
#[serde(remote = "ContentFiltering", deny_unknown_fields)]
struct StrictContentFiltering {
    enabled: bool,
    categories: Vec<Category>,
    safe_search: bool,
    #[serde(deserialize_with = "schedules")]
    schedules: Vec<Schedule>,
    #[serde(deserialize_with = "nullable")]
    blocking_page_url: Option<HttpUrl>,
}

#[derive(Deserialize)]
#[serde(remote = "ThreatProtection", deny_unknown_fields)]
struct StrictThreatProtection {
    enabled: bool,
    #[serde(deserialize_with = "nullable")]
    blocking_page_url: Option<HttpUrl>,
}

#[derive(Deserialize)]
#[serde(remote = "Schedule", deny_unknown_fields)]
struct StrictSchedule {
    name: Text,
    days: Vec<Day>,
    from: TimeOfDay,
    to: TimeOfDay,
    timezone: TimeZone,
}

#[derive(Deserialize)]
#[serde(remote = "Action", deny_unknown_fields)]
struct StrictAction {
    id: Text,
    name: ActionName,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(remote = "ActRule", deny_unknown_fields)]
struct StrictActRule {
    action: RuleAction,
    domain: DomainName,
    level: Level,
}
