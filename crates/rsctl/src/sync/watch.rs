//! `rsctl sync watch`.
//!
//! rssync tells the job at once and after each change, and hangs up after its end. Whatever else ends a stream is a
//! loss: the stream is opened again, and its first word makes up for what was missed.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use events::JobId;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{bar::View, job::Job, server::Server, show, stream::Parser};
use crate::{
    Ending,
    service::{Cause, Refusal, Service, Whom},
    shown::{Form, json_line},
};

/// The event whose data is the job.
const JOB: &str = "job";
/// How long to wait before a stream is opened again, at first and at most.
const PAUSE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];
/// A stream that is silent for so many time-outs is lost.
const SILENT_TIMEOUTS: u32 = 4;

/// Follow a job to its end.
#[derive(clap::Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct Watch {
    /// The job
    #[arg(value_name = "JOB")]
    job_id: JobId,
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
    /// Seconds for which rssync may be out of reach while a job is followed
    #[arg(long = "patience", value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
}

pub(crate) async fn run(options: &Watch, out: &mut dyn Write) -> Result<Ending> {
    let rssync = options.server.connect()?;
    let job = show::read(&rssync, &options.job_id).await?;
    follow(&rssync, job, &options.form, &options.patience, out).await
}

/// Follows a job to its end, or until somebody presses Ctrl-C, which does nothing to the job.
pub(crate) async fn follow(
    rssync: &Service,
    job: Job,
    form: &Form,
    patience: &Patience,
    out: &mut dyn Write,
) -> Result<Ending> {
    let job_id = job.is.job_id.clone();
    let view = View::new(form.json);
    let mut session =
        Session { rssync, job_id: &job_id, last: None, heard_at: Instant::now(), view };
    let ending = tokio::select! {
        ending = session.hear_out(job, Duration::from_secs(patience.seconds), form.json, &mut *out) => ending,
        Ok(()) = tokio::signal::ctrl_c() => Ok(Ending::Interrupted),
    };
    session.view.end();
    if ending.as_ref().is_ok_and(|it| *it == Ending::Interrupted) {
        eprintln!("the job goes on; follow it again with: rsctl sync watch {job_id}");
    } else if let (Ok(ending), false, Some(job)) = (&ending, form.json, &session.last) {
        show::write(&job.is, out)?;
        if *ending == Ending::WithFailures {
            writeln!(out, "what failed: rsctl sync failures {job_id}")?;
        }
    }
    ending
}

/// What was heard of a job so far.
struct Session<'a> {
    rssync: &'a Service,
    job_id: &'a JobId,
    last: Option<Job>,
    heard_at: Instant,
    view: View,
}

impl Session<'_> {
    async fn hear_out(
        &mut self,
        job: Job,
        patience: Duration,
        json: bool,
        out: &mut dyn Write,
    ) -> Result<Ending> {
        if let Some(ending) = self.tell(job, json, out)? {
            return Ok(ending);
        }
        let mut pause = PAUSE[0];
        loop {
            let heard_before = self.heard_at;
            let error = match self.listen(json, out).await {
                Ok(ending) => return Ok(ending),
                Err(error) => error,
            };
            let cause = error.downcast_ref::<Refusal>().map(|it| it.cause);
            if cause != Some(Cause::Unreachable) {
                return Err(error);
            }
            let lost_for = self.heard_at.elapsed();
            if lost_for >= patience {
                let seconds = lost_for.as_secs();
                return Err(error).context(format!(
                    "nothing heard for {seconds} s; {} was not told to stop",
                    self.job_id
                ));
            }
            if self.heard_at > heard_before {
                pause = PAUSE[0];
            } else {
                self.view.note(&format!("{error:#}: trying again"));
            }
            sleep(pause.min(patience.saturating_sub(lost_for))).await;
            pause = (pause * 2).min(PAUSE[1]);
        }
    }

    /// Hears one stream out: it ends with the job's end, or with an error.
    async fn listen(&mut self, json: bool, out: &mut dyn Write) -> Result<Ending> {
        let mut response = self.rssync.open(&["jobs", self.job_id.as_str(), "events"]).await?;
        let mut parser = Parser::default();
        let silence = self.rssync.timeout() * SILENT_TIMEOUTS;
        let lost = |why: &str| Refusal::new(Cause::Unreachable, why);
        loop {
            let chunk = match timeout(silence, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Err(lost("rssync has hung up").into()),
                Ok(Err(error)) => return Err(self.rssync.unreachable(&error).into()),
                Err(_) => return Err(lost("rssync has fallen silent").into()),
            };
            self.heard_at = Instant::now();
            let events = parser
                .read(&chunk)
                .map_err(|err| Refusal::senseless(Whom::Rssync, "stream", err))?;
            for event in events.into_iter().filter(|it| it.name == JOB) {
                let told: Value = serde_json::from_str(&event.data)
                    .map_err(|err| Refusal::senseless(Whom::Rssync, "job", err))?;
                if let Some(ending) = self.tell(Job::try_from(told)?, json, out)? {
                    return Ok(ending);
                }
            }
        }
    }

    /// Tells a job that differs from what was told before.
    fn tell(&mut self, job: Job, json: bool, out: &mut dyn Write) -> Result<Option<Ending>> {
        if self.last.as_ref() != Some(&job) {
            if json {
                json_line(out, &job.told)?;
            } else {
                self.view.show(&job.is, Instant::now());
            }
        }
        let ending = job.is.state.ending();
        self.last = Some(job);
        Ok(ending)
    }
}
