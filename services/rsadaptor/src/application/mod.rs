//! What the service can be asked to do: one use case, one file, one function.

mod act_on_device;
mod apply_agents;
mod apply_default_agents;
mod apply_device;
mod apply_flags;
mod apply_package;
mod apply_router_protection;
mod apply_system;
mod count_user;
mod fulfil;
mod put_document;
mod remove_device;
mod remove_package;

use eventbus::Lane;

use crate::{
    domain::{Attempt, Ending, Later, Spared, TENANT_MISMATCH},
    infrastructure::{problems::store_later, store::StoreError},
};

pub use act_on_device::act_on_device;
pub use apply_agents::apply_agents;
pub use apply_default_agents::apply_default_agents;
pub use apply_device::apply_device;
pub use apply_flags::apply_flags;
pub use apply_package::apply_package;
pub use apply_router_protection::apply_router_protection;
pub use apply_system::apply_system;
pub use count_user::count_user;
pub use remove_device::remove_device;
pub use remove_package::remove_package;

/// How often one attempt may find that somebody else was faster.
const ROUNDS_MAX: usize = 4;

/// What the envelope of a record says to a use case.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// After this nothing is sent any more.
    pub expires_at: Option<jiff::Timestamp>,
    /// Whether it is sent even where nothing would change.
    pub force: bool,
    /// How urgent it is.
    pub lane: Lane,
    /// How often it was tried.
    pub attempt: Attempt,
}

impl Request {
    fn spared(&self) -> Spared {
        if self.force { Spared::Never } else { Spared::IfSame }
    }

    fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|it| it <= jiff::Timestamp::now())
    }
}

/// How an attempt ends: the record is over, or it waits.
pub type Result = std::result::Result<Ending, Later>;

/// The record is over, or, without an ending, another look at what is applied is due; or it waits.
type Round = std::result::Result<Option<Ending>, Later>;

fn stored<T>(
    request: &Request,
    outcome: std::result::Result<T, StoreError>,
) -> std::result::Result<T, Later> {
    outcome.map_err(|error| store_later(&request.attempt, error))
}

fn foreign_tenant(id: &str) -> Ending {
    metrics::counter!("rsadaptor_tenant_mismatches_total").increment(1);
    tracing::error!(id, "tenant mismatch: a record of another tenant refused");
    // What is held is the other tenant's.
    Ending::rejected(TENANT_MISMATCH, None)
}
