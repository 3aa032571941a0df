//! `rsctl sync list`.

use std::io::Write;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Form,
    job::{Job, Known},
    json_line,
    server::Server,
    show::to_the_second,
};
use crate::{
    Ending,
    shown::{line, table},
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

/// How much of a list.
#[derive(clap::Args)]
pub(crate) struct Pages {
    /// Most lines at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Go on where an earlier page ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
    /// All of them, page by page
    #[arg(long)]
    pub(crate) all: bool,
}

/// A page of a list, as rssync tells it.
#[derive(Serialize, Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

pub(crate) async fn run(options: &List, out: &mut dyn Write) -> Result<Ending> {
    let rssync = options.server.connect()?;
    let limit = options.pages.limit.to_string();
    let mut cursor = options.pages.cursor.clone();
    let mut table = table();
    table.set_header(COLUMNS);
    let mut count = 0_usize;
    let next = loop {
        let mut query = vec![("limit", limit.as_str())];
        query.extend(cursor.as_deref().map(|it| ("cursor", it)));
        let answer = rssync.get(&["jobs"], &query).await?;
        let page: Page = answer.read("list of jobs")?;
        if options.form.json {
            json_line(out, &answer.read::<Value>("list of jobs")?)?;
        } else {
            for told in page.items {
                count += 1;
                table.add_row(row(&Job::try_from(told)?.is));
            }
        }
        if page.next.is_none() || !options.pages.all || page.next == cursor {
            break page.next;
        }
        cursor = page.next;
    };
    if options.form.json {
        return Ok(Ending::Well);
    }
    match count {
        0 => writeln!(out, "no jobs")?,
        _ => writeln!(out, "{table}")?,
    }
    more(next.as_deref(), out)?;
    Ok(Ending::Well)
}

/// Says how to go on where there is more.
pub(crate) fn more(next: Option<&str>, out: &mut dyn Write) -> Result<()> {
    match next {
        Some(next) => {
            Ok(writeln!(out, "there are more: --all, or --cursor {}", line(next.as_bytes()))?)
        }
        None => Ok(()),
    }
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
