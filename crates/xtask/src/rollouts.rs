//! Agent rollouts, for the demo, the soak and the chaos: routers, the package that they run, and a rollout to its end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{
    fleet::Fleet,
    isp::Isp,
    records::{Event, Sender},
    simulator::Simulator,
};

/// The model of all routers that are led anywhere.
pub(crate) const MODEL: &str = "hg-8000";
/// States in which a rollout stays.
pub(crate) const TERMINAL: &[&str] = &["completed", "aborted", "failed"];
const PATH: &str = "/subsystems/rs/rollouts";
const REVISION: u64 = 1;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// A rollout of an ISP.
#[derive(Debug, Clone)]
pub(crate) struct Rollout {
    isp: Isp,
    /// Its id.
    pub(crate) id: String,
}

impl Rollout {
    /// Starts one from a package to another; `plan` says what is not as the settings have it.
    pub(crate) async fn start(isp: &Isp, from: &str, to: &str, plan: &Value) -> Result<Self> {
        let mut wanted = plan.clone();
        for (name, value) in [("model", MODEL), ("from", from), ("to", to)] {
            wanted[name] = json!(value);
        }
        let started = isp.post(PATH, &wanted).await?;
        let id = started["rollout_id"].as_str().context("a rollout has an id")?.to_owned();
        Ok(Self { isp: isp.clone(), id })
    }

    fn path(&self) -> String {
        format!("{PATH}/{}", self.id)
    }

    /// How it is.
    pub(crate) async fn shown(&self) -> Result<Value> {
        self.isp.get(&self.path()).await
    }

    /// Aborts it.
    pub(crate) async fn abort(&self) -> Result<()> {
        self.isp.post(&self.path(), &json!({"action": "abort"})).await.map(drop)
    }

    /// Waits until it is in one of these states, also where rsclient does not answer for a while.
    pub(crate) async fn until(&self, states: &[&str], limit: Duration) -> Result<Value> {
        let began = Instant::now();
        loop {
            let shown = self.shown().await.unwrap_or_default();
            if shown["state"].as_str().is_some_and(|it| states.contains(&it)) {
                return Ok(shown);
            }
            ensure!(began.elapsed() < limit, "a rollout is not {states:?}: {shown}");
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// Has the routers of the model run a package.
pub(crate) async fn associate(isp: &Isp, package: &str) -> Result<()> {
    let path = format!("/subsystems/rs/router_agent_packages/{package}");
    isp.put(&path, &json!({"routers": [], "groups": [{"model": MODEL}]})).await.map(drop)
}

/// Feeds homes with a router of the model and a device each, and waits until all that follows from it is done.
pub(crate) async fn provide(
    fleet: &mut Fleet,
    isp: &str,
    routers: usize,
    limit: Duration,
) -> Result<()> {
    let sender = Sender::new(fleet.kafka())?;
    for number in 0..routers {
        sender.send(&Event::provision(home(isp, number))).await?;
    }
    fleet.settled(limit).await.map(drop)
}

fn home(isp: &str, number: usize) -> Value {
    let account = format!("{isp}-a{number:04}");
    let mac = |kind: u8| format!("3c:22:fb:{kind:02x}:{:02x}:{:02x}", number / 256, number % 256);
    json!({
        "isp_id": isp, "users": [],
        "account": {"isp_id": isp, "account_id": account, "revision": REVISION, "status": "active"},
        "devices": [{
            "isp_id": isp, "account_id": account, "device_id": format!("{isp}-r{number:04}"),
            "revision": REVISION, "kind": "router", "name": "Router", "device_type": "router",
            "model": MODEL, "mac": mac(0),
        }, {
            "isp_id": isp, "account_id": account, "device_id": format!("{isp}-d{number:04}"),
            "revision": REVISION, "kind": "device", "name": "Phone", "device_type": "phone",
            "mac": mac(1),
        }],
    })
}

/// How many routers of a town are to run this package, and how many do.
pub(crate) async fn with_package(
    simulator: &Simulator,
    isp: &str,
    package: &str,
) -> Result<(usize, usize)> {
    let routers = simulator.town_routers().await?;
    let of = |member: &str| {
        let all = routers.as_object().into_iter().flatten();
        all.filter(|(_, it)| it["isp_id"] == isp && it[member] == package).count()
    };
    Ok((of("target"), of("runs")))
}

/// Waits until nothing is to come from the town; answers it in numbers.
pub(crate) async fn quiet(simulator: &Simulator, limit: Duration) -> Result<Value> {
    let began = Instant::now();
    loop {
        let town = simulator.town().await?;
        if town["quiet"] == true {
            ensure!(town["unsent"] == 0, "the broker did not take everything: {town}");
            return Ok(town);
        }
        ensure!(began.elapsed() < limit, "the town is not quiet: {town}");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
