//! What an answer of the backend means for the record that asked.

use std::time::Duration;

use serde::Deserialize;

use crate::ResourceKind;

/// Longest wait that a `Retry-After` can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The backend holds what was sent, or no longer holds what was deleted.
    Done {
        /// The HTTP status.
        http_status: u16,
    },
    /// A dry run: nothing was sent.
    NotSent,
    /// The backend holds something newer.
    Stale,
    /// The record came before what it refers to.
    Early {
        /// The HTTP status.
        http_status: u16,
        /// What the backend says.
        detail: String,
    },
    /// The record is wrong and stays so.
    Wrong {
        /// The HTTP status.
        http_status: u16,
        /// What the backend says.
        detail: String,
    },
    /// The backend is in trouble, or out of reach.
    Trouble {
        /// The HTTP status, if an answer came.
        http_status: Option<u16>,
        /// How long the backend wants to be left alone.
        retry_after: Option<Duration>,
        /// What the backend says, or what happened to the connection.
        detail: String,
    },
    /// The way to the backend is set up wrongly: no record is at fault, and none gets through.
    Misconfigured {
        /// The HTTP status, if an answer came.
        http_status: Option<u16>,
        /// What the backend says, or what happened to the connection.
        detail: String,
    },
}

/// What is asked of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Read.
    Get,
    /// Create or replace.
    Put,
    /// Create or replace many.
    Post,
    /// Delete.
    Delete,
}

impl Call {
    /// The HTTP method.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// The body of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ErrorReply {
    /// A stable code.
    #[serde(default)]
    pub error: String,
    /// A sentence for people.
    #[serde(default)]
    pub detail: String,
}

/// What an answer means. The only place that reads a status of the backend.
///
/// Statuses that the API does not name: 410 on DELETE is done, 425 is trouble. Every other one means that what
/// answers is not the API we speak (a proxy, a redirect, another version), so nothing is given up: misconfigured.
pub fn meaning(
    call: Call,
    resource: ResourceKind,
    status: u16,
    reply: &ErrorReply,
    retry_after: Option<Duration>,
) -> Answer {
    let http_status = Some(status);
    let detail = describe(status, reply);
    match (status, call, resource, reply.error.as_str()) {
        (200..=299, ..) => Answer::Done { http_status: status },
        (404 | 410, Call::Delete, ..) => Answer::Done { http_status: status },
        (409, _, _, "stale_revision") => Answer::Stale,
        (409, _, _, "unknown_agent_package")
        | (404, Call::Put | Call::Post, ResourceKind::FeatureFlags, _) => {
            Answer::Early { http_status: status, detail }
        }
        (400 | 409 | 413 | 422, ..) => Answer::Wrong { http_status: status, detail },
        (408 | 425 | 429 | 500..=599, ..) => Answer::Trouble { http_status, retry_after, detail },
        // 401, 403, 404, 405 and whatever else an API that is not ours would say.
        (_, Call::Get | Call::Put | Call::Post | Call::Delete, ..) => {
            Answer::Misconfigured { http_status, detail }
        }
    }
}

/// How long `Retry-After` asks to wait, in either of its forms: seconds or a date. At most an hour.
pub fn retry_after(header: &str, now: jiff::Timestamp) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
            // A date that has passed means: now.
            Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn describe(status: u16, reply: &ErrorReply) -> String {
    match (reply.error.as_str(), reply.detail.as_str()) {
        ("", "") => format!("answered {status}"),
        ("", detail) => detail.to_owned(),
        (error, "") => error.to_owned(),
        (error, detail) => format!("{error}: {detail}"),
    }
}

#[cfg(test)]
mod tests;
