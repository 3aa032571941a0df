//! Many devices in one call: the body of `POST /devices`, and what the answer says of each.

use bytes::{BufMut as _, Bytes, BytesMut};
use events::Revision;
use serde::Deserialize;

use crate::{Answer, Call, ErrorReply, ResourceKind, meaning, rest::plain};

/// A device on its way in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    /// What `X-Revision` says of a single write.
    pub revision: Revision,
    /// The [`DeviceConfiguration`](crate::DeviceConfiguration), written.
    pub configuration: Bytes,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchAnswer {
    /// The backend has looked at each device: an answer for each, in their order.
    Each(Vec<Answer>),
    /// The call has ended as a whole, and what became of a single device is not known.
    Whole(Answer),
}

#[derive(Deserialize)]
struct Reply {
    results: Vec<ItemReply>,
}

#[derive(Deserialize)]
struct ItemReply {
    status: u16,
    #[serde(flatten)]
    error: ErrorReply,
}

/// The list that is sent: the devices as they are written already.
pub(crate) fn body(entries: &[BatchEntry]) -> Bytes {
    let room = entries.iter().map(|it| it.configuration.len() + 64).sum();
    let mut body = BytesMut::with_capacity(room);
    for (at, BatchEntry { revision, configuration }) in entries.iter().enumerate() {
        body.put_u8(if at == 0 { b'[' } else { b',' });
        body.put_slice(format!("{{\"revision\":{revision},\"configuration\":").as_bytes());
        body.put_slice(configuration);
        body.put_u8(b'}');
    }
    body.put_slice(if entries.is_empty() { b"[]" } else { b"]" });
    body.freeze()
}

/// What a reply of 2xx says of so many devices.
pub(crate) fn read(http_status: u16, reply: &[u8], count: usize) -> BatchAnswer {
    let http_status = Some(http_status);
    let results = match serde_json::from_slice::<Reply>(reply) {
        Ok(reply) => reply.results,
        // The connection broke.
        Err(error) if error.is_eof() => {
            let detail = "the results of a batch break off".to_owned();
            return BatchAnswer::Whole(Answer::Trouble { http_status, retry_after: None, detail });
        }
        Err(_) => Vec::new(),
    };
    if results.len() != count {
        let detail = "the answer is not that to a batch".to_owned();
        return BatchAnswer::Whole(Answer::Misconfigured { http_status, detail });
    }
    let of_item = |ItemReply { status, error }| {
        let error = ErrorReply { error: plain(&error.error), detail: plain(&error.detail) };
        meaning(Call::Post, ResourceKind::Device, status, &error, None)
    };
    BatchAnswer::Each(results.into_iter().map(of_item).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(revision: u64, configuration: &'static str) -> BatchEntry {
        let configuration = Bytes::from_static(configuration.as_bytes());
        BatchEntry { revision: revision.try_into().unwrap(), configuration }
    }

    #[test]
    fn the_body_is_a_list_of_what_is_written_already() {
        assert_eq!(*body(&[]), *b"[]");
        let two = [entry(7, r#"{"a":1}"#), entry(8, "{}")];
        let expected =
            r#"[{"revision":7,"configuration":{"a":1}},{"revision":8,"configuration":{}}]"#;
        assert_eq!(*body(&two), *expected.as_bytes());
    }

    #[test]
    fn each_device_has_its_own_answer() {
        let reply = br#"{"results":[{"id":"d-1","status":201},
            {"id":"d-2","status":409,"error":"stale_revision","detail":"9 is held"},
            {"status":422,"error":"malformed","detail":"no mac"},{"status":503}]}"#;
        let BatchAnswer::Each(answers) = read(207, reply, 4) else { panic!("no answers") };
        let wrong = Answer::Wrong { http_status: 422, detail: "malformed: no mac".to_owned() };
        assert_eq!(answers[..3], [Answer::Done { http_status: 201 }, Answer::Stale, wrong]);
        assert!(matches!(answers[3], Answer::Trouble { http_status: Some(503), .. }));
    }

    #[test]
    fn an_answer_that_is_none_is_one_to_the_whole() {
        let whole = |reply: &str| match read(207, reply.as_bytes(), 1) {
            BatchAnswer::Each(_) => "each",
            BatchAnswer::Whole(Answer::Trouble { .. }) => "trouble",
            BatchAnswer::Whole(_) => "misconfigured",
        };
        assert_eq!(whole(r#"{"results":[{"status":201}"#), "trouble");
        assert_eq!(whole(r#"{"results":[]}"#), "misconfigured");
        assert_eq!(whole("<html>"), "misconfigured");
    }
}
