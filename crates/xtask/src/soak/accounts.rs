//! Who stands in for the service that keeps the accounts: what is found in a home becomes a device of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::records::{Event, Record, Sender, Tail};
use tokio::{sync::Notify, task::JoinHandle};

const COMMANDS: &str = "as-provision-command-topic";

/// Makes devices of what is found.
#[derive(Debug)]
pub(super) struct Accounts {
    made: Arc<Made>,
    task: JoinHandle<Result<()>>,
}

#[derive(Debug, Default)]
struct Made {
    count: AtomicU64,
    ended: AtomicBool,
    more: Notify,
}

impl Accounts {
    /// Listens from now on.
    pub(super) async fn start(kafka: &str, sender: Sender) -> Result<Self> {
        let commands = Tail::of(kafka, COMMANDS).await?;
        let made = Arc::new(Made::default());
        let mark = Arc::clone(&made);
        let task = tokio::spawn(async move {
            let outcome = listen(&commands, &sender, &mark).await;
            mark.ended.store(true, Ordering::Relaxed);
            mark.more.notify_one();
            outcome
        });
        Ok(Self { made, task })
    }

    /// How many devices were made.
    pub(super) fn count(&self) -> u64 {
        self.made.count.load(Ordering::Relaxed)
    }

    /// Looks that it still listens.
    pub(super) fn look(&self) -> Result<()> {
        ensure!(!self.made.ended.load(Ordering::Relaxed), "nobody makes devices of what is found");
        Ok(())
    }

    /// Waits until so many devices were made.
    pub(super) async fn made(&self, count: u64) -> Result<()> {
        while self.count() < count {
            self.look()?;
            self.made.more.notified().await;
        }
        Ok(())
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(commands: &Tail, sender: &Sender, made: &Made) -> Result<()> {
    loop {
        let record = commands.next().await?;
        if record.headers.get("ce_type").is_some_and(|it| it == "PostDevice") {
            sender.send(&created(&record)?).await?;
            made.count.fetch_add(1, Ordering::Relaxed);
            made.more.notify_one();
        }
    }
}

/// What the fleet is told of a device that was found.
fn created(record: &Record) -> Result<Event> {
    let command = record.json()?;
    let mut data = command["device"].clone();
    ensure!(data.is_object(), "a PostDevice without a device: {command}");
    for member in ["isp_id", "account_id"] {
        data[member] = command.get(member).cloned().context("a PostDevice says whose it is")?;
    }
    data["revision"] = json!(jiff::Timestamp::now().as_millisecond());
    let topic = "as-provision-topic".to_owned();
    Ok(Event { topic, event_type: "DeviceCreated".to_owned(), key: None, data })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_device_that_was_found_is_one_of_its_home() {
        let command = json!({
            "isp_id": "isp-1", "account_id": "a-1",
            "device": {"device_id": "d-1", "kind": "device", "name": "a phone",
                "device_type": "phone", "mac": "06:00:00:00:00:01"},
        });
        let record = Record {
            partition: 0,
            offset: 0,
            key: None,
            headers: BTreeMap::new(),
            payload: command.to_string().into_bytes(),
        };
        let mut event = created(&record).unwrap();
        assert_eq!(event.record_key().as_deref(), Some("a-1"));
        assert!(event.data["revision"].as_i64().is_some_and(|it| it > 1_700_000_000_000));
        event.data["revision"] = Value::Null;
        let expected = json!({
            "isp_id": "isp-1", "account_id": "a-1", "device_id": "d-1", "kind": "device",
            "name": "a phone", "device_type": "phone", "mac": "06:00:00:00:00:01",
            "revision": null,
        });
        assert_eq!(event.data, expected);
    }
}
