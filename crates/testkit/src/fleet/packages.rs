//! Agent packages, made over the REST API of rsagents and signed by whom a fleet's rsagents trusts.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Fleet, Service};
use crate::wait::within;

const PATH: &str = "/router_agent_packages";
const SIZE_BYTES: u64 = 1_024;

impl Fleet {
    /// Releases an agent package for the routers of a model. Answers its id once rsclient may point routers at it.
    ///
    /// # Errors
    /// When it is refused, or is not told within `limit`.
    pub async fn release(
        &mut self,
        isp_id: &str,
        model: &str,
        version: &str,
        limit: Duration,
    ) -> Result<String> {
        let isp = self.isp_at(Service::RsAgents, isp_id)?;
        let sha256 = "ab".repeat(32);
        let signed = format!("routersecure agent package\n{version}\n{sha256}\n{SIZE_BYTES}\n");
        let wanted = json!({
            "version": version, "models": [model], "url": "https://packages.example/agent",
            "sha256": sha256, "size_bytes": SIZE_BYTES, "state": "released",
            "signature": self.keys.maker.signature(signed.as_bytes())?,
        });
        let made = isp.post(PATH, &wanted).await?;
        let id = made["agent_package_id"].as_str().context("a package has an id")?;
        let path = format!("{PATH}/{id}");
        let is_listed =
            async || isp.get(&path).await.ok().filter(|it| it["listed"] == true).map(drop);
        within(limit, is_listed).await.with_context(|| format!("package {id} is not listed"))?;
        self.settled(limit).await?;
        Ok(id.to_owned())
    }
}
