//! `rsctl sync list`.

use std::io::Write;

use anyhow::Result;

use super::{
    job::{Job, Known},
    server::Server,
};
use crate::{
    Ending,
    pages::{Listed, Pages, list},
    shown::{Form, line, to_the_second},
};

const COLUMNS: [&str; 8] =
    ["job", "state", "scope", "mode", "ended", "failed", "started at", "requested by"];

/// The jobs, one line each.
#[derive(clap::Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct List {
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    form: Form,
}

pub(crate) async fn run(options: &List, out: &mut dyn Write) -> Result<Ending> {
    let rssync = options.server.connect()?;
    let jobs = Listed { path: &["jobs"], query: &[], name: "jobs", columns: &COLUMNS };
    let row = |told| Ok(row(&Job::try_from(told)?.is));
    list(&rssync, &jobs, &options.pages, &options.form, row, out).await
}

fn row(job: &Known) -> [String; COLUMNS.len()] {
    [
        job.job_id.to_string(),
        job.state_and_reason(),
        job.scope_in_words(),
        job.mode_in_words().to_owned(),
        format!("{}/{}", job.ended(), job.counts.total),
        job.counts.failed().to_string(),
        job.started_at.map(to_the_second).unwrap_or_default(),
        line(job.requested_by.as_deref().unwrap_or_default().as_bytes()),
    ]
}
