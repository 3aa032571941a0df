//! Tells the supervisor of subsystems that this one is there, and that it still is.

use std::time::Duration;

use chassis::{CancellationToken, Health};
use eventbus::{EventBusMessage, EventBusProducer, Origin};
use events::{SubsystemEvent, SubsystemHeartbeat, SubsystemInstalled, Text};
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::SOURCE;

/// The subsystem of which this service speaks.
const SUBSYSTEM: &str = "rs";

/// Says that the subsystem is installed and then, `every` so often, whether it can do its work; until `stop`.
pub async fn beat_until(
    bus: &EventBusProducer,
    health: &Health,
    every: Duration,
    stop: &CancellationToken,
) {
    let instance = Uuid::now_v7().to_string();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_known, mut n) = (false, 0);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let installed = installed(&instance);
        let event = match is_known {
            false => SubsystemEvent::ProductIsInstalled(installed),
            true => {
                let healthy = health.unready().is_empty();
                SubsystemEvent::Heartbeat(SubsystemHeartbeat { installed, healthy })
            }
        };
        let message = EventBusMessage::new(&event, SOURCE, Origin::Message { id: &instance, n });
        match stop.run_until_cancelled(bus.publish(&message)).await {
            Some(Ok(_)) => (is_known, n) = (true, n + 1),
            Some(Err(error)) => tracing::warn!(%error, "the supervisor was not told"),
            None => return,
        }
    }
}

fn installed(instance: &str) -> SubsystemInstalled {
    let text = |it: &str| Text::try_from(it.to_owned()).expect("a word is a text");
    SubsystemInstalled {
        subsystem: text(SUBSYSTEM),
        version: text(env!("CARGO_PKG_VERSION")),
        instance: text(instance),
        at: Timestamp::now().into(),
    }
}
