//! Everything that a record may reach for.

use std::time::Duration;

use eventbus::EventBusProducer;
use mongodb::Database;

use crate::{
    domain::Limits,
    infrastructure::{
        outages::Outages,
        places::Places,
        store::{Store, StoreError},
        windows::Windows,
    },
    settings::Settings,
};

/// The handles of the service; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Whose devices are.
    pub places: Places,
    /// When the store or the broker failed last.
    pub outages: Outages,
    /// Whose activity was told just now.
    pub windows: Windows,
    /// Where others are told.
    pub bus: EventBusProducer,
    /// What an event may claim.
    pub limits: Limits,
    /// For how long an event waits for its device to become known.
    pub unknown_wait: Duration,
}

impl App {
    /// The handles of a service with these settings, which knows what `database` holds and tells others on `bus`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn open(
        settings: &Settings,
        database: &Database,
        bus: EventBusProducer,
    ) -> Result<Self, StoreError> {
        let store = Store::open(database, settings.retention.tombstone_life()).await?;
        Ok(Self {
            places: Places::new(store, &settings.places),
            outages: Outages::default(),
            windows: Windows::new(&settings.folding),
            bus,
            limits: settings.events.limits(),
            unknown_wait: Duration::from_secs(settings.events.unknown_wait_seconds),
        })
    }
}
