//! The agent packages of the town, and the rollout from one to the next.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use testkit::{
    isp::Isp,
    records::{Event, Sender},
};
use tokio::time::{Instant, sleep};

/// Whose routers get the next package.
pub(super) const ISP: &str = "isp-1";
const MODEL: &str = "hg-8000";
const FROM: &str = "soak-p-1";
const TO: &str = "soak-p-2";
const REVISION: u64 = 1_795_248_000_000;
const ROLLOUTS: &str = "/subsystems/rs/rollouts";
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// States in which a rollout stays.
const TERMINAL: &[&str] = &["completed", "aborted", "failed"];

/// Both packages are there, and routers may be pointed at them.
pub(super) async fn release(sender: &Sender) -> Result<()> {
    for (id, version) in [(FROM, "4.1.0"), (TO, "4.2.0")] {
        let package = json!({
            "agent_package_id": id, "isp_id": ISP, "revision": REVISION, "version": version,
            "models": [MODEL], "url": format!("https://packages.example/{id}"),
            "sha256": "0".repeat(64), "size_bytes": 1_048_576, "signature": "none",
            "state": "released",
        });
        sender.send(&said("RSAgentPackageCreated", id, package)).await?;
    }
    let listed = |id: &str, version: &str| json!({"agent_package_id": id, "version": version, "models": [MODEL]});
    let packages = json!([listed(FROM, "4.1.0"), listed(TO, "4.2.0")]);
    let list = json!({"isp_id": ISP, "revision": REVISION, "packages": packages});
    sender.send(&said("RSAgentsUpdated", ISP, list)).await.map(drop)
}

fn said(event_type: &str, key: &str, data: Value) -> Event {
    let topic = "as-rs-agent-topic".to_owned();
    Event { topic, event_type: event_type.to_owned(), key: Some(key.to_owned()), data }
}

/// Every router of the model is to run the first one.
pub(super) async fn associate(isp: &Isp) -> Result<()> {
    let path = format!("/subsystems/rs/router_agent_packages/{FROM}");
    isp.put(&path, &json!({"routers": [], "groups": [{"model": MODEL}]})).await.map(drop)
}

/// Starts the rollout and answers its id.
pub(super) async fn start(isp: &Isp) -> Result<String> {
    let rollout = isp.post(ROLLOUTS, &request()).await?;
    let id = rollout["rollout_id"].as_str().or_else(|| rollout["id"].as_str());
    id.map(str::to_owned).with_context(|| format!("a rollout has an id: {rollout}"))
}

fn request() -> Value {
    json!({
        "from": FROM, "to": TO, "model": MODEL,
        "waves": [{"share": 50}, {"share": 250}, {"share": 1_000}],
        "success_threshold": 900, "error_threshold": 100, "soak_seconds": 5,
    })
}

/// Waits until the rollout has ended, and answers it as it ended.
pub(super) async fn ended(isp: &Isp, id: &str, limit: Duration) -> Result<Value> {
    let deadline = Instant::now() + limit;
    loop {
        let rollout = isp.get(&format!("{ROLLOUTS}/{id}")).await?;
        if rollout["state"].as_str().is_some_and(|it| TERMINAL.contains(&it)) {
            return Ok(rollout);
        }
        if Instant::now() > deadline {
            bail!("the rollout has not ended after {} s: {rollout}", limit.as_secs());
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Routers that are to run what they do not run: those whose installation failed.
pub(super) fn elsewhere(routers: &Value) -> usize {
    let all = routers.as_object().into_iter().flatten();
    all.filter(|(_, it)| it["runs"] != it["target"]).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_that_run_what_they_are_to_are_where_they_belong() {
        let routers = json!({
            "r-1": {"runs": FROM, "target": TO},
            "r-2": {"runs": TO, "target": TO},
            "r-3": {"runs": null, "target": null},
        });
        assert_eq!(elsewhere(&routers), 1);
    }
}
