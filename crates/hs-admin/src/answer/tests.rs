//! The table from answers to meanings, whole.

use std::{collections::BTreeMap, fmt::Write as _};

use expect_test::expect;

use super::*;

const CALLS: [Call; 4] = [Call::Get, Call::Put, Call::Post, Call::Delete];

fn reply(error: &str) -> ErrorReply {
    ErrorReply { error: error.to_owned(), detail: String::new() }
}

fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done { .. } => "done",
        Answer::NotSent => "not sent",
        Answer::Stale => "stale",
        Answer::Early { .. } => "early",
        Answer::Wrong { .. } => "wrong",
        Answer::Trouble { .. } => "trouble",
        Answer::Misconfigured { .. } => "misconfigured",
    }
}

/// Ranges of statuses with one meaning, a line each; what is misconfigured is left out.
fn statuses(call: Call, resource: ResourceKind, error: &str) -> String {
    let mut ranges: Vec<(u16, u16, &'static str)> = Vec::new();
    for status in 100..=999 {
        let word = word(&meaning(call, resource, status, &reply(error), None));
        match ranges.last_mut() {
            Some((_, last, of)) if *of == word => *last = status,
            _ => ranges.push((status, status, word)),
        }
    }
    ranges.retain(|it| it.2 != "misconfigured");
    ranges.iter().fold(String::new(), |mut text, (first, last, word)| {
        let _ = match first == last {
            true => write!(text, " {first} {word},"),
            false => write!(text, " {first}-{last} {word},"),
        };
        text
    })
}

fn table(error: &str) -> String {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in CALLS {
        for resource in ResourceKind::ALL {
            let name = format!("{} {}", call.as_str(), resource.as_str());
            groups.entry(statuses(call, resource, error)).or_default().push(name);
        }
    }
    let mut lines: Vec<_> =
        groups.iter().map(|(it, who)| format!("{}:\n   {it}\n", who.join(", "))).collect();
    lines.sort();
    lines.concat()
}

#[test]
fn every_status_has_one_meaning_and_the_unknown_ones_mean_misconfigured() {
    expect![[r#"
        DELETE device, DELETE router, DELETE feature-flags, DELETE agent-package, DELETE system, DELETE status:
            200-299 done, 400 wrong, 404 done, 408 trouble, 409 wrong, 410 done, 413 wrong, 422 wrong, 425 trouble, 429 trouble, 500-599 trouble,
        GET device, GET router, GET feature-flags, GET agent-package, GET system, GET status, PUT device, PUT router, PUT agent-package, PUT system, PUT status, POST device, POST router, POST agent-package, POST system, POST status:
            200-299 done, 400 wrong, 408 trouble, 409 wrong, 413 wrong, 422 wrong, 425 trouble, 429 trouble, 500-599 trouble,
        PUT feature-flags, POST feature-flags:
            200-299 done, 400 wrong, 404 early, 408 trouble, 409 wrong, 413 wrong, 422 wrong, 425 trouble, 429 trouble, 500-599 trouble,
    "#]].assert_eq(&table(""));
}

#[test]
fn a_code_is_read_with_a_conflict_and_nowhere_else() {
    let changed = |code: &str| {
        let mut lines = Vec::new();
        for call in CALLS {
            for resource in ResourceKind::ALL {
                for status in 100..=999 {
                    let plain = word(&meaning(call, resource, status, &reply("other"), None));
                    let coded = word(&meaning(call, resource, status, &reply(code), None));
                    if plain != coded {
                        lines.push(format!("{status} {plain} -> {coded}"));
                    }
                }
            }
        }
        let times = lines.len();
        lines.dedup();
        format!("{code}: {} ({times} times)", lines.join(", "))
    };
    expect!["stale_revision: 409 wrong -> stale (24 times)"].assert_eq(&changed("stale_revision"));
    expect!["unknown_agent_package: 409 wrong -> early (24 times)"]
        .assert_eq(&changed("unknown_agent_package"));
}

#[test]
fn an_answer_carries_its_status_what_the_backend_says_and_how_long_to_wait() {
    let said = ErrorReply { error: "malformed".to_owned(), detail: "no mac".to_owned() };
    let wait = Some(Duration::from_secs(7));
    let answer = |status, reply| meaning(Call::Put, ResourceKind::Device, status, reply, wait);
    let silent = ErrorReply::default();
    let answers =
        [answer(204, &silent), answer(422, &said), answer(503, &silent), answer(401, &silent)];
    expect![[r#"
        [
            Done {
                http_status: 204,
            },
            Wrong {
                http_status: 422,
                detail: "malformed: no mac",
            },
            Trouble {
                http_status: Some(
                    503,
                ),
                retry_after: Some(
                    7s,
                ),
                detail: "answered 503",
            },
            Misconfigured {
                http_status: Some(
                    401,
                ),
                detail: "answered 401",
            },
        ]
    "#]]
    .assert_debug_eq(&answers);
}

#[test]
fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
    let now = "1994-11-06T08:49:00Z".parse().expect("a time");
    let seconds = |header| retry_after(header, now).map(|it| it.as_secs());
    assert_eq!(seconds("0"), Some(0));
    assert_eq!(seconds(" 120 "), Some(120));
    assert_eq!(seconds("86400"), Some(3_600));
    assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
    assert_eq!(seconds("Sun, 06 Nov 1994 08:48:00 GMT"), Some(0));
    assert_eq!(seconds("Mon, 07 Nov 1994 08:49:37 GMT"), Some(3_600));
    assert_eq!(seconds("soon"), None);
    assert_eq!(seconds("-1"), None);
    assert_eq!(seconds(""), None);
}
