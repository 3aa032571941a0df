//! Lists that services hand out page by page.

use std::io::Write;

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    Ending,
    service::Service,
    shown::{Form, json_line, line, table},
};

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

/// What is listed.
pub(crate) struct Listed<'a> {
    /// Where the list lies.
    pub(crate) path: &'a [&'a str],
    /// Which of them are wanted.
    pub(crate) query: &'a [(&'a str, &'a str)],
    /// What they are called.
    pub(crate) name: &'a str,
    /// What a row tells.
    pub(crate) columns: &'a [&'a str],
}

/// A page of a list, as a service tells it.
#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

/// Lists them, with a `row` each; in JSON, a page as it was told on each line.
pub(crate) async fn list<const N: usize>(
    service: &Service,
    listed: &Listed<'_>,
    pages: &Pages,
    form: &Form,
    row: impl Fn(Value) -> Result<[String; N]>,
    out: &mut dyn Write,
) -> Result<Ending> {
    let (limit, what) = (pages.limit.to_string(), format!("list of {}", listed.name));
    let mut cursor = pages.cursor.clone();
    let mut table = table();
    table.set_header(listed.columns);
    let mut count = 0_usize;
    let next = loop {
        let mut query = vec![("limit", limit.as_str())];
        query.extend(listed.query);
        query.extend(cursor.as_deref().map(|it| ("cursor", it)));
        let answer = service.get(listed.path, &query).await?;
        let page: Page = answer.read(&what)?;
        if form.json {
            json_line(out, &answer.read::<Value>(&what)?)?;
        } else {
            for told in page.items {
                count += 1;
                table.add_row(row(told)?);
            }
        }
        if page.next.is_none() || !pages.all || page.next == cursor {
            break page.next;
        }
        cursor = page.next;
    };
    if form.json {
        return Ok(Ending::Well);
    }
    match count {
        0 => writeln!(out, "no {}", listed.name)?,
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
