//! What ISPs set is told to the others.

use std::time::Duration;

use chassis::CancellationToken;
use eventbus::{EventBusMessage, EventBusProducer, Origin};
use mongodb::Database;
use outbox::Outbox;

use super::store::{ROUTER_PROTECTION, SYSTEM_CONFIGURATION};
use crate::{
    SOURCE,
    domain::{RouterProtection, SystemConfiguration, SystemDocument},
};

/// The documents that requests change, each with how it is told.
#[derive(Clone, Debug)]
pub struct Outboxes {
    /// How ISPs protect their routers.
    pub router_protection: Outbox<RouterProtection>,
    /// What else ISPs set for all of their homes.
    pub system: Outbox<SystemConfiguration>,
}

impl Outboxes {
    /// Makes the indexes that find what is untold.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn open(
        database: &Database,
        bus: &EventBusProducer,
    ) -> Result<Self, mongodb::error::Error> {
        let protection = |it: &RouterProtection| {
            let entity = SystemDocument::RouterProtection.key(&it.isp_id);
            let origin = Origin::State { entity: &entity, revision: it.revision };
            vec![EventBusMessage::new(&it.event(), SOURCE, origin)]
        };
        let system = |it: &SystemConfiguration| {
            let entity = SystemDocument::System.key(&it.isp_id);
            let origin = Origin::State { entity: &entity, revision: it.revision };
            vec![EventBusMessage::new(&it.event(), SOURCE, origin)]
        };
        let router_protection = Outbox::open(database, ROUTER_PROTECTION, bus.clone(), protection);
        let system = Outbox::open(database, SYSTEM_CONFIGURATION, bus.clone(), system);
        Ok(Self { router_protection: router_protection.await?, system: system.await? })
    }

    /// Looks `every` so often for what is untold and tells it, until `stop`.
    pub async fn relay_until(&self, every: Duration, stop: &CancellationToken) {
        tokio::join!(
            self.router_protection.relay_until(every, stop),
            self.system.relay_until(every, stop),
        );
    }
}
