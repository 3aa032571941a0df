//! The wire between the services: typed messages over Kafka, at least once, in order per key.
//!
//! Read it in this order: [`EventBusMessage`], what travels; [`Serializer`], how it looks on the wire;
//! [`EventBusProducer`]; [`EventBusRegistry`] with its callback, and the [`Outcome`]s it may answer;
//! [`EventBusConsumer`], which hands records to callbacks and commits what is done;
//! [`DualEventBusConsumer`], two of them for two kinds of topics; [`EventBusFactory`], which makes them all.
//!
//! What `auto_commit` and `asynchronous_commit` mean together stands at [`ConsumerConfig`].

mod backoff;
mod consumer;
mod dead_letters;
mod destination;
mod dual;
mod factory;
pub mod letters;
mod message;
pub mod onlooker;
mod producer;
mod record;
mod registry;
mod serializer;
mod settings;
mod trace;

pub use backoff::{backoff, jitter};
pub use consumer::{ConsumerConfig, EventBusConsumer, Inspector, Resumer, Status, WaitingRecord};
pub use dead_letters::dlq_headers;
pub use destination::{Change, Destination, DestinationSettings, Heard};
pub use dual::DualEventBusConsumer;
pub use factory::{ClientType, EventBusFactory, FactoryError};
pub use message::{Attributes, EventBusMessage, Lane, Origin};
pub use producer::{Delivered, EventBusProducer, ProducerConfig, PublishError};
pub use record::Record;
pub use registry::{Batch, Delivery, EventBusRegistry, Outcome, RegisterError};
pub use serializer::{DeserializeError, Headers, Serializer};
pub use settings::{
    Cluster, ConsumerSettings, ProducerSettings, SaslMechanism, Security, SecurityProtocol,
    Settings,
};
pub use trace::TraceContext;
