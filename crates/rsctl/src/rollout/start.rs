//! `rsctl rollout start`.

use std::io::Write;

use anyhow::Result;
use events::{AgentPackageId, IspId, Text};
use serde::Serialize;
use serde_json::Value;

use super::{
    PLACE, Server,
    told::Rollout,
    watch::{self, Patience},
};
use crate::{
    Ending,
    shown::{Form, json_line},
};

/// Start a rollout. What is left out is as rsclient's settings have it
#[derive(clap::Args)]
#[command(after_long_help = crate::EXIT_CODES)]
pub struct Start {
    /// Whose routers
    #[arg(long, value_name = "ISP")]
    isp: IspId,
    /// Routers of this model
    #[arg(long, value_name = "MODEL", value_parser = text)]
    model: Text,
    /// Only those that follow this version
    #[arg(long, value_name = "VERSION", value_parser = text)]
    target_version: Option<Text>,
    /// The package that they run
    #[arg(long, value_name = "PACKAGE")]
    from: AgentPackageId,
    /// The package that they are to run
    #[arg(long, value_name = "PACKAGE")]
    to: AgentPackageId,
    /// To which share of the routers each wave leads, such as 1%,10%,50%,100%
    #[arg(long, value_name = "PERCENT,...", value_delimiter = ',', value_parser = per_mille)]
    waves: Option<Vec<u16>>,
    /// A wave is done when this share of its routers have installed the package
    #[arg(long, value_name = "PERCENT", value_parser = per_mille)]
    success: Option<u16>,
    /// More failures than this share of its routers pause the rollout
    #[arg(long, value_name = "PERCENT", value_parser = per_mille)]
    errors: Option<u16>,
    /// Seconds for which a wave that is done must stay well
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u64>,
    /// Seconds after which a wave that is not done pauses the rollout
    #[arg(long, value_name = "SECONDS")]
    wave_limit: Option<u64>,
    /// Seconds after which a rollout that is not complete is aborted
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,
    /// Follow the rollout to its end
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    form: Form,
}

/// What is asked of rsclient; what is absent is as rsclient has it.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_version: Option<&'a Text>,
    from: &'a AgentPackageId,
    to: &'a AgentPackageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    waves_per_mille: Option<&'a [u16]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success_per_mille: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_per_mille: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    soak_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wave_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout_seconds: Option<u64>,
}

fn text(text: &str) -> Result<Text, String> {
    Text::try_from(text.to_owned()).map_err(|err| err.to_string())
}

/// A share of a hundred, with at most one digit behind the point, as one of a thousand.
fn per_mille(text: &str) -> Result<u16, String> {
    let number = text.trim().trim_end_matches('%');
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    let number = match digits(whole) && digits(tenth) && tenth.len() == 1 {
        true => whole
            .parse::<u16>()
            .ok()
            .and_then(|it| Some(it.checked_mul(10)? + tenth.parse::<u16>().ok()?)),
        false => None,
    };
    let number = number.filter(|it| *it <= 1_000);
    number.ok_or_else(|| "must be a share such as 0.5% or 100%".to_owned())
}

pub(crate) async fn run(options: &Start, out: &mut dyn Write) -> Result<Ending> {
    let rsclient = options.server.connect()?;
    let request = Request {
        model: &options.model,
        target_version: options.target_version.as_ref(),
        from: &options.from,
        to: &options.to,
        waves_per_mille: options.waves.as_deref(),
        success_per_mille: options.success,
        error_per_mille: options.errors,
        soak_seconds: options.soak,
        wave_seconds: options.wave_limit,
        rollout_seconds: options.limit,
    };
    let query = [("isp_id", options.isp.as_str())];
    let answer = rsclient.post_about(&PLACE, &query, &serde_json::to_value(request)?).await?;
    let rollout = Rollout::try_from(answer.read::<Value>("rollout")?)?;
    if options.watch {
        return watch::follow(&rsclient, rollout, &options.form, &options.patience, out).await;
    }
    if options.form.json {
        json_line(out, &rollout.told)?;
    } else {
        let (id, state) = (&rollout.is.rollout_id, rollout.is.state);
        writeln!(out, "{id}: {state}. Follow it with: rsctl rollout watch {id}")?;
    }
    Ok(Ending::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_said_in_percent() {
        for (text, wanted) in [("1%", 10), ("0.5", 5), ("100%", 1_000), ("12.3%", 123), ("0", 0)] {
            assert_eq!(per_mille(text), Ok(wanted), "{text}");
        }
        for text in ["", "%", "100.1", "0.55", "-1", "1e1", "a", "1.", "65536"] {
            assert!(per_mille(text).is_err(), "{text}");
        }
    }
}
