//! Where a service is and who asks, on the command line.

use std::{path::PathBuf, str::FromStr, time::Duration};

use url::Url;

/// Who asks a service of the fleet, and how long for an answer.
#[derive(clap::Args)]
pub struct Caller {
    /// PEM file with the Ed25519 private key that signs the requests
    #[arg(long, help_heading = "Service", env = "RSCTL_KEY", value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Under which name the service knows the key
    #[arg(
        long,
        help_heading = "Service",
        env = "RSCTL_ISSUER",
        value_name = "NAME",
        default_value = "rsctl",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub(crate) issuer: String,
    /// Who asks; a job keeps it
    #[arg(
        long,
        help_heading = "Service",
        env = "RSCTL_SUBJECT",
        value_name = "NAME",
        default_value = "operator"
    )]
    pub(crate) subject: String,
    /// PEM file with the authorities that the service's certificate may come from, in place of the system's
    #[arg(long, help_heading = "Service", env = "RSCTL_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Seconds in which the service must answer
    #[arg(
        long,
        help_heading = "Service",
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=600)
    )]
    timeout: u64,
}

impl Caller {
    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// An address that HTTP can be spoken with, with nothing behind its path.
#[derive(Clone, Debug)]
pub(crate) struct Address(pub(crate) Url);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url: Url = text.parse().map_err(|err| format!("no address: {err}"))?;
        let is_bare = url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        match (matches!(url.scheme(), "http" | "https"), is_anonymous, is_bare) {
            (false, _, _) => Err("an address begins with http:// or https://".to_owned()),
            (true, false, _) => Err("an address has no user and no password".to_owned()),
            (true, true, false) => Err("an address has neither ? nor #".to_owned()),
            (true, true, true) => Ok(Self(url)),
        }
    }
}
