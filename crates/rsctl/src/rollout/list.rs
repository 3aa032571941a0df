//! `rsctl rollout list`.

use std::io::Write;

use anyhow::Result;
use events::IspId;

use super::{
    PLACE, Server,
    told::{Known, Rollout},
};
use crate::{
    Ending,
    pages::{Listed, Pages, list},
    shown::{Form, line, to_the_second},
};

const COLUMNS: [&str; 8] =
    ["rollout", "state", "routers", "from", "to", "wave", "installed", "started at"];

/// The rollouts, one line each.
#[derive(clap::Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct List {
    /// Only those of this ISP
    #[arg(long, value_name = "ISP")]
    isp: Option<IspId>,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn run(options: &List, out: &mut dyn Write) -> Result<Ending> {
    let rsclient = options.server.connect()?;
    let isp: Vec<_> = options.isp.iter().map(|it| ("isp_id", it.as_str())).collect();
    let rollouts = Listed { path: &PLACE, query: &isp, name: "rollouts", columns: &COLUMNS };
    let row = |told| Ok(row(&Rollout::try_from(told)?.is));
    list(&rsclient, &rollouts, &options.pages, &options.form, row, out).await
}

fn row(rollout: &Known) -> [String; COLUMNS.len()] {
    [
        rollout.rollout_id.to_string(),
        rollout.state_and_reason(),
        line(rollout.routers_in_words().as_bytes()),
        rollout.from.to_string(),
        rollout.to.to_string(),
        rollout.wave_in_words(),
        format!("{}/{}", rollout.counts.installed, rollout.counts.routers),
        rollout.started_at.map(to_the_second).unwrap_or_default(),
    ]
}
