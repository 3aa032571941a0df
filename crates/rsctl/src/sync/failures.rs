//! `rsctl sync failures`.
//!
//! All of them can be many: they are read class by class, so that they come grouped and none is held for another.

use std::io::Write;

use anyhow::Result;
use events::JobId;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::server::Server;
use crate::{
    Ending,
    pages::{Pages, more},
    service::Service,
    shown::{Form, cut, json_line, line, table, to_the_second},
};

/// How much of a reason a line shows, in characters.
const REASON_CHARACTERS: usize = 100;

/// What failed of a job.
#[derive(clap::Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct Failures {
    /// The job
    #[arg(value_name = "JOB")]
    job_id: JobId,
    /// Only those of this class, such as 422
    #[arg(long)]
    class: Option<String>,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    form: Form,
}

/// A page of failures.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    classes: Vec<Class>,
    items: Vec<Failure>,
    next: Option<String>,
}

/// Failures of one kind.
#[derive(Clone, Deserialize)]
struct Class {
    class: String,
    count: u64,
}

#[derive(Deserialize)]
struct Failure {
    task: Option<String>,
    key: String,
    class: String,
    reason: Option<String>,
    attempts: Option<u32>,
    at: Option<Timestamp>,
}

pub(crate) async fn run(options: &Failures, out: &mut dyn Write) -> Result<Ending> {
    let rssync = options.server.connect()?;
    let ask = Ask { rssync: &rssync, options };
    if options.form.json {
        return ask.tell_in_json(out).await;
    }
    let (first, _) = ask.page(options.class.as_deref(), options.pages.cursor.as_deref()).await?;
    let all = options.pages.all && options.class.is_none() && options.pages.cursor.is_none();
    let counted: Vec<_> =
        first.classes.iter().map(|it| format!("{} {}", it.count, it.class)).collect();
    if first.items.is_empty() && counted.is_empty() {
        writeln!(out, "no failures")?;
        return Ok(Ending::Well);
    }
    if !counted.is_empty() {
        writeln!(out, "by class: {}", line(counted.join(", ").as_bytes()))?;
    }
    let next = if all && first.next.is_some() && !first.classes.is_empty() {
        for class in &first.classes {
            let (page, _) = ask.page(Some(&class.class), None).await?;
            ask.follow(page, Some(&class.class), out).await?;
        }
        None
    } else {
        ask.follow(first, options.class.as_deref(), out).await?
    };
    more(next.as_deref(), out)?;
    Ok(Ending::Well)
}

struct Ask<'a> {
    rssync: &'a Service,
    options: &'a Failures,
}

impl Ask<'_> {
    /// A page, and the words in which it was told.
    async fn page(&self, class: Option<&str>, cursor: Option<&str>) -> Result<(Page, Value)> {
        let limit = self.options.pages.limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(class.map(|it| ("class", it)));
        query.extend(cursor.map(|it| ("cursor", it)));
        let path = ["jobs", self.options.job_id.as_str(), "failures"];
        let answer = self.rssync.get(&path, &query).await?;
        Ok((answer.read("list of failures")?, answer.read("list of failures")?))
    }

    /// Shows a page, and with `--all` those behind it; answers where there is more.
    async fn follow(
        &self,
        mut page: Page,
        class: Option<&str>,
        out: &mut dyn Write,
    ) -> Result<Option<String>> {
        loop {
            write(&mut page.items, out)?;
            let (Some(cursor), true) = (&page.next, self.options.pages.all) else {
                return Ok(page.next);
            };
            page = self.page(class, Some(cursor)).await?.0;
        }
    }

    async fn tell_in_json(&self, out: &mut dyn Write) -> Result<Ending> {
        let mut cursor = self.options.pages.cursor.clone();
        loop {
            let (page, told) = self.page(self.options.class.as_deref(), cursor.as_deref()).await?;
            json_line(out, &told)?;
            if page.next.is_none() || !self.options.pages.all {
                return Ok(Ending::Well);
            }
            cursor = page.next;
        }
    }
}

/// A table for each class.
fn write(failures: &mut [Failure], out: &mut dyn Write) -> Result<()> {
    failures.sort_by(|a, b| a.class.cmp(&b.class));
    for group in failures.chunk_by(|a, b| a.class == b.class) {
        let mut table = table();
        table.set_header(["class", "key", "task", "attempts", "at", "reason"]);
        for it in group {
            let text = |it: &Option<String>| line(it.as_deref().unwrap_or_default().as_bytes());
            table.add_row([
                line(it.class.as_bytes()),
                line(it.key.as_bytes()),
                text(&it.task),
                it.attempts.map(|it| it.to_string()).unwrap_or_default(),
                it.at.map(to_the_second).unwrap_or_default(),
                cut(text(&it.reason), REASON_CHARACTERS),
            ]);
        }
        writeln!(out, "{table}")?;
    }
    Ok(())
}
