//! What travels on the bus.

use compact_str::{CompactString, format_compact};
use events::{DecodeError, IspId, JobId, RequestId, Revision, TopicEvent};
use jiff::Timestamp;
use uuid::Uuid;

use crate::TraceContext;

/// The namespace of the ids that are derived from what caused a message.
const IDS: Uuid = Uuid::from_u128(0x5a6f_2f0e_8f0b_5a3c_9d55_1f0c_7b1e_4a10);

/// One message, before it is serialized or after it is deserialized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBusMessage {
    /// The event's name on the wire.
    pub event_type: CompactString,
    /// Where it travels.
    pub topic: CompactString,
    /// The event as JSON.
    pub payload: Vec<u8>,
    /// The trace it belongs to.
    pub trace_id: TraceContext,
    /// Messages with the same key keep their order; without one, those of the same partition do.
    pub key: Option<CompactString>,
    /// When the event was said.
    pub timestamp: Timestamp,
    /// What else the envelope carries.
    pub attributes: Attributes,
}

/// The envelope of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The same for every repetition of one message, so that receivers can tell.
    pub id: CompactString,
    /// Who says it, such as `/rsclient`.
    pub source: CompactString,
    /// The entity it is about.
    pub subject: Option<CompactString>,
    /// The tenant.
    pub tenant: Option<IspId>,
    /// Who waits for a reply; without it there is none.
    pub request_id: Option<RequestId>,
    /// The job it belongs to.
    pub job_id: Option<JobId>,
    /// How urgent it is.
    pub lane: Lane,
    /// After this it is not worth to be handled.
    pub expires_at: Option<Timestamp>,
    /// Whether it is handled even where it changes nothing.
    pub force: bool,
}

/// How urgent a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lane {
    /// A change that somebody just made.
    #[default]
    Live,
    /// Part of a full sync or a walk: not as urgent.
    Sync,
}

/// What a message's id is derived from, so that a repetition has the same one.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// The `n`th message that handling the message `id` caused.
    Message {
        /// The id of the message that was handled.
        id: &'a str,
        /// Which of the messages that it caused.
        n: u32,
    },
    /// A state that a person or a timer changed.
    State {
        /// The id of the entity.
        entity: &'a str,
        /// Its revision.
        revision: Revision,
    },
}

impl EventBusMessage {
    /// A message that says `event`, now, in the current trace.
    ///
    /// `source` names the service, such as `/rsclient`.
    pub fn new(event: &impl TopicEvent, source: &str, origin: Origin<'_>) -> Self {
        Self::within(TraceContext::current(), event, source, origin)
    }

    /// The `n`th message that handling `cause` leads to, in the trace of `cause`: for callbacks that handle several
    /// messages at once, which have no current trace.
    pub fn caused_by(cause: &Self, n: u32, event: &impl TopicEvent, source: &str) -> Self {
        let origin = Origin::Message { id: &cause.attributes.id, n };
        Self::within(cause.trace_id.clone(), event, source, origin)
    }

    fn within(
        trace_id: TraceContext,
        event: &impl TopicEvent,
        source: &str,
        origin: Origin<'_>,
    ) -> Self {
        fn topic_of<E: TopicEvent>(_: &E) -> &'static str {
            E::topic().name
        }
        let key = CompactString::from(event.key());
        Self {
            event_type: CompactString::const_new(event.event_type()),
            topic: CompactString::const_new(topic_of(event)),
            payload: event.encode(),
            trace_id,
            key: Some(key.clone()),
            timestamp: Timestamp::now(),
            attributes: Attributes {
                id: origin.message_id(),
                source: source.into(),
                subject: Some(key),
                tenant: event.isp_id().cloned(),
                ..Attributes::default()
            },
        }
    }

    /// The event that the message says.
    ///
    /// # Errors
    /// The message is of another topic, or its payload is not of the event's form.
    pub fn event<E: TopicEvent>(&self) -> Result<E, DecodeError> {
        E::decode(&self.event_type, &self.payload)
    }
}

impl Origin<'_> {
    fn message_id(self) -> CompactString {
        let name = match self {
            Self::Message { id, n } => format_compact!("message/{id}/{n}"),
            Self::State { entity, revision } => format_compact!("state/{entity}/{revision}"),
        };
        let id = Uuid::new_v5(&IDS, name.as_bytes());
        (&*id.hyphenated().encode_lower(&mut Uuid::encode_buffer())).into()
    }
}
