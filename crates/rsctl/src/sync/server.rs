//! Where rssync is, on the command line.

use anyhow::Result;

use crate::service::{Address, Caller, Service, Whom};

/// Where rssync is and who asks.
#[derive(clap::Args)]
pub struct Server {
    /// Address of rssync, such as https://rssync:8443
    #[arg(long, help_heading = "Service", env = "RSCTL_SYNC_URL", value_name = "URL")]
    url: Address,
    #[command(flatten)]
    caller: Caller,
}

impl Server {
    /// rssync, as these credentials see it.
    pub(crate) fn connect(&self) -> Result<Service> {
        Service::connect(Whom::Rssync, &self.url, &self.caller)
    }
}
