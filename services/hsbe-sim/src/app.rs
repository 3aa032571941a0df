//! The handles that a request may reach for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::CancellationToken;
use serde::Serialize;

use crate::{
    domain::{Backend, Faults, Town},
    infrastructure::town::Life,
    settings::{KafkaSettings, Settings},
};

/// The handles that a request may reach for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    latency: Duration,
    body_bytes_max: usize,
    stop: CancellationToken,
    backend: Mutex<Backend>,
    faults: Mutex<Faults>,
    traffic: Mutex<Traffic>,
    kafka: Option<KafkaSettings>,
    town: Mutex<Option<Town>>,
    life: tokio::sync::Mutex<Option<Life>>,
}

/// Requests to the HS Admin API.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Traffic {
    /// Requests that wait for their answer.
    pub in_flight: u64,
    /// The most that ever did at once.
    pub in_flight_max: u64,
    /// Requests that were answered, by status.
    pub answers: BTreeMap<u16, u64>,
}

/// A request that waits for its answer, until it is dropped.
#[derive(Debug)]
pub struct InFlight(App);

impl App {
    /// A backend that holds nothing.
    ///
    /// # Errors
    /// A fault that can never match.
    pub fn new(settings: &Settings, stop: CancellationToken) -> anyhow::Result<Self> {
        let faults = Faults::new(settings.faults.clone())
            .map_err(|it| anyhow::anyhow!("faults: {}", it.detail))?;
        Ok(Self(Arc::new(Inner {
            latency: Duration::from_millis(settings.latency_ms),
            body_bytes_max: settings.body_bytes_max,
            stop,
            backend: Mutex::new(Backend::new(settings.stale, settings.history_entries_max)),
            faults: Mutex::new(faults),
            traffic: Mutex::default(),
            kafka: settings.kafka.clone(),
            town: Mutex::default(),
            life: tokio::sync::Mutex::default(),
        })))
    }

    /// How long a request takes at least.
    pub fn latency(&self) -> Duration {
        self.0.latency
    }

    /// Most bytes of a body.
    pub fn body_bytes_max(&self) -> usize {
        self.0.body_bytes_max
    }

    /// Cancelled when the process must end.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// What is held. Never kept over an await.
    pub fn backend(&self) -> MutexGuard<'_, Backend> {
        self.0.backend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong on purpose. Never kept over an await.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on the way. Never kept over an await.
    pub fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.0.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backend's own broker.
    pub fn kafka(&self) -> Option<&KafkaSettings> {
        self.0.kafka.as_ref()
    }

    /// The town, where there is one. Never kept over an await.
    pub fn town(&self) -> MutexGuard<'_, Option<Town>> {
        self.0.town.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lets the town live. Whoever begins or ends a town holds it.
    pub(crate) fn life(&self) -> &tokio::sync::Mutex<Option<Life>> {
        &self.0.life
    }

    /// A request begins to wait for its answer.
    pub fn arrive(&self) -> InFlight {
        let mut traffic = self.traffic();
        traffic.in_flight += 1;
        traffic.in_flight_max = traffic.in_flight_max.max(traffic.in_flight);
        InFlight(self.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.traffic().in_flight -= 1;
    }
}
