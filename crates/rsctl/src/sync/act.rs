//! `rsctl sync cancel`, `pause`, `resume` and `redrive`.

use std::io::Write;

use anyhow::Result;
use serde_json::json;

use super::One;
use crate::{Ending, shown::json_line};

/// What a job is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Cancel,
    Pause,
    Resume,
    Redrive,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Redrive => "redrive",
        }
    }
}

pub(crate) async fn run(action: Action, options: &One, out: &mut dyn Write) -> Result<Ending> {
    let (job_id, action) = (&options.job_id, action.as_str());
    let rssync = options.server.connect()?;
    rssync.post(&["jobs", job_id.as_str()], &json!({"action": action})).await?;
    if options.form.json {
        json_line(out, &json!({"job_id": job_id, "action": action, "accepted": true}))?;
    } else {
        writeln!(out, "{action} of {job_id} is accepted: rsctl sync watch {job_id}")?;
    }
    Ok(Ending::Well)
}
