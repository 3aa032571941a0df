//! `rsctl rollout list`.

use std::io::Write;

use anyhow::Result;
use events::IspId;
use serde::Deserialize;
use serde_json::Value;

use super::{
    PLACE, Server,
    told::{Known, Rollout},
};
use crate::{
    Ending,
    shown::{line, table},
    sync::{Form, Pages, json_line, more, to_the_second},
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

/// A page of a list, as rsclient tells it.
#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

pub(crate) async fn run(options: &List, out: &mut dyn Write) -> Result<Ending> {
    let rsclient = options.server.connect()?;
    let limit = options.pages.limit.to_string();
    let mut cursor = options.pages.cursor.clone();
    let mut table = table();
    table.set_header(COLUMNS);
    let mut count = 0_usize;
    let next = loop {
        let mut query = vec![("limit", limit.as_str())];
        query.extend(options.isp.as_ref().map(|it| ("isp_id", it.as_str())));
        query.extend(cursor.as_deref().map(|it| ("cursor", it)));
        let answer = rsclient.get(&PLACE, &query).await?;
        let page: Page = answer.read("list of rollouts")?;
        if options.form.json {
            json_line(out, &answer.read::<Value>("list of rollouts")?)?;
        } else {
            for told in page.items {
                count += 1;
                table.add_row(row(&Rollout::try_from(told)?.is));
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
        0 => writeln!(out, "no rollouts")?,
        _ => writeln!(out, "{table}")?,
    }
    more(next.as_deref(), out)?;
    Ok(Ending::Well)
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
