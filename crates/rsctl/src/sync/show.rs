//! `rsctl sync show`.

use std::io::Write;

use anyhow::Result;
use events::JobId;

use super::{
    One,
    job::{Job, Known},
};
use crate::{
    Ending,
    service::Service,
    shown::{bare_table, json_line, line, to_the_second},
};

pub(crate) async fn run(options: &One, out: &mut dyn Write) -> Result<Ending> {
    let job = read(&options.server.connect()?, &options.job_id).await?;
    if options.form.json {
        json_line(out, &job.told)?;
    } else {
        write(&job.is, out)?;
    }
    Ok(Ending::Well)
}

/// The job, as it is now.
pub(crate) async fn read(rssync: &Service, job_id: &JobId) -> Result<Job> {
    let answer = rssync.get(&["jobs", job_id.as_str()], &[]).await?;
    Ok(Job::try_from(answer.read::<serde_json::Value>("job")?)?)
}

/// Everything about a job, for people.
pub(crate) fn write(job: &Known, out: &mut dyn Write) -> Result<()> {
    let text = |it: &Option<String>| it.as_deref().map(|it| line(it.as_bytes()));
    let number = |it: &Option<u32>| it.map(|it| it.to_string());
    let counts = &job.counts;
    let rows = [
        ("job", Some(job.job_id.to_string())),
        ("state", Some(job.state.to_string())),
        ("reason", text(&job.reason)),
        ("step", text(&job.step)),
        ("scope", Some(job.scope_in_words())),
        ("mode", Some(job.mode_in_words().to_owned()).filter(|it| !it.is_empty())),
        ("window", number(&job.window)),
        ("rate per s", number(&job.rate_per_s)),
        ("requested by", text(&job.requested_by)),
        ("started at", job.started_at.map(to_the_second)),
        ("updated at", job.updated_at.map(to_the_second)),
        ("ended at", job.ended_at.map(to_the_second)),
        ("total", Some(counts.total.to_string())),
        ("applied", Some(counts.applied.to_string())),
        ("unchanged", Some(counts.unchanged.to_string())),
        ("superseded", Some(counts.superseded.to_string())),
        ("gone", Some(counts.gone.to_string())),
        ("rejected", Some(counts.rejected.to_string())),
        ("not sent", Some(counts.not_sent.to_string())),
        ("unknown", Some(counts.unknown.to_string())),
    ];
    let mut table = bare_table();
    for (name, value) in rows {
        if let Some(value) = value {
            table.add_row([name.to_owned(), value]);
        }
    }
    Ok(writeln!(out, "{}", table.trim_fmt())?)
}
