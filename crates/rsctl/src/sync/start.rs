//! `rsctl sync start`.

use std::io::Write;

use anyhow::Result;
use clap::ValueEnum;
use events::{AccountId, IspId, JobId, SyncScope, Text};
use serde::Serialize;
use serde_json::Value;

use super::{
    job::Job,
    server::Server,
    show,
    watch::{self, Patience},
};
use crate::{
    Ending,
    service::{Answer, Refusal, Service, Whom},
    shown::{Form, json_line},
};

/// Start a full sync. Without --isp, --account and --model it covers everything
#[derive(clap::Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct Start {
    /// Only the homes of this ISP
    #[arg(long, value_name = "ISP")]
    isp: Option<IspId>,
    /// Only this account
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountId>,
    /// Only routers of this model
    #[arg(long, value_name = "MODEL", value_parser = model)]
    model: Option<Text>,
    /// What is sent
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Most devices that are open at a time
    #[arg(long, value_name = "DEVICES", value_parser = clap::value_parser!(u32).range(1..))]
    window: Option<u32>,
    /// Most devices per second
    #[arg(long, value_name = "DEVICES", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// What happens where a running job covers some of the same homes
    #[arg(long, value_enum)]
    on_running: Option<OnRunning>,
    /// Follow the job to its end
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    form: Form,
}

#[derive(Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Everything, remembered deletions too
    Force,
    /// What differs from what was applied
    Delta,
}

#[derive(Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum OnRunning {
    /// Answer with that job
    Return,
    /// Start nothing
    Reject,
    /// Cancel that job and begin after it
    Replace,
}

/// What is asked of rssync; what is absent is as rssync has it.
#[derive(Serialize)]
struct Request {
    scope: SyncScope,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_running: Option<OnRunning>,
}

fn model(text: &str) -> Result<Text, String> {
    Text::try_from(text.to_owned()).map_err(|err| err.to_string())
}

pub(crate) async fn run(options: &Start, out: &mut dyn Write) -> Result<Ending> {
    let rssync = options.server.connect()?;
    let request = Request {
        scope: SyncScope {
            isp_id: options.isp.clone(),
            account_id: options.account.clone(),
            model: options.model.clone(),
        },
        mode: options.mode,
        window: options.window,
        rate_per_s: options.rate,
        on_running: options.on_running,
    };
    let answer = rssync.post(&["full-sync"], &serde_json::to_value(request)?).await?;
    let job = started(&rssync, &answer).await?;
    if options.watch {
        return watch::follow(&rssync, job, &options.form, &options.patience, out).await;
    }
    if options.form.json {
        json_line(out, &job.told)?;
    } else {
        let (job_id, state) = (&job.is.job_id, job.is.state_and_reason());
        writeln!(out, "{job_id}: {state}. Follow it with: rsctl sync watch {job_id}")?;
    }
    Ok(Ending::Well)
}

/// The job that the answer names: whole, or by where it lies.
async fn started(rssync: &Service, answer: &Answer) -> Result<Job> {
    if !answer.body.is_empty() {
        return Ok(Job::try_from(answer.read::<Value>("job")?)?);
    }
    let id = answer.location.as_deref().and_then(|it| it.trim_end_matches('/').rsplit('/').next());
    let id = id.ok_or_else(|| {
        Refusal::senseless(
            Whom::Rssync,
            "job",
            format!("{} without a body or Location", answer.status),
        )
    })?;
    let job_id: JobId = id.parse().map_err(|err| Refusal::senseless(Whom::Rssync, "job", err))?;
    show::read(rssync, &job_id).await
}
