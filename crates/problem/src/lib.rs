//! How a failure leaves: as RFC 9457 over HTTP, as retry or rejection of a record.
//!
//! A service maps its errors to a [`Kind`] in one exhaustive table; the HTTP status and the fate
//! of a record follow from the kind, here, for the whole workspace.

pub mod body;
mod http;
mod json;
mod precondition;
mod record;

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

pub use http::{no_such_method, no_such_path};
pub use json::Json;
pub use precondition::{Expected, tagged};

/// What a failure is, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The input breaks a rule; the same input will always do so.
    Invalid,
    /// No valid credential was shown.
    Unauthorized,
    /// The credential does not allow this.
    Forbidden,
    /// There is no such thing, or it is not the caller's.
    NotFound,
    /// The path is there, without this method.
    NoSuchMethod,
    /// The state does not allow this now.
    Conflict,
    /// `If-Match` names another revision.
    PreconditionFailed,
    /// More than the limit.
    TooLarge,
    /// An entity of one tenant is named by an event of another.
    TenantMismatch,
    /// Something that is needed does not answer; later it may.
    Unavailable,
    /// A fault of this service.
    Internal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::NoSuchMethod,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::TenantMismatch,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The stable `type` of RFC 9457.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Invalid => "urn:routersecure:problem:invalid",
            Self::Unauthorized => "urn:routersecure:problem:unauthorized",
            Self::Forbidden => "urn:routersecure:problem:forbidden",
            Self::NotFound => "urn:routersecure:problem:not-found",
            Self::NoSuchMethod => "urn:routersecure:problem:no-such-method",
            Self::Conflict => "urn:routersecure:problem:conflict",
            Self::PreconditionFailed => "urn:routersecure:problem:precondition-failed",
            Self::TooLarge => "urn:routersecure:problem:too-large",
            Self::TenantMismatch => "urn:routersecure:problem:tenant-mismatch",
            Self::Unavailable => "urn:routersecure:problem:unavailable",
            Self::Internal => "urn:routersecure:problem:internal",
        }
    }

    /// The title of RFC 9457: the same for every problem of the kind.
    pub fn title(self) -> &'static str {
        match self {
            Self::Invalid => "The input is not valid",
            Self::Unauthorized => "No valid credential",
            Self::Forbidden => "Not allowed",
            Self::NotFound => "Not found",
            Self::NoSuchMethod => "No such method",
            Self::Conflict => "Not possible in the present state",
            Self::PreconditionFailed => "Changed by somebody else",
            Self::TooLarge => "Too large",
            Self::TenantMismatch => "Not of this tenant",
            Self::Unavailable => "Not available now",
            Self::Internal => "Internal error",
        }
    }

    /// Whether the fault lies with the service, so that its detail is logged and not told.
    fn is_ours(self) -> bool {
        match self {
            Self::Unavailable | Self::Internal => true,
            Self::Invalid
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::NoSuchMethod
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::TooLarge
            | Self::TenantMismatch => false,
        }
    }
}

/// A failure on its way out.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<Member>,
}

/// What is wrong with one member of the input.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Member {
    /// JSON pointer (RFC 6901) to the member.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// `detail` is a sentence about this occurrence. It is told to the caller, except for
    /// [`Kind::Unavailable`] and [`Kind::Internal`], which only log it.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new() }
    }

    /// A fault of this service, with all that led to it.
    pub fn internal(error: impl fmt::Display) -> Self {
        Self::new(Kind::Internal, format!("{error:#}"))
    }

    /// Adds what is wrong with the member at `pointer`.
    #[must_use]
    pub fn member(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.errors.push(Member { pointer: pointer.into(), detail: detail.into() });
        self
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence about this occurrence, for logs and dead letters.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.title(), self.detail)?;
        self.errors.iter().try_for_each(|it| write!(f, "; {}: {}", it.pointer, it.detail))
    }
}

impl std::error::Error for Problem {}
