//! A HomeSecure backend to run against: it serves the HS Admin API strictly, and misbehaves when told to.
//!
//! - `domain`: what the backend holds, which requests are well formed, what can go wrong on purpose
//! - `infrastructure/rest`: the HS Admin API, and `/sim` for whoever runs it
//! - `infrastructure/kafka`: the Kafka admin interface
//! - `infrastructure/town`: a town whose homes send events
//!
//! Everything is in memory. The same routes are served without TLS and, if set, with mutual TLS.

mod app;
pub mod domain;
mod infrastructure;
mod settings;

use std::net::SocketAddr;

use anyhow::Context as _;
use chassis::{
    Chassis,
    http::Limits,
    tls::{TlsSettings as TlsFiles, server_config},
};
use tokio::net::TcpListener;

pub use app::App;
pub use infrastructure::rest::router;
use infrastructure::{kafka::consume, town};
pub use settings::{DEFAULTS, HttpSettings, KafkaSettings, Settings, TlsSettings};

/// Longest that a request may take: a fault may hold it back for as long as its client waits.
const REQUEST_SECONDS: u64 = 3_600;

/// Serves until the stop.
///
/// # Errors
/// A setting that cannot be, a port that is taken, an unusable certificate.
pub async fn run(settings: Settings, chassis: Chassis) -> anyhow::Result<()> {
    let serving = chassis.health.readiness("http");
    let app = App::new(&settings, chassis.stop.clone())?;
    let limits = Limits {
        request_seconds: REQUEST_SECONDS,
        body_bytes: settings.body_bytes_max,
        ..Limits::default()
    };
    let plain = bind(settings.http.listen).await.context("http.listen")?;
    let secure = match &settings.tls {
        None => None,
        Some(tls) => {
            let files = TlsFiles {
                cert_file: tls.cert_file.clone(),
                key_file: tls.key_file.clone(),
                client_ca_file: Some(tls.client_ca_file.clone()),
            };
            let config = server_config(&files).context("tls")?;
            Some((bind(tls.listen).await.context("tls.listen")?, config))
        }
    };

    chassis.listening("http", plain.local_addr()?)?;
    if let Some((listener, _)) = &secure {
        chassis.listening("tls", listener.local_addr()?)?;
    }
    serving.ok();
    let serve = |listener, config| {
        let (router, stop) = (router(app.clone()), chassis.stop.clone());
        chassis::http::serve_with(listener, router, config, &limits, stop)
    };
    let consumed = async {
        match &settings.kafka {
            None => Ok(()),
            Some(kafka) => consume(&app, kafka, &chassis.stop).await.context("kafka"),
        }
    };
    match secure {
        None => tokio::try_join!(serve(plain, None), consumed).map(drop),
        Some((listener, config)) => {
            let secure = serve(listener, Some(config));
            tokio::try_join!(serve(plain, None), secure, consumed).map(drop)
        }
    }?;
    // No request can begin another one.
    town::end(&app).await;
    Ok(())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}
