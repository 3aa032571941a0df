//! A town that lives: its events as records of `hs-event-topic`, bare JSON under the device's id.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use chassis::CancellationToken;
use events::{HsEvent, TopicEvent as _};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use rdkafka::{
    ClientConfig,
    error::KafkaResult,
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    App,
    domain::{Plan, Refusal, Sending, Town, TownState},
    settings::KafkaSettings,
};

/// How often the town is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Most events that are on their way to the broker.
const ON_THEIR_WAY_MAX: usize = 5_000;
/// How long the broker is tried, in milliseconds.
const MESSAGE_LIMIT_MS: &str = "60000";
/// How long what is on its way is waited for when the town has ended.
const END_LIMIT: Duration = Duration::from_secs(5);

/// What lets a town live.
#[derive(Debug)]
pub(crate) struct Life {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Begins a town in the place of the one there may be.
///
/// # Errors
/// There can be no such town, or there is no broker.
pub(crate) async fn begin(app: &App, plan: Plan) -> Result<TownState, Refusal> {
    plan.check()?;
    let Some(kafka) = app.kafka() else {
        return Err(Refusal::new(409, "no_broker", "the settings name no broker"));
    };
    let mut life = app.life().lock().await;
    end_life(&mut life).await;
    let producer =
        producer(kafka).map_err(|it| Refusal::new(500, "no_producer", it.to_string()))?;
    let now = Timestamp::now();
    let name = plan.name.clone().unwrap_or_else(|| {
        let name = format!("town-{:x}", now.as_microsecond());
        name.parse().expect("hexadecimal digits behind a word")
    });
    let residents = app.backend().watch();
    let town = Town::new(plan, name, now, &residents);
    let state = town.state();
    *app.town() = Some(town);
    let stop = app.stop().child_token();
    let task = tokio::spawn(live(app.clone(), producer, stop.clone()));
    *life = Some(Life { stop, task });
    Ok(state)
}

/// Ends the town: answers how it was when everything that it had sent was acknowledged.
pub(crate) async fn end(app: &App) -> Option<TownState> {
    let mut life = app.life().lock().await;
    end_life(&mut life).await;
    app.backend().unwatch();
    app.town().take().map(|it| it.state())
}

/// Waits for the end of a life. Who gives up waiting leaves it to the next one.
async fn end_life(life: &mut Option<Life>) {
    let Some(before) = life else { return };
    before.stop.cancel();
    if let Err(error) = (&mut before.task).await {
        tracing::error!(%error, "the town has ended by itself");
    }
    *life = None;
}

fn producer(settings: &KafkaSettings) -> KafkaResult<FutureProducer> {
    ClientConfig::new()
        .set("bootstrap.servers", &settings.bootstrap_servers)
        .set("client.id", "hsbe-sim-town")
        .set("acks", "all")
        // Retries neither repeat an event nor change the order of a device's events.
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", MESSAGE_LIMIT_MS)
        .set("linger.ms", "5")
        .create()
}

/// Sends what happens until `stop`.
async fn live(app: App, producer: FutureProducer, stop: CancellationToken) {
    let began = Instant::now();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        let moved = app.backend().moved();
        let happened = app.town().as_mut().map(|town| {
            let at = began.elapsed();
            moved.iter().for_each(|it| town.note(it, at));
            town.step(at, ON_THEIR_WAY_MAX)
        });
        if let Some(happened) = happened.filter(|it| !it.is_empty()) {
            send(&app, &producer, happened, &stop).await;
        }
    }
}

/// Sends events and waits for the broker's acknowledgements.
async fn send(app: &App, producer: &FutureProducer, all: Vec<Sending>, stop: &CancellationToken) {
    let deliveries: Vec<_> = all.iter().map(|it| enqueue(producer, &it.event)).collect();
    let mut limit = pin!(async {
        stop.cancelled().await;
        sleep(END_LIMIT).await;
    });
    let mut given_up = false;
    for (sending, delivery) in all.iter().zip(deliveries) {
        let acknowledged = match delivery {
            None => false,
            Some(delivery) if given_up => matches!(delivery.now_or_never(), Some(Ok(Ok(_)))),
            Some(delivery) => tokio::select! {
                biased;
                delivered = delivery => matches!(delivered, Ok(Ok(_))),
                () = &mut limit => {
                    given_up = true;
                    false
                }
            },
        };
        if let Some(town) = app.town().as_mut() {
            match acknowledged {
                true => town.count_sent(sending),
                false => town.count_unsent(),
            }
        }
        if !acknowledged {
            let event_type = sending.event.event_type();
            tracing::warn!(event_type, "the broker has not acknowledged an event");
        }
    }
}

/// Hands an event to the client, which keeps the order; nothing where it takes none.
fn enqueue(producer: &FutureProducer, event: &HsEvent) -> Option<DeliveryFuture> {
    let value = written(event);
    // Its time on the broker is that of its arrival, however old it is.
    let record = FutureRecord::to(HsEvent::topic().name).key(event.key()).payload(&value);
    producer.send_result(record).ok()
}

/// The event as bare JSON, which begins with its type.
fn written(event: &HsEvent) -> Vec<u8> {
    let payload = event.encode();
    let mut value = format!("{{\"event_type\":\"{}\",", event.event_type()).into_bytes();
    value.extend_from_slice(&payload[1..]);
    value
}
