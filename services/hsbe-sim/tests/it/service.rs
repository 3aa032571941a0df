//! A simulator inside the test, on free ports.

use std::{fs, time::Duration};

use chassis::Chassis;
use hsbe_sim::{DEFAULTS, Settings};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;
use testkit::eventually;
use tokio::task::JoinHandle;

pub(crate) const LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Service {
    pub(crate) chassis: Chassis,
    pub(crate) base: String,
    client: Client,
    running: JoinHandle<anyhow::Result<()>>,
    _folder: TempDir,
}

/// What was answered, in one line and as JSON.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn error(&self) -> String {
        format!("{} {}", self.status, self.body["error"].as_str().unwrap_or_default())
    }
}

/// `toml` is what the settings file says beside the ports.
pub(crate) async fn start(toml: &str) -> Service {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hsbe-sim.toml");
    fs::write(&file, toml).expect("a settings file");
    let ports = ["HSBE_SIM__HTTP__LISTEN", "HSBE_SIM__ADMIN__LISTEN"];
    let environment = ports.map(|it| (it.to_owned(), "127.0.0.1:0".to_owned()));
    let settings: Settings =
        chassis::settings::load("hsbe-sim", DEFAULTS, Some(&file), environment)
            .expect("settings that can be");
    let chassis = Chassis::for_tests();
    let running = tokio::spawn(hsbe_sim::run(settings, chassis.clone()));
    let address = eventually("the simulator listens", LIMIT, async || {
        assert!(!running.is_finished(), "the simulator ended");
        chassis.address("http").filter(|_| chassis.health.unready().is_empty())
    })
    .await;
    let client = Client::builder().timeout(LIMIT).no_proxy().build().expect("a client");
    Service { chassis, base: format!("http://{address}"), client, running, _folder: folder }
}

impl Service {
    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.bytes().await.expect("a whole answer");
        Reply { status, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    pub(crate) async fn put(&self, path: &str, revision: u64, body: &Value) -> Reply {
        let request = self.request("PUT", path).header("x-revision", revision).json(body);
        self.send(request).await
    }

    pub(crate) async fn delete(&self, path: &str, revision: u64) -> Reply {
        self.send(self.request("DELETE", path).header("x-revision", revision)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send(self.request("GET", path)).await.body
    }

    pub(crate) async fn faults(&self, faults: Value) {
        let reply = self.send(self.request("PUT", "/sim/faults").json(&faults)).await;
        assert_eq!(reply.status, 204, "{}", reply.body);
    }

    /// Some numbers of the summary, in one line.
    pub(crate) async fn summary(&self, members: &[&str]) -> String {
        let summary = self.get("/sim/summary").await;
        let texts: Vec<_> = members.iter().map(|it| format!("{it} {}", summary[*it])).collect();
        texts.join(", ")
    }

    /// Revision and status of each write of a resource, in one line.
    pub(crate) async fn history(&self, path: &str) -> String {
        let entries = self.get(&format!("/sim{path}/history")).await;
        let entries = entries.as_array().expect("a list").iter();
        let texts: Vec<_> = entries
            .map(|it| {
                format!(
                    "{} {} {}",
                    it["method"].as_str().expect("a method"),
                    it["revision"],
                    it["status"]
                )
            })
            .collect();
        texts.join(", ")
    }

    /// Ends as the process does.
    pub(crate) async fn stop(self) {
        self.chassis.stop.cancel();
        tokio::time::timeout(LIMIT, self.running)
            .await
            .expect("the simulator ends when it is told to")
            .expect("no panic")
            .expect("no error");
    }
}
