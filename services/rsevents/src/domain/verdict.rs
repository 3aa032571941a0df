//! Whether an event counts: by its time, and by what provisioning says of its device.

use std::time::Duration;

use events::{DeviceId, Discovered, HomeEvent, HsEvent, IspId, Timestamp};

use super::{Account, Device, Home};

/// Why an event has no effect that is about something that is gone.
const GONE: &str = "gone";

/// What an event may claim.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So far it may lie in the future: clocks differ.
    pub future: Duration,
    /// So old it may be.
    pub age: Duration,
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is told of this home.
    Take(Home),
    /// It is about something that is not known, and may become known.
    Wait(String),
    /// It is about something that is gone.
    Skip(&'static str),
    /// It never counts.
    Refuse(Wrong),
}

/// What is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It names another ISP than that of its device.
    Foreign(String),
    /// It comes from the future, or from too long ago.
    Untimely(String),
}

/// What is known of those whom an event is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places<'a> {
    /// Its device.
    pub device: Option<&'a Device>,
    /// The household of its device, unless that is deleted.
    pub account: Option<&'a Account>,
    /// The household that the event names, where it is of a new device.
    pub named: Option<&'a Account>,
}

/// Whether an event of this moment counts at all.
///
/// # Errors
/// It comes from the future, or is too old.
pub fn is_timely(at: &Timestamp, now: jiff::Timestamp, limits: Limits) -> Result<(), Wrong> {
    let since = now.as_second() - at.instant().as_second();
    let (future, age) = (limits.future.as_secs(), limits.age.as_secs());
    if since < 0 && since.unsigned_abs() > future {
        let why = format!("comes from the future: `{at}` is more than {future} s ahead");
        return Err(Wrong::Untimely(why));
    }
    if since > 0 && since.unsigned_abs() > age {
        let hours = age / 3_600;
        return Err(Wrong::Untimely(format!("is too old: `{at}` is more than {hours} h ago")));
    }
    Ok(())
}

/// What becomes of a timely event.
pub fn judge(event: &HsEvent, places: Places<'_>) -> Verdict {
    let (device_id, isp_id) = about(event);
    if let Some(device) = places.device.filter(|it| it.isp_id != *isp_id) {
        let why = format!("device `{device_id}` is not of `{isp_id}` but of `{}`", device.isp_id);
        return Verdict::Refuse(Wrong::Foreign(why));
    }
    match event {
        HsEvent::NewDevice(it) => new(it, places),
        HsEvent::Connected(_)
        | HsEvent::Active(_)
        | HsEvent::Blocked(_)
        | HsEvent::Threat(_)
        | HsEvent::Agent(_) => known(device_id, places),
    }
}

/// The device and the tenant that an event names.
fn about(event: &HsEvent) -> (&DeviceId, &IspId) {
    match event {
        HsEvent::Connected(it) => (&it.device_id, &it.isp_id),
        HsEvent::NewDevice(it) => (&it.device_id, &it.isp_id),
        HsEvent::Active(it) => (&it.device_id, &it.isp_id),
        HsEvent::Blocked(it) => (&it.device_id, &it.isp_id),
        HsEvent::Threat(it) => (&it.device_id, &it.isp_id),
        HsEvent::Agent(it) => (&it.device_id, &it.isp_id),
    }
}

fn known(device_id: &DeviceId, places: Places<'_>) -> Verdict {
    match (places.device, places.account) {
        (None, _) => Verdict::Wait(format!("device `{device_id}` is not known")),
        (Some(device), _) if device.deleted => Verdict::Skip(GONE),
        (Some(device), None) => pending(device),
        (Some(device), Some(account)) => match device.is_live(account) {
            true => Verdict::Take(device.home()),
            false => Verdict::Skip(GONE),
        },
    }
}

/// A device that is served is where provisioning says; one that has ended may have gone to the household that the event
/// names.
fn new(it: &HomeEvent<Discovered>, places: Places<'_>) -> Verdict {
    match (places.device.filter(|it| !it.deleted), places.account, places.named) {
        (Some(device), Some(account), _) if device.is_live(account) => Verdict::Take(device.home()),
        (Some(device), None, _) => pending(device),
        (_, _, Some(named)) => discovered(&it.isp_id, named),
        (_, Some(account), None) if it.account_id.is_none() => discovered(&it.isp_id, account),
        (_, _, None) => Verdict::Wait(match &it.account_id {
            Some(account_id) => format!("account `{account_id}` is not known"),
            None => format!("nobody says whose `{}` is, which is new", it.device_id),
        }),
    }
}

fn pending(device: &Device) -> Verdict {
    let Device { id, account_id, .. } = device;
    Verdict::Wait(format!("account `{account_id}` of device `{id}` is not known"))
}

