//! `rsctl rollout pause`, `resume` and `abort`.

use std::io::Write;

use anyhow::Result;
use serde_json::json;

use super::{One, place};
use crate::{Ending, shown::json_line};

/// What a rollout is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Pause,
    Resume,
    Abort,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }
}

pub(crate) async fn run(action: Action, options: &One, out: &mut dyn Write) -> Result<Ending> {
    let (rollout_id, action) = (&options.rollout_id, action.as_str());
    let rsclient = options.server.connect()?;
    rsclient.post(&place(rollout_id), &json!({"action": action})).await?;
    if options.form.json {
        let told = json!({"rollout_id": rollout_id, "action": action, "accepted": true});
        json_line(out, &told)?;
    } else {
        writeln!(out, "{action} of {rollout_id} is accepted: rsctl rollout watch {rollout_id}")?;
    }
    Ok(Ending::Well)
}
