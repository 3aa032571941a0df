//! Why a service did not do what was asked of it.

use reqwest::StatusCode;
use serde::Deserialize;

use super::Whom;
use crate::shown::{cut, line};

/// Most characters of a sentence of a service that are passed on.
const DETAIL_CHARACTERS: usize = 500;

/// Why a service did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct Refusal {
    /// What it comes down to.
    pub cause: Cause,
    sentence: String,
}

/// What a refusal comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It cannot be reached, or is in trouble: later it may work.
    Unreachable,
    /// There is no such thing, or it is not the caller's.
    NotFound,
    /// The state of it, or of another, does not allow it.
    Conflict,
    /// It calls the request wrong, or not allowed.
    Refused,
    /// It has answered something that makes no sense.
    Senseless,
}

/// An error as a service tells it (RFC 9457).
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    #[serde(default)]
    pointer: String,
    #[serde(default)]
    detail: String,
}

impl Refusal {
    pub(crate) fn new(cause: Cause, sentence: impl Into<String>) -> Self {
        Self { cause, sentence: sentence.into() }
    }

    /// An answer without the thing that was asked for.
    pub(crate) fn senseless(whom: Whom, what: &str, error: impl std::fmt::Display) -> Self {
        let error = cut(line(error.to_string().as_bytes()), DETAIL_CHARACTERS);
        Self::new(Cause::Senseless, format!("{}'s answer is no {what}: {error}", whom.name()))
    }

    /// What an answer means that is no success; `is_problem` where it says of itself that it is a problem.
    pub(crate) fn of(whom: Whom, status: StatusCode, is_problem: bool, body: &[u8]) -> Self {
        let name = whom.name();
        let problem: Option<Problem> =
            is_problem.then(|| serde_json::from_slice(body).ok()).flatten();
        let told = problem.is_some();
        let detail = problem.unwrap_or_default().sentence();
        let of = |cause, begin: &str| Self::new(cause, join(begin, &detail));
        let code = status.as_u16();
        match code {
            401 => of(Cause::Refused, &format!("{name} does not accept the credentials")),
            403 => {
                of(Cause::Refused, &format!("{name} does not allow this with these credentials"))
            }
            404 if told => of(Cause::NotFound, "not found"),
            404 => {
                of(Cause::Refused, &format!("{name} does not know the path: is the address right?"))
            }
            409 => of(Cause::Conflict, "not possible now"),
            400 | 413 | 415 | 422 => of(Cause::Refused, &format!("{name} calls the request wrong")),
            408 | 429 | 500..=599 => {
                of(Cause::Unreachable, &format!("{name} is in trouble ({code})"))
            }
            100..=399 => {
                let begin = format!("{name} answers {code}, which makes no sense here");
                of(Cause::Senseless, &begin)
            }
            400..=499 | 600.. | 0..=99 => of(Cause::Refused, &format!("{name} answers {code}")),
        }
    }
}

impl Problem {
    /// All that it says, as one line.
    fn sentence(&self) -> String {
        let begin = match self.detail == self.title {
            true => "",
            false if self.detail.is_empty() => &self.title,
            false => &self.detail,
        };
        let members = self.errors.iter();
        let members = members.map(|it| join(&it.pointer, &it.detail));
        let parts = std::iter::once(begin.to_owned()).chain(members);
        let text: Vec<String> = parts.filter(|it| !it.is_empty()).collect();
        cut(line(text.join("; ").as_bytes()), DETAIL_CHARACTERS)
    }
}

fn join(begin: &str, end: &str) -> String {
    if end.is_empty() { begin.to_owned() } else { format!("{begin}: {end}") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn each_answer_has_a_cause_and_a_sentence() {
        let job = r#"{"type":"urn:x","title":"Not found","status":404,"detail":"no job j-1"}"#;
        let bad = r#"{"title":"The input is not valid","errors":[{"pointer":"/window","detail":"0\u001b[2J"}]}"#;
        let cases = [
            (401, true, r#"{"title":"No valid credential"}"#),
            (403, true, "{}"),
            (404, true, job),
            (404, true, r#"{"title":"Not found","detail":"Not found"}"#),
            (404, false, job),
            (404, true, "<html>"),
            (409, true, r#"{"detail":"j-2 overlaps"}"#),
            (409, false, ""),
            (422, true, bad),
            (503, true, r#"{"title":"Not available now"}"#),
            (302, false, ""),
            (418, false, ""),
        ];
        let table = cases.map(|(status, is_problem, body)| {
            let status = StatusCode::from_u16(status).unwrap();
            let refusal = Refusal::of(Whom::Rssync, status, is_problem, body.as_bytes());
            format!("{:?}: {refusal}\n", refusal.cause)
        });
        expect![[r#"
            Refused: rssync does not accept the credentials: No valid credential
            Refused: rssync does not allow this with these credentials
            NotFound: not found: no job j-1
            NotFound: not found
            Refused: rssync does not know the path: is the address right?
            Refused: rssync does not know the path: is the address right?
            Conflict: not possible now: j-2 overlaps
            Conflict: not possible now
            Refused: rssync calls the request wrong: The input is not valid; /window: 0�[2J
            Unreachable: rssync is in trouble (503): Not available now
            Senseless: rssync answers 302, which makes no sense here
            Refused: rssync answers 418
        "#]]
        .assert_eq(&table.concat());
    }
}