/// A device that is not served is discovered, perhaps once more, in a household.
fn discovered(isp_id: &IspId, account: &Account) -> Verdict {
    let Account { id, isp_id: its, deleted, .. } = account;
    if its != isp_id {
        let why = format!("account `{id}` is not of `{isp_id}` but of `{its}`");
        return Verdict::Refuse(Wrong::Foreign(why));
    }
    match deleted {
        true => Verdict::Skip(GONE),
        false => Verdict::Take(Home { isp_id: its.clone(), account_id: id.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use events::TopicEvent as _;

    use super::*;

    fn event(event_type: &str, account: bool) -> HsEvent {
        let account = if account { r#""account_id":"a-1","# } else { "" };
        let payload = format!(
            r#"{{"timestamp":"2026-03-01T10:00:00Z","event_id":"e-1","isp_id":"isp-1",{account}
            "device_id":"d-1","mac":"3c:22:fb:01:02:03","active":true}}"#
        );
        HsEvent::decode(event_type, payload.as_bytes()).unwrap()
    }

    fn device(isp: &str, revision: u64, deleted: bool) -> Device {
        Device {
            id: "d-1".parse().unwrap(),
            isp_id: isp.parse().unwrap(),
            account_id: "a-1".parse().unwrap(),
            revision: revision.try_into().unwrap(),
            deleted,
        }
    }

    fn account(isp: &str, ended_at: u64, deleted: bool) -> Account {
        Account {
            id: "a-1".parse().unwrap(),
            isp_id: isp.parse().unwrap(),
            revision: 9.try_into().unwrap(),
            ended_at: ended_at.try_into().unwrap(),
            deleted,
        }
    }

    fn shown(event: &HsEvent, device: Option<&Device>, account: Option<&Account>) -> String {
        verdict(event, Places { device, account, named: None })
    }

    fn verdict(event: &HsEvent, places: Places<'_>) -> String {
        match judge(event, places) {
            Verdict::Take(home) => format!("{}/{}", home.isp_id, home.account_id),
            Verdict::Wait(why) => format!("waits: {why}"),
            Verdict::Skip(why) => format!("skipped: {why}"),
            Verdict::Refuse(Wrong::Foreign(why) | Wrong::Untimely(why)) => format!("no: {why}"),
        }
    }

    #[test]
    fn an_event_counts_where_its_device_is_live_and_of_the_isp_that_it_names() {
        let active = event("device_event_active", true);
        let (ours, home) = (device("isp-1", 5, false), account("isp-1", 0, false));
        assert_eq!(shown(&active, Some(&ours), Some(&home)), "isp-1/a-1");
        assert_eq!(shown(&active, None, None), "waits: device `d-1` is not known");
        let pending = "waits: account `a-1` of device `d-1` is not known";
        assert_eq!(shown(&active, Some(&ours), None), pending);
        let gone = device("isp-1", 5, true);
        assert_eq!(shown(&active, Some(&gone), Some(&home)), "skipped: gone");
        let ended = account("isp-1", 6, false);
        assert_eq!(shown(&active, Some(&ours), Some(&ended)), "skipped: gone");
        let theirs = device("isp-2", 5, false);
        let foreign = "no: device `d-1` is not of `isp-1` but of `isp-2`";
        assert_eq!(shown(&active, Some(&theirs), Some(&home)), foreign);
    }

    #[test]
    fn a_new_device_is_of_the_household_that_knows_it_or_that_the_event_names() {
        let (new, homeless) =
            (event("device_event_new_device", true), event("device_event_new_device", false));
        let home = account("isp-1", 0, false);
        let named = |device, named| verdict(&new, Places { device, account: None, named });
        assert_eq!(named(None, Some(&home)), "isp-1/a-1");
        assert_eq!(named(None, None), "waits: account `a-1` is not known");
        let nobody = "waits: nobody says whose `d-1` is, which is new";
        assert_eq!(shown(&homeless, None, None), nobody);
        let (ours, again) = (device("isp-1", 5, false), device("isp-1", 5, true));
        assert_eq!(shown(&homeless, Some(&ours), Some(&home)), "isp-1/a-1");
        assert_eq!(named(Some(&again), Some(&home)), "isp-1/a-1");
        let (gone, theirs) = (account("isp-1", 0, true), account("isp-2", 0, false));
        assert_eq!(named(None, Some(&gone)), "skipped: gone");
        let foreign = "no: account `a-1` is not of `isp-1` but of `isp-2`";
        assert_eq!(named(None, Some(&theirs)), foreign);
    }

    #[test]
    fn a_device_that_ended_with_its_household_is_found_in_the_one_that_the_event_names() {
        let (new, homeless) =
            (event("device_event_new_device", true), event("device_event_new_device", false));
        let ours = device("isp-1", 5, false);
        let named = Account { id: "a-2".parse().unwrap(), ..account("isp-1", 0, false) };
        let (gone, back) = (account("isp-1", 6, true), account("isp-1", 6, false));
        let of = |account, named| Places { device: Some(&ours), account, named };
        for ended in [&gone, &back] {
            assert_eq!(verdict(&new, of(Some(ended), Some(&named))), "isp-1/a-2");
            let unknown = "waits: account `a-1` is not known";
            assert_eq!(verdict(&new, of(Some(ended), None)), unknown);
        }
        assert_eq!(verdict(&homeless, of(Some(&gone), None)), "skipped: gone");
        assert_eq!(verdict(&homeless, of(Some(&back), None)), "isp-1/a-1");
        let pending = "waits: account `a-1` of device `d-1` is not known";
        assert_eq!(verdict(&new, of(None, Some(&named))), pending);
    }

    #[test]
    fn an_event_is_of_now_or_of_not_too_long_ago() {
        let limits = Limits { future: Duration::from_secs(300), age: Duration::from_secs(7_200) };
        let now: jiff::Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let timely = |at: &str| is_timely(&at.to_owned().try_into().unwrap(), now, limits);
        for good in ["2026-03-01T10:05:00Z", "2026-03-01T10:00:00.5Z", "2026-03-01T08:00:00Z"] {
            assert_eq!(timely(good), Ok(()), "{good}");
        }
        let future = "comes from the future: `2026-03-01T10:05:01Z` is more than 300 s ahead";
        assert_eq!(timely("2026-03-01T10:05:01Z"), Err(Wrong::Untimely(future.to_owned())));
        let old = "is too old: `2026-03-01T07:59:59Z` is more than 2 h ago";
        assert_eq!(timely("2026-03-01T07:59:59Z"), Err(Wrong::Untimely(old.to_owned())));
    }
}
