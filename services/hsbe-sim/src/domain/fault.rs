//! What can go wrong on purpose.

use serde::{Deserialize, Serialize};

use super::Refusal;

/// A rule that spoils requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which paths: without `*` the path and everything below it, with `*` a pattern in which `*` is any text.
    pub path: String,
    /// Which method; absent means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Which share of the requests that match, from 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
    /// After how many spoiled requests the rule is spent; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Before or after the request has had its effect.
    #[serde(default)]
    pub when: When,
    /// What happens.
    pub action: Action,
}

/// Before or after the request has had its effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// The request has no effect.
    #[default]
    Before,
    /// The request has its effect, its answer is spoiled.
    After,
}

/// What happens to a request: a wait, then a blow, or one of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Members", into = "Members")]
pub struct Action {
    /// Milliseconds to wait.
    pub latency_ms: u64,
    /// What then happens; a request that is only delayed goes on.
    pub blow: Option<Blow>,
}

/// How a request ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blow {
    /// An answer.
    Status {
        /// The HTTP status.
        status: u16,
        /// The text of a `Retry-After` header.
        retry_after: Option<String>,
        /// The code in the body.
        error: String,
    },
    /// The connection is dropped without an answer.
    Reset,
    /// No answer, for as long as the client waits.
    Hang,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Members {
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<RetryAfter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hang: Option<bool>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum RetryAfter {
    Seconds(u64),
    Text(String),
}

impl TryFrom<Members> for Action {
    type Error = &'static str;

    fn try_from(members: Members) -> Result<Self, &'static str> {
        let Members { latency_ms, status, retry_after, error, reset, hang } = members;
        if status.is_none() && (retry_after.is_some() || error.is_some()) {
            return Err("retry_after and error go with a status");
        }
        let blow = match (status, reset.unwrap_or_default(), hang.unwrap_or_default()) {
            (Some(status @ 200..=599), false, false) => Some(Blow::Status {
                status,
                retry_after: retry_after.map(|it| match it {
                    RetryAfter::Seconds(seconds) => seconds.to_string(),
                    RetryAfter::Text(text) => text,
                }),
                error: error.unwrap_or_else(|| "fault".to_owned()),
            }),
            (Some(_), false, false) => return Err("a status is a number from 200 to 599"),
            (None, true, false) => Some(Blow::Reset),
            (None, false, true) => Some(Blow::Hang),
            (None, false, false) if latency_ms.is_some() => None,
            (None, false, false) => return Err("an action is latency_ms, status, reset or hang"),
            (..) => return Err("an action has at most one of status, reset and hang"),
        };
        Ok(Self { latency_ms: latency_ms.unwrap_or_default(), blow })
    }
}

impl From<Action> for Members {
    fn from(action: Action) -> Self {
        let latency_ms = Some(action.latency_ms).filter(|it| *it > 0 || action.blow.is_none());
        let members = Self { latency_ms, ..Self::default() };
        match action.blow {
            None => members,
            Some(Blow::Status { status, retry_after, error }) => Self {
                status: Some(status),
                retry_after: retry_after.map(RetryAfter::Text),
                error: Some(error),
                ..members
            },
            Some(Blow::Reset) => Self { reset: Some(true), ..members },
            Some(Blow::Hang) => Self { hang: Some(true), ..members },
        }
    }
}

/// The rules in force, in order: the first that spoils a request is the only one.
#[derive(Debug, Default)]
pub struct Faults(Vec<FaultState>);

/// A rule and how often it has spoiled a request.
#[derive(Clone, Debug, Serialize)]
pub struct FaultState {
    /// The rule.
    #[serde(flatten)]
    pub fault: Fault,
    /// How often it has spoiled a request.
    pub fired: u64,
}

impl Faults {
    /// Puts rules in force.
    ///
    /// # Errors
    /// A rule that can never match: a share outside 0 to 1, a path that does not begin with `/` or `*`.
    pub fn new(faults: Vec<Fault>) -> Result<Self, Refusal> {
        for fault in &faults {
            if !(0.0..=1.0).contains(&fault.share) {
                return Err(Refusal::malformed("share must be between 0 and 1"));
            }
            if !fault.path.starts_with(['/', '*']) {
                return Err(Refusal::malformed("path must begin with / or *"));
            }
        }
        Ok(Self(faults.into_iter().map(|fault| FaultState { fault, fired: 0 }).collect()))
    }

