//! The problems that routes answer with (RFC 9457): one type for each status, to be named among the responses.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder},
};

/// An error (RFC 9457).
#[derive(ToSchema)]
pub struct Problem {
    /// What it is, for programs: it never changes.
    #[schema(example = "urn:routersecure:problem:not-found")]
    pub r#type: String,
    /// What it is, for people.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What it is this time.
    pub detail: Option<String>,
    /// What is wrong with single members of the input.
    pub errors: Option<Vec<WrongMember>>,
}

/// What is wrong with one member of the input.
#[derive(ToSchema)]
pub struct WrongMember {
    /// A JSON pointer (RFC 6901) to it.
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $($status:literal $why:literal),+;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                BTreeMap::from([$(($status.to_owned(), refusal($why))),+])
            }
        }
    )+};
}

refusals! {
    /// What any route may answer.
    Always:
        "401" "No token, or none that holds for this service.",
        "403" "The token does not grant the scope.",
        "408" "The request did not come to its end in time.",
        "413" "The body or the query is larger than the limit.",
        "503" "Something that is needed does not answer; later it may.";
    /// What is asked for is not there.
    NotFound: "404" "There is no such thing, or it is another ISP's.";
    /// The input breaks a rule.
    Invalid: "422" "The input breaks a rule; it is told which.";
    /// The state is another one than the caller expects.
    Changed: "412" "Somebody else has changed it: it is not in the state that If-Match names.";
    /// The state does not allow it.
    Conflict: "409" "The present state does not allow it.";
}

fn refusal(why: &str) -> RefOr<Response> {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new()
        .description(why)
        .content("application/problem+json", problem)
        .build()
        .into()
}
