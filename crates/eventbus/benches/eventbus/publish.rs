//! Publishing one message at a time, beside the broker's own round trip.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use eventbus::{ClientType, EventBusFactory};
use rdkafka::{
    ClientConfig, ClientContext,
    consumer::{BaseConsumer, Consumer},
    message::DeliveryResult,
    producer::{ProducerContext, ThreadedProducer},
};
use serde_json::json;

use crate::{
    bus::settings,
    child::{Children, Measured, Task},
    figures::median,
    records::{Records, Spread, send},
    run::Broker,
};

const MESSAGES: usize = 500;
/// The first ones connect and ask for the topic.
const WARM_UP: usize = 20;
const ANSWER: Duration = Duration::from_secs(30);

/// The medians of a publish and of a bare round trip, in milliseconds.
pub(crate) async fn medians(broker: &Broker, children: &Children) -> Result<(f64, f64)> {
    let records = Records {
        kafka: broker.kafka.clone(),
        topic: testkit::unique("bench-publish"),
        partitions: 1,
        count: 0,
        keys: 100,
        spread: Spread::Even,
        value_bytes: 200,
    };
    records.fill().await?;
    let it = children.measure("publish", &Task::Publish(records)).await?;
    Ok((it.publish_ms, it.rtt_ms))
}

/// The child's part: the product and a bare client in turns.
pub(crate) async fn one_at_a_time(records: &Records) -> Result<Measured> {
    let settings = settings(&records.kafka, json!({"producer": {"flush_every_message": true}}))?;
    let producer = EventBusFactory::new("bench", settings).producer(ClientType::Default)?;
    let (delivered, deliveries) = mpsc::channel();
    let bare: ThreadedProducer<Telling> = ClientConfig::new()
        .set("bootstrap.servers", &records.kafka)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .create_with_context(Telling(delivered))?;
    let (mut publishes, mut round_trips) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + MESSAGES {
        let message = records.message(number);
        let began = Instant::now();
        producer.publish(&message).await?;
        let publish = began.elapsed();
        let began = Instant::now();
        send(&bare, &message, Some(0))?;
        let ended = deliveries.recv_timeout(ANSWER).context("no answer to a bare client")?;
        let round_trip = ended.context("a bare client failed")?.duration_since(began);
        if number >= WARM_UP {
            publishes.push(publish.as_secs_f64() * 1e3);
            round_trips.push(round_trip.as_secs_f64() * 1e3);
        }
    }
    let wanted = 2 * (WARM_UP + MESSAGES) as i64;
    let watcher: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &records.kafka).create()?;
    let (_, held) = watcher.fetch_watermarks(&records.topic, 0, ANSWER)?;
    ensure!(held == wanted, "the topic holds {held} records, not {wanted}");
    let (publish_ms, rtt_ms) = (median(publishes), median(round_trips));
    Ok(Measured { publish_ms, rtt_ms, ..Measured::default() })
}

/// Tells when each delivery was acknowledged; nothing where it failed.
struct Telling(mpsc::Sender<Option<Instant>>);

impl ClientContext for Telling {}

impl ProducerContext for Telling {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        // Nobody listens any more once the last one is counted.
        let _ = self.0.send(delivered.is_ok().then(Instant::now));
    }
}