    /// The rules in force.
    pub fn list(&self) -> &[FaultState] {
        &self.0
    }

    /// The rule that spoils this request. `dice` gives numbers from 0 to 1, 1 excluded.
    pub fn strike(
        &mut self,
        method: &str,
        path: &str,
        mut dice: impl FnMut() -> f64,
    ) -> Option<(When, Action)> {
        let struck = self.0.iter_mut().find(|it| {
            it.fault.count.is_none_or(|count| it.fired < count)
                && it.fault.method.as_ref().is_none_or(|it| it.eq_ignore_ascii_case(method))
                && matches(&it.fault.path, path)
                && dice() < it.fault.share
        })?;
        struck.fired += 1;
        Some((struck.fault.when, struck.fault.action.clone()))
    }
}

fn all() -> f64 {
    1.0
}

fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => {
            let root = pattern.trim_end_matches('/');
            path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        Some((head, tail)) => path.strip_prefix(head).is_some_and(|rest| matches_tail(tail, rest)),
    }
}

/// Whether `rest` is any text followed by `tail`, in which `*` is any text.
fn matches_tail(tail: &str, rest: &str) -> bool {
    match tail.split_once('*') {
        None => rest.ends_with(tail),
        Some((piece, tail)) => {
            rest.find(piece).is_some_and(|at| matches_tail(tail, &rest[at + piece.len()..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_path_names_everything_below_it_and_a_star_is_any_text() {
        let hits = |pattern: &str| {
            ["/devices", "/devices/d-1", "/devices/d-10", "/routers/d-1/feature-flags"]
                .into_iter()
                .filter(|path| matches(pattern, path))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let table = ["/", "/devices", "/devices/", "/devices/d-1", "/devices/*", "*-1", "*/d-1*"];
        let table = table.map(|it| format!("{it}: {}\n", hits(it))).concat();
        expect![[r#"
            /: /devices /devices/d-1 /devices/d-10 /routers/d-1/feature-flags
            /devices: /devices /devices/d-1 /devices/d-10
            /devices/: /devices /devices/d-1 /devices/d-10
            /devices/d-1: /devices/d-1
            /devices/*: /devices/d-1 /devices/d-10
            *-1: /devices/d-1
            */d-1*: /devices/d-1 /devices/d-10 /routers/d-1/feature-flags
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn a_spent_rule_and_an_unlucky_throw_leave_the_request_to_the_next_rule() {
        let rules = serde_json::json!([
            {"path": "/", "count": 1, "action": {"status": 500}},
            {"path": "/", "share": 0.5, "action": {"reset": true}},
            {"path": "/", "method": "put", "action": {"hang": true}},
        ]);
        let rules = serde_json::from_value(rules).expect("well-formed rules");
        let mut faults = Faults::new(rules).expect("rules that can match");
        let mut struck = |dice| faults.strike("PUT", "/devices/d-1", || dice).map(|it| it.1.blow);
        let status = Blow::Status { status: 500, retry_after: None, error: "fault".to_owned() };
        assert_eq!(struck(0.4), Some(Some(status)));
        assert_eq!(struck(0.4), Some(Some(Blow::Reset)));
        assert_eq!(struck(0.5), Some(Some(Blow::Hang)));
        assert_eq!(faults.strike("DELETE", "/devices/d-1", || 0.5), None);
        assert_eq!(faults.list().iter().map(|it| it.fired).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn an_action_that_says_nothing_or_two_things_is_refused() {
        let error = |action: serde_json::Value| {
            serde_json::from_value::<Action>(action).map(|_| ()).map_err(|it| it.to_string())
        };
        let table = [
            serde_json::json!({}),
            serde_json::json!({"status": 500, "hang": true}),
            serde_json::json!({"status": 99}),
            serde_json::json!({"reset": true, "retry_after": 1}),
            serde_json::json!({"sleep": 1}),
        ];
        let table = table.map(|it| format!("{it}: {:?}\n", error(it.clone()))).concat();
        expect![[r#"
            {}: Err("an action is latency_ms, status, reset or hang")
            {"hang":true,"status":500}: Err("an action has at most one of status, reset and hang")
            {"status":99}: Err("a status is a number from 200 to 599")
            {"reset":true,"retry_after":1}: Err("retry_after and error go with a status")
            {"sleep":1}: Err("unknown field `sleep`, expected one of `latency_ms`, `status`, `retry_after`, `error`, `reset`, `hang`")
        "#]]
        .assert_eq(&table);
    }
}
