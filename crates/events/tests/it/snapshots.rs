//! One snapshot per event: what is read is what is written, under this key and for this tenant.

mod fleet;
mod provisioning;

use events::{IspId, TopicEvent};
use expect_test::Expect;

/// Reads the whole payload, every optional member present, and writes it again.
fn check<E: TopicEvent>(event_type: &str, json: &str, expect: Expect) {
    let event = E::decode(event_type, json.as_bytes()).unwrap();
    assert_eq!(event.event_type(), event_type);
    let written: serde_json::Value = serde_json::from_slice(&event.encode()).unwrap();
    let read: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(written, read, "a member was lost or changed");
    let tenant = event.isp_id().map_or("nobody", IspId::as_str);
    let text = String::from_utf8(event.encode()).unwrap();
    expect.assert_eq(&format!("{} [{}] of {tenant}\n{text}", E::topic().name, event.key()));
}
