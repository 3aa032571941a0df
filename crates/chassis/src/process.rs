//! The life of a process: command line → settings → telemetry → run → drain → exit code.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::command_line::{CommandLine, VERSION, health_check};
use crate::telemetry::Telemetry;
use crate::{
    Actions, Health, ServiceSettings, Settings, admin, defaults, http, settings, telemetry, tls,
};

/// Exit code for settings that cannot be used.
const BAD_SETTINGS: u8 = 2;
/// What background tasks get after the drain.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The world of a running service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Chassis {
    /// Cancelled when the service must end: stop taking work, finish what is in hand, return.
    pub stop: CancellationToken,
    /// Where the service says how its parts are.
    pub health: Health,
    /// Where the service says what an operator may have it do.
    pub actions: Actions,
    addresses: Arc<Addresses>,
}

#[derive(Debug)]
struct Addresses {
    file: Option<PathBuf>,
    bound: Mutex<BTreeMap<String, SocketAddr>>,
}

impl Chassis {
    /// Opens the admin port.
    ///
    /// # Errors
    /// When the port is taken or the address file cannot be written.
    pub async fn new(settings: &Settings) -> anyhow::Result<Self> {
        tls::install_provider();
        let file = &settings.admin.address_file;
        let chassis = Self::with_address_file((!file.is_empty()).then(|| file.into()));
        let metrics = telemetry::metrics();
        let address = settings.admin.listen;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("admin.listen: cannot bind {address}"))?;
        let bound = listener.local_addr()?;
        tokio::spawn(telemetry::keep_up(metrics.clone()));
        // It answers until the end of the process, so that the drain can be watched.
        let router = admin::router(chassis.health.clone(), chassis.actions.clone(), metrics);
        tokio::spawn(http::serve(listener, router, None, CancellationToken::new()));
        chassis.listening("admin", bound)?;
        Ok(chassis)
    }

    /// A world without an admin port or telemetry, for a service that runs inside a test.
    pub fn for_tests() -> Self {
        tls::install_provider();
        telemetry::install_propagators();
        Self::with_address_file(None)
    }

    /// Says that the service listens: logs it and adds it to the address file.
    ///
    /// # Errors
    /// When the address file cannot be written.
    pub fn listening(&self, name: &str, address: SocketAddr) -> anyhow::Result<()> {
        tracing::info!(name, %address, "listening");
        let mut bound = self.addresses.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound.insert(name.to_owned(), address);
        let Some(file) = &self.addresses.file else { return Ok(()) };
        let text: String = bound.iter().map(|(name, it)| format!("{name} {it}\n")).collect();
        let draft = file.with_added_extension("new");
        std::fs::write(&draft, text)
            .and_then(|()| std::fs::rename(&draft, file))
            .with_context(|| format!("admin.address_file: cannot write {}", file.display()))
    }

    /// The address that was bound under this name.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        let bound = self.addresses.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound.get(name).copied()
    }

    fn with_address_file(file: Option<PathBuf>) -> Self {
        let stop = CancellationToken::new();
        let health = Health::new(stop.clone());
        let addresses = Arc::new(Addresses { file, bound: Mutex::default() });
        Self { stop, health, actions: Actions::default(), addresses }
    }
}

/// Runs a service. `run` returns when its work is done, soon after [`Chassis::stop`] is cancelled.
///
/// Exit codes: 0 after a drain, whether or not it met its limit; 1 when `run` fails; 2 for settings
/// that cannot be used.
pub fn main<S: ServiceSettings>(
    service: &'static str,
    defaults: &'static str,
    run: impl AsyncFnOnce(S, Chassis) -> anyhow::Result<()>,
) -> ExitCode {
    small_pages();
    tls::install_provider();
    let arguments = CommandLine::read(service);
    if arguments.print_defaults {
        return print(&defaults::commented(defaults));
    }
    let loaded = settings::load::<S>(service, defaults, arguments.config.as_deref(), environment());
    let settings = match loaded {
        Ok(settings) => settings,
        Err(error) => return refuse(service, &error, ExitCode::from(BAD_SETTINGS)),
    };
    if arguments.check_config {
        return match settings::show(&settings) {
            Ok(text) => print(&text),
            Err(error) => refuse(service, &error, ExitCode::from(BAD_SETTINGS)),
        };
    }
    if arguments.healthcheck {
        return match health_check(settings.chassis()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(service, &error, ExitCode::FAILURE),
        };
    }
    let own = settings.chassis().clone();
    let telemetry = match Telemetry::install(service, &own.log, &own.otlp) {
        Ok(telemetry) => telemetry,
        Err(error) => return refuse(service, &error, ExitCode::from(BAD_SETTINGS)),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(service, &error.into(), ExitCode::FAILURE),
    };
    let result = runtime.block_on(live(service, settings, &own, run));
    runtime.shutdown_timeout(LAST_WORDS);
    if let Err(error) = &result {
        tracing::error!(error = format!("{error:#}"), "service failed");
    }
    telemetry.flush();
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn live<S>(
    service: &'static str,
    settings: S,
    own: &Settings,
    run: impl AsyncFnOnce(S, Chassis) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    tracing::info!(service, version = VERSION, "starting");
    let chassis = Chassis::new(own).await?;
    metrics::gauge!("build_info", "service" => service, "version" => VERSION).set(1.0);
    let limit = Duration::from_secs(own.shutdown.limit_seconds);
    let mut overdue = pin!(overdue(chassis.stop.clone(), limit)?);
    let mut running = pin!(run(settings, chassis.clone()));
    let result = tokio::select! {
        result = &mut running => result,
        () = &mut overdue => {
            tracing::error!(limit_seconds = limit.as_secs(), "drain stopped at its limit");
            Ok(())
        }
    };
    chassis.stop.cancel();
    if result.is_ok() {
        tracing::info!(service, "ended");
    }
    result
}

/// Cancels `stop` on SIGTERM or SIGINT; ready `limit` after the stop, or on a second signal.
fn overdue(
    stop: CancellationToken,
    limit: Duration,
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "draining"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "draining"),
            () = stop.cancelled() => {}
        }
        stop.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(limit) => {}
        }
    })
}

/// Variables that are text; others cannot be settings.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Huge pages make a process hold memory that nobody has written to, as much again as it uses.
fn small_pages() {
    #[cfg(target_os = "linux")]
    // An old kernel may refuse.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

fn refuse(service: &str, error: &anyhow::Error, code: ExitCode) -> ExitCode {
    eprintln!("{service}: {error:#}");
    code
}
