//! Names of things. A value of one of these types is always well formed, and a segment of a path as it is: `.` and
//! `..`, which clients take for steps within a path, are no ids.

use crate::text_type::text_type;

/// Most characters an id may have.
pub const ID_CHARS_MAX: usize = 64;
/// Most characters a request id may have.
pub const REQUEST_ID_CHARS_MAX: usize = 200;

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} must be 1 to {max} characters of A-Z a-z 0-9 {punctuation}{but}")]
pub struct InvalidId {
    name: &'static str,
    max: usize,
    punctuation: &'static str,
    but: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $wire:literal, $max:expr, $punctuation:literal;)+) => {$(
        text_type! { $(#[$doc])* $name, InvalidId, |text| check($wire, text, $max, $punctuation) }
    )+};
}

ids! {
    /// The operator of a network: the tenant.
    IspId, "isp_id", ID_CHARS_MAX, "._:-";
    /// One subscriber household.
    AccountId, "account_id", ID_CHARS_MAX, "._:-";
    /// A person in an account.
    UserId, "user_id", ID_CHARS_MAX, "._:-";
    /// Anything in the home, the router included.
    DeviceId, "device_id", ID_CHARS_MAX, "._:-";
    /// A version of the software that runs on routers.
    AgentPackageId, "agent_package_id", ID_CHARS_MAX, "._:-";
    /// One run of a long operation.
    JobId, "job_id", ID_CHARS_MAX, "._:-";
    /// One thing that happened in a home.
    EventId, "event_id", ID_CHARS_MAX, "._:-";
    /// Names the answer that a record waits for: `<task id>/<key>`.
    RequestId, "request_id", REQUEST_ID_CHARS_MAX, "._:-/~";
}

impl RequestId {
    /// The task that asked: what stands before the last `/`.
    pub fn task_id(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(task, _)| task)
    }

    /// What the task asked for: what stands behind the last `/`.
    pub fn key(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, key)| key)
    }
}

fn check(
    name: &'static str,
    text: &str,
    max: usize,
    punctuation: &'static str,
) -> Result<(), InvalidId> {
    match is_id(text, max, punctuation) && !is_step(text) {
        true => Ok(()),
        false => {
            let but = if is_step(text) { ", not . or .." } else { "" };
            Err(InvalidId { name, max, punctuation, but })
        }
    }
}

fn is_id(text: &str, chars_max: usize, punctuation: &str) -> bool {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || punctuation.as_bytes().contains(&it);
    (1..=chars_max).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_step(text: &str) -> bool {
    text == "." || text == ".."
}
