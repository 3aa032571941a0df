//! An act of the demo: an ISP protects its routers, and its support asks why devices are as they are.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser as _;
use rsctl::CommandLine;
use serde_json::{Value, json};
use testkit::{
    fleet::{Fleet, Service},
    isp::Isp,
    records::{Event, Sender},
    servers::RunFolder,
};

use super::progress::Progress;

/// An ISP of its own, so that no other home is touched.
const ISP: &str = "isp-demo";
const REVISION: u64 = 1;
const LIMIT: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
/// Three devices, and what must be told of each.
const DEVICES: [(&str, &str); 3] =
    [("d-protected", "protected"), ("d-pending", "pending"), ("d-rejected", "rejected")];

/// What the act has shown.
pub(super) struct Shown {
    /// From the answer to the request until the backend held it, in milliseconds.
    pub(super) router_protection_ms: u128,
    /// What `rsctl why device` printed, device by device.
    pub(super) stories: Vec<String>,
}

/// Plays the act.
pub(super) async fn act(fleet: &Fleet, folder: &RunFolder, progress: &Progress) -> Result<Shown> {
    let isp = fleet.isp(ISP)?;
    progress.say("an ISP protects its routers by REST");
    let router_protection_ms = protect(fleet, &isp).await?;
    progress
        .say("one device is protected, one waits for its account, one is refused by the backend");
    provide(fleet).await?;
    let mut stories = Vec::new();
    for (device, verdict) in DEVICES {
        is_told(&isp, device, verdict).await?;
        stories.push(why(fleet, folder, device).await?);
    }
    fleet.simulator().faults(&json!([])).await?;
    Ok(Shown { router_protection_ms, stories })
}

/// Answers how long it took from the answer to the request until the backend held it.
async fn protect(fleet: &Fleet, isp: &Isp) -> Result<u128> {
    let wanted = json!({"enabled": true, "block_page_ip": "192.0.2.1"});
    isp.put("/router-protection", &wanted).await?;
    let began = Instant::now();
    let document = format!("{ISP}/router-dns");
    while fleet.simulator().held().await?["system"][&document]["enabled"] != true {
        ensure!(began.elapsed() < LIMIT, "the backend does not hold {document}");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(began.elapsed().as_millis())
}

/// A home with two devices, one of which the backend refuses, and a device of a home that nobody knows.
async fn provide(fleet: &Fleet) -> Result<()> {
    let refuse = json!({"status": 422, "error": "unsupported_device"});
    let fault = json!([{"path": "/devices/d-rejected", "method": "PUT", "action": refuse}]);
    fleet.simulator().faults(&fault).await?;
    let device = |id: &str, account: &str| {
        json!({
            "isp_id": ISP, "account_id": account, "device_id": id, "revision": REVISION,
            "kind": "device", "name": id, "device_type": "tablet", "mac": "02:00:00:00:00:01",
        })
    };
    let account = "a-demo";
    let home = json!({
        "isp_id": ISP, "users": [],
        "account": {"isp_id": ISP, "account_id": account, "revision": REVISION, "status": "active"},
        "devices": [device("d-protected", account), device("d-rejected", account)],
    });
    let sender = Sender::new(fleet.kafka())?;
    sender.send(&Event::provision(home)).await?;
    let alone = Event {
        event_type: "DeviceCreated".to_owned(),
        ..Event::provision(device("d-pending", "a-unknown"))
    };
    sender.send(&alone).await.map(drop)
}

/// Waits until this is what a trace comes to.
async fn is_told(isp: &Isp, device: &str, verdict: &str) -> Result<()> {
    let began = Instant::now();
    let mut told = Value::Null;
    while told["headline"]["verdict"] != verdict {
        ensure!(began.elapsed() < LIMIT, "{device} is not {verdict}: {told}");
        tokio::time::sleep(BETWEEN_LOOKS).await;
        // It is not known before provisioning has come to it.
        told = isp.get(&format!("/devices/{device}/trace")).await.unwrap_or_default();
    }
    Ok(())
}

/// What `rsctl why device` prints.
async fn why(fleet: &Fleet, folder: &RunFolder, device: &str) -> Result<String> {
    let key = folder.path().join("operators.pem");
    fleet.write_operators_key(&key)?;
    let url = format!("http://{}", fleet.address(Service::RsClient, 0, "http")?);
    let key = key.to_str().context("the folder's name is UTF-8")?;
    let arguments = ["rsctl", "why", "device", device, "--url", &url, "--key", key];
    let command =
        CommandLine::try_parse_from(arguments.into_iter().chain(["--issuer", "operators"]))?;
    let mut printed = Vec::new();
    rsctl::run(&command, &mut printed).await?;
    Ok(String::from_utf8(printed)?)
}
