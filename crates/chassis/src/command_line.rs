//! The command line that every service has.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser};

use crate::Settings;

const HEALTH_CHECK_LIMIT: Duration = Duration::from_secs(3);

/// Settings come from a file and from the environment; the command line only says what to do.
#[derive(Debug, Parser)]
pub(crate) struct CommandLine {
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the settings in force, secrets redacted, and end
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) check_config: bool,
    /// Print the defaults with their documentation and end
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) print_defaults: bool,
    /// Ask the running service whether it is ready; ends with 0 if so
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) healthcheck: bool,
}

impl CommandLine {
    /// Reads the arguments of the process; ends it on `--help`, `--version` and mistakes.
    pub(crate) fn read(service: &'static str) -> Self {
        let command = Self::command().name(service).bin_name(service).version(VERSION);
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Asks `/readyz` of the process that runs with the same settings.
pub(crate) fn health_check(settings: &Settings) -> anyhow::Result<()> {
    let address = admin_address(settings)?;
    let mut stream = TcpStream::connect_timeout(&address, HEALTH_CHECK_LIMIT)
        .with_context(|| format!("nothing answers at {address}"))?;
    stream.set_read_timeout(Some(HEALTH_CHECK_LIMIT))?;
    stream.set_write_timeout(Some(HEALTH_CHECK_LIMIT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut answer).context("no answer from /readyz")?;
    let answer = String::from_utf8_lossy(&answer);
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or(("", "no HTTP answer"));
    bail!("not ready: {}", body.trim())
}

fn admin_address(settings: &Settings) -> anyhow::Result<SocketAddr> {
    let mut address = settings.admin.listen;
    if address.port() == 0 {
        let file = &settings.admin.address_file;
        let text = std::fs::read_to_string(file)
            .context("admin.listen has port 0 and admin.address_file cannot be read")?;
        address = text
            .lines()
            .find_map(|line| line.strip_prefix("admin "))
            .context("admin.address_file does not name the admin port")?
            .parse()?;
    }
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    Ok(address)
}
