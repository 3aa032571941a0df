//! `rsctl why device`.

use std::io::Write;

use anyhow::Result;
use events::DeviceId;
use serde_json::{Value, json};

use super::story;
use crate::{
    Ending,
    service::{Address, Caller, Service, Whom},
    shown::{Form, json_line},
};

/// Where a device is on its way to the backend, what holds for it and who decided so
#[derive(clap::Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct Device {
    /// The device
    #[arg(value_name = "DEVICE")]
    device_id: DeviceId,
    /// Address of rsclient, such as https://rsclient:8443
    #[arg(long, help_heading = "Service", env = "RSCTL_CLIENT_URL", value_name = "URL")]
    url: Address,
    #[command(flatten)]
    caller: Caller,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn run(options: &Device, out: &mut dyn Write) -> Result<Ending> {
    let rsclient = Service::connect(Whom::Rsclient, &options.url, &options.caller)?;
    let id = options.device_id.as_str();
    let trace = rsclient.get(&["devices", id, "trace"], &[]).await?;
    let trace: Value = Value::Object(trace.read("trace")?);
    let effective = rsclient.get(&["devices", id, "effective"], &[]).await?;
    let effective: Value = Value::Object(effective.read("configuration")?);
    if options.form.json {
        json_line(out, &json!({"trace": trace, "effective": effective}))?;
    } else {
        story::write(&trace, &effective, out)?;
    }
    Ok(Ending::Well)
}
