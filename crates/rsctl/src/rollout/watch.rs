//! `rsctl rollout watch`.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use events::JobId;
use serde_json::Value;

use super::{
    Server,
    show::{self, counts},
    told::{Known, Rollout},
};
use crate::{
    Ending,
    service::{Cause, Refusal, Service},
    shown::{Form, json_line},
};

/// How often rsclient is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How often single lines tell of mere progress.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Follow a rollout to its end.
#[derive(clap::Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct Watch {
    /// The rollout
    #[arg(value_name = "ROLLOUT")]
    rollout_id: JobId,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    form: Form,
}

/// How long to hold out.
#[derive(clap::Args)]
pub(crate) struct Patience {
    /// Seconds for which rsclient may be out of reach while a rollout is followed
    #[arg(long = "patience", value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
}

/// What was told last.
struct View {
    json: bool,
    last: Option<Value>,
    line: Option<(Instant, String)>,
}

pub(crate) async fn run(options: &Watch, out: &mut dyn Write) -> Result<Ending> {
    let rsclient = options.server.connect()?;
    let rollout = show::read(&rsclient, &options.rollout_id).await?;
    follow(&rsclient, rollout, &options.form, &options.patience, out).await
}

/// Follows a rollout to its end, or until somebody presses Ctrl-C, which does nothing to the rollout.
pub(crate) async fn follow(
    rsclient: &Service,
    rollout: Rollout,
    form: &Form,
    patience: &Patience,
    out: &mut dyn Write,
) -> Result<Ending> {
    let id = rollout.is.rollout_id.clone();
    let view = View { json: form.json, last: None, line: None };
    let patience = Duration::from_secs(patience.seconds);
    tokio::select! {
        ending = hear_out(rsclient, rollout, patience, view, &mut *out) => ending,
        Ok(()) = tokio::signal::ctrl_c() => {
            eprintln!("the rollout goes on; follow it again with: rsctl rollout watch {id}");
            Ok(Ending::Interrupted)
        }
    }
}

async fn hear_out(
    rsclient: &Service,
    mut rollout: Rollout,
    patience: Duration,
    mut view: View,
    out: &mut dyn Write,
) -> Result<Ending> {
    let (id, mut heard_at) = (rollout.is.rollout_id.clone(), Instant::now());
    loop {
        view.tell(&rollout, out)?;
        if let Some(ending) = rollout.is.state.ending() {
            if !view.json {
                show::write(&rollout.is, out)?;
            }
            return Ok(ending);
        }
        rollout = loop {
            tokio::time::sleep(EVERY).await;
            let error = match show::read(rsclient, &id).await {
                Ok(rollout) => break rollout,
                Err(error) => error,
            };
            let cause = error.downcast_ref::<Refusal>().map(|it| it.cause);
            if cause != Some(Cause::Unreachable) {
                return Err(error);
            }
            if heard_at.elapsed() >= patience {
                let seconds = heard_at.elapsed().as_secs();
                let what = format!("nothing heard for {seconds} s; {id} was not told to stop");
                return Err(error).context(what);
            }
        };
        heard_at = Instant::now();
    }
}

impl View {
    /// Tells a rollout that differs from what was told before.
    fn tell(&mut self, rollout: &Rollout, out: &mut dyn Write) -> Result<()> {
        let mut told = rollout.told.clone();
        // That somebody has looked after it is no news.
        told["updated_at"] = Value::Null;
        if self.last.as_ref() == Some(&told) {
            return Ok(());
        }
        self.last = Some(told);
        if self.json {
            return json_line(out, &rollout.told);
        }
        let (title, progress) = (title(&rollout.is), counts(&rollout.is.of_wave));
        let is_news = self
            .line
            .as_ref()
            .is_none_or(|(at, told)| *told != title || at.elapsed() >= BETWEEN_LINES);
        if is_news {
            eprintln!("{title}: {progress}");
            self.line = Some((Instant::now(), title));
        }
        Ok(())
    }
}

fn title(rollout: &Known) -> String {
    format!("{} wave {}: {}", rollout.rollout_id, rollout.wave_in_words(), rollout.state)
}
