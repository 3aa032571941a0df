//! The service as a process, with its consumers. There is one at a time: they share a group.

use std::{process::Command, time::Duration};

use eventbus::Delivery;
use serde_json::Value;
use testkit::{
    eventually,
    records::{Event, Sender},
    servers::{Process, RunFolder},
    settled, unique,
};
use tokio::sync::{Mutex, MutexGuard};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const EVENTS: &str = "hs-event-topic";
const GROUP: &str = "rsevents";

static TURN: Mutex<()> = Mutex::const_new(());

/// A process, and what it is started with.
pub(crate) struct Running {
    kafka: String,
    database: String,
    settings: Vec<(String, String)>,
    folder: RunFolder,
    process: Process,
    _turn: MutexGuard<'static, ()>,
}

impl Running {
    /// Starts it with these settings, named without the service's prefix.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let turn = TURN.lock().await;
        let (kafka, database) = (testkit::kafka(), unique("rsevents"));
        testkit::topics::create(&kafka).await.unwrap();
        settled::skip_to_end(&kafka, &[GROUP]).await.unwrap();
        let settings = settings.iter();
        let settings: Vec<(String, String)> =
            settings.map(|(name, it)| (format!("RSEVENTS__{name}"), (*it).to_owned())).collect();
        let folder = RunFolder::new().unwrap();
        let process = spawn(&kafka, &database, &settings, &folder, "");
        let running = Self { kafka, database, settings, folder, process, _turn: turn };
        running.ready().await;
        running
    }

    /// Ends it, and starts it with fail points armed.
    pub(crate) async fn restart_with(&mut self, failpoints: &str) {
        self.process.ask_to_end();
        assert!(self.process.wait(LIMIT).await.unwrap().success());
        let (settings, folder) = (&self.settings, &self.folder);
        self.process = spawn(&self.kafka, &self.database, settings, folder, failpoints);
    }

    /// Starts it again after it has ended, without fail points.
    pub(crate) async fn again(&mut self) {
        self.process = spawn(&self.kafka, &self.database, &self.settings, &self.folder, "");
        self.ready().await;
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn dies(&mut self) {
        let status = self.process.wait(LIMIT).await.unwrap();
        assert!(!status.success(), "{status}");
    }

    async fn ready(&self) {
        let looked = eventually("it is ready", LIMIT, async || {
            let addresses = std::fs::read_to_string(self.folder.path().join("addresses")).ok()?;
            let admin = addresses.lines().find_map(|it| it.strip_prefix("admin "))?;
            let mut command = Command::new(env!("CARGO_BIN_EXE_rsevents"));
            command.env("RSEVENTS__ADMIN__LISTEN", admin.trim()).arg("--healthcheck");
            command.output().ok().filter(|it| it.status.success())
        });
        looked.await;
    }

    /// Says what provisioning says of a home, and waits until it is known.
    pub(crate) async fn provision(&self, home: &Value) {
        let sender = Sender::new(&self.kafka).unwrap();
        sender.send(&Event::provision(home.clone())).await.unwrap();
        self.settled().await;
    }

    /// Sends an event as HS-BE would.
    pub(crate) async fn send(&self, sender: &Sender, event: &Delivery) {
        let (key, payload) = (event.message.key.as_deref(), &event.message.payload);
        sender.send_raw(EVENTS, key, &[], payload).await.unwrap();
    }

    /// Waits until everything that was sent is done.
    pub(crate) async fn settled(&self) {
        let look = async || {
            let lags = settled::lags(&self.kafka, &[GROUP]).await.ok()?;
            lags.iter().all(|it| it.records == 0).then_some(())
        };
        eventually("everything is done", LIMIT, look).await;
    }

    /// Asks it to end.
    pub(crate) async fn stop(mut self) {
        self.process.ask_to_end();
        let status = self.process.wait(LIMIT).await.unwrap();
        assert!(status.success(), "{status}");
    }
}

fn spawn(
    kafka: &str,
    database: &str,
    settings: &[(String, String)],
    folder: &RunFolder,
    failpoints: &str,
) -> Process {
    let addresses = folder.path().join("addresses");
    let _ = std::fs::remove_file(&addresses);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsevents"));
    command.env("RSEVENTS__KAFKA__BOOTSTRAP_SERVERS", kafka);
    command.env("RSEVENTS__KAFKA__EXTERNAL__BOOTSTRAP_SERVERS", kafka);
    command.env("RSEVENTS__MONGO__URI", testkit::mongo_uri());
    command.env("RSEVENTS__MONGO__DATABASE", database);
    command.env("RSEVENTS__ADMIN__LISTEN", "127.0.0.1:0");
    command.env("RSEVENTS__ADMIN__ADDRESS_FILE", addresses);
    command.envs(settings.iter().map(|(name, it)| (name, it))).env("FAILPOINTS", failpoints);
    Process::start("rsevents", &mut command, &folder.log("rsevents")).unwrap()
}
