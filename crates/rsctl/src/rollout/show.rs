//! `rsctl rollout show`.

use std::io::Write;

use anyhow::Result;
use events::JobId;
use serde_json::Value;

use super::{
    One, place,
    told::{Counts, Known, Rollout},
};
use crate::{
    Ending,
    service::Service,
    shown::{bare_table, json_line, line, to_the_second},
};

pub(crate) async fn run(options: &One, out: &mut dyn Write) -> Result<Ending> {
    let rollout = read(&options.server.connect()?, &options.rollout_id).await?;
    if options.form.json {
        json_line(out, &rollout.told)?;
    } else {
        write(&rollout.is, out)?;
    }
    Ok(Ending::Well)
}

/// The rollout, as it is now.
pub(crate) async fn read(rsclient: &Service, rollout_id: &JobId) -> Result<Rollout> {
    let answer = rsclient.get(&place(rollout_id), &[]).await?;
    Ok(Rollout::try_from(answer.read::<Value>("rollout")?)?)
}

/// Everything about a rollout, for people.
pub(crate) fn write(rollout: &Known, out: &mut dyn Write) -> Result<()> {
    let text = |it: &Option<String>| it.as_deref().map(|it| line(it.as_bytes()));
    let rows = [
        ("rollout", Some(rollout.rollout_id.to_string())),
        ("state", Some(rollout.state.to_string())),
        ("reason", text(&rollout.reason)),
        ("ISP", Some(rollout.isp_id.to_string())),
        ("routers", Some(line(rollout.routers_in_words().as_bytes()))),
        ("from", Some(rollout.from.to_string())),
        ("to", Some(rollout.to.to_string())),
        ("wave", Some(rollout.wave_in_words())),
        ("of the wave", Some(counts(&rollout.of_wave))),
        ("of all moved", Some(counts(&rollout.counts))),
        ("requested by", text(&rollout.requested_by)),
        ("started at", rollout.started_at.map(to_the_second)),
        ("updated at", rollout.updated_at.map(to_the_second)),
        ("aborted at the latest", rollout.deadline_at.map(to_the_second)),
        ("ended at", rollout.ended_at.map(to_the_second)),
    ];
    let mut table = bare_table();
    for (name, value) in rows {
        if let Some(value) = value {
            table.add_row([name.to_owned(), value]);
        }
    }
    for (at, wave) in rollout.done.iter().enumerate() {
        table.add_row([format!("wave {} was done", at + 1), counts(&wave.counts)]);
    }
    Ok(writeln!(out, "{}", table.trim_fmt())?)
}

/// What became of routers, in words.
pub(crate) fn counts(it: &Counts) -> String {
    let Counts { routers, installed, failed } = it;
    format!("{installed}/{routers} installed, {failed} failed")
}
