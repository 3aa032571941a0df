//! The words the services say to each other.
//!
//! One closed enum per topic, its wire names beside its variants; typed ids and values that are well formed
//! by construction; [`Revision`], the one rule of order; [`topics`], the registry from which documentation,
//! topics and deployments are generated. Everything here is wire format: changing a name changes a contract.

mod agents;
mod homes;
mod ids;
mod notices;
mod provisioning;
mod replies;
mod revision;
mod rs;
mod schedules;
mod services;
mod status;
mod sync;
mod system;
mod text_type;
pub mod topics;
mod values;

pub use agents::*;
pub use homes::*;
pub use ids::*;
pub use notices::*;
pub use provisioning::*;
pub use replies::*;
pub use revision::{InvalidRevision, Revision};
pub use rs::*;
pub use schedules::*;
pub use services::*;
pub use sync::*;
pub use system::*;
pub use topics::Topic;
pub use values::*;

use serde::{Serialize, de::DeserializeOwned, de::Error as _};
use serde_json::Value;

/// Largest record value in bytes; a larger one is malformed.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Room for most payloads.
const PAYLOAD_BYTES: usize = 256;

/// Why a record is not an event of its topic.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The topic has no event of this name.
    #[error("`{event_type}` is no event of `{topic}`")]
    UnknownEventType {
        /// What the record says it is.
        event_type: String,
        /// Where it stood.
        topic: &'static str,
    },
    /// A member is missing, of a wrong type or of a wrong form; or the payload is no JSON.
    #[error("malformed `{event_type}`: {source}")]
    Malformed {
        /// What the record says it is.
        event_type: &'static str,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
}

/// What may travel on one topic.
pub trait TopicEvent: Sized + Send {
    /// The topic, as the registry knows it.
    fn topic() -> &'static Topic;

    /// Reads the payload of an event of this topic.
    ///
    /// # Errors
    /// The event type is not of this topic, or the payload is not of its form.
    fn decode(event_type: &str, payload: &[u8]) -> Result<Self, DecodeError>;

    /// The payload as JSON.
    fn encode(&self) -> Vec<u8>;

    /// The event's name on the wire.
    fn event_type(&self) -> &'static str;

    /// Records with the same key keep their order.
    fn key(&self) -> &str;

    /// The tenant, where the event has one.
    fn isp_id(&self) -> Option<&IspId>;
}

/// Reads a payload that, written again, has the same shape: serde would take a list of its members for an object,
/// and an object of one member for a word.
pub(crate) fn read<T: DeserializeOwned + Serialize>(payload: &[u8]) -> serde_json::Result<T> {
    let it: T = serde_json::from_slice(payload)?;
    // Nearly all that travels was written by this very code, and then it is the same to the last byte.
    if serde_json::to_vec(&it)? == payload {
        return Ok(it);
    }
    if !is_written(&serde_json::to_value(&it)?, &serde_json::from_slice(payload)?) {
        let reason = "a list or an object where something else belongs";
        return Err(serde_json::Error::custom(reason));
    }
    Ok(it)
}

/// Writes a payload.
pub(crate) fn write(it: &impl Serialize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
    serde_json::to_writer(&mut payload, it)
        .expect("payloads have text keys and no other way to fail");
    payload
}

/// Whether what was read says all of this; it may say more, and what it leaves out has a value of its own.
fn is_written(written: &Value, read: &Value) -> bool {
    match (written, read) {
        (_, Value::Null) => true,
        (Value::Object(written), Value::Object(read)) => {
            written.iter().all(|(name, it)| is_written(it, read.get(name).unwrap_or(&Value::Null)))
        }
        (Value::Array(written), Value::Array(read)) => {
            written.len() == read.len() && written.iter().zip(read).all(|(a, b)| is_written(a, b))
        }
        (written, read) => written == read,
    }
}

/// Implements [`TopicEvent`] for an enum whose variants each carry one payload:
/// `Variant(payload) => (key, isp_id)`, with `as "name"` where the wire name is not the variant's.
macro_rules! topic_event {
    ($enum:ident on $topic:literal {
        $($variant:ident $(as $wire:literal)? ($it:ident) => ($key:expr, $isp:expr),)+
    }) => {
        impl $crate::TopicEvent for $enum {
            fn topic() -> &'static $crate::Topic {
                $crate::Topic::find($topic).expect("the registry has every topic")
            }

            fn decode(event_type: &str, payload: &[u8]) -> Result<Self, $crate::DecodeError> {
                $(if event_type == $crate::wire_name!($variant $($wire)?) {
                    return match $crate::read(payload) {
                        Ok(it) => Ok(Self::$variant(it)),
                        Err(source) => Err($crate::DecodeError::Malformed {
                            event_type: $crate::wire_name!($variant $($wire)?),
                            source,
                        }),
                    };
                })+
                let event_type = event_type.to_owned();
                Err($crate::DecodeError::UnknownEventType { event_type, topic: $topic })
            }

            fn encode(&self) -> Vec<u8> {
                match self {
                    $(Self::$variant(it) => $crate::write(it),)+
                }
            }

            fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $crate::wire_name!($variant $($wire)?),)+
                }
            }

            fn key(&self) -> &str {
                match self {
                    $(Self::$variant($it) => {
                        let _ = &$it;
                        $crate::AsKey::as_key($key)
                    })+
                }
            }

            fn isp_id(&self) -> Option<&$crate::IspId> {
                match self {
                    $(Self::$variant($it) => {
                        let _ = &$it;
                        $crate::AsTenant::as_tenant($isp)
                    })+
                }
            }
        }
    };
}

macro_rules! wire_name {
    ($variant:ident) => {
        stringify!($variant)
    };
    ($variant:ident $wire:literal) => {
        $wire
    };
}

pub(crate) use {topic_event, wire_name};

/// What can be a record's key.
pub(crate) trait AsKey {
    fn as_key(&self) -> &str;
}

macro_rules! keys {
    ($($id:ty),+) => {$(
        impl AsKey for $id {
            fn as_key(&self) -> &str {
                self.as_str()
            }
        }
    )+};
}

keys!(IspId, AccountId, UserId, DeviceId, AgentPackageId, JobId, Text);

impl AsKey for RequestId {
    fn as_key(&self) -> &str {
        self.task_id()
    }
}

/// What can say whose event it is.
pub(crate) trait AsTenant {
    fn as_tenant(&self) -> Option<&IspId>;
}

impl AsTenant for IspId {
    fn as_tenant(&self) -> Option<&IspId> {
        Some(self)
    }
}

impl AsTenant for () {
    fn as_tenant(&self) -> Option<&IspId> {
        None
    }
}
