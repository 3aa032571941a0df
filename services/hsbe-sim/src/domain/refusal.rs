//! How the backend says no.

use serde::Serialize;

/// An answer that is not a success; the body of every error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// A stable code.
    pub error: &'static str,
    /// A sentence for people.
    pub detail: String,
}

impl Refusal {
    /// A refusal in the words of the API.
    pub fn new(status: u16, error: &'static str, detail: impl Into<String>) -> Self {
        Self { status, error, detail: detail.into() }
    }

    /// The request is not of the form that the API asks for.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(422, "malformed", detail)
    }

    /// There is nothing here.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "not_found", detail)
    }
}
