//! Logs, spans and metrics of a process.
//!
//! Spans exist and carry W3C trace ids whether or not they are exported: trace contexts travel
//! through every service. The log filter narrows what is logged, never what is traced.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::{TraceContextExt as _, TraceId, TracerProvider as _};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::settings::{LogFormat, LogSettings, OtlpSettings};
use crate::tls;

/// Bounds of every histogram whose name ends in `_seconds`: from a store's write to a backend's
/// time-out.
const SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Ends the export of spans when it is told to.
#[derive(Debug)]
pub struct Telemetry {
    tracers: SdkTracerProvider,
}

impl Telemetry {
    /// Installs logs and spans for the whole process.
    ///
    /// # Errors
    /// A log filter that is none, or a second call.
    pub fn install(
        service: &'static str,
        log: &LogSettings,
        otlp: &OtlpSettings,
    ) -> anyhow::Result<Self> {
        tls::install_provider();
        install_propagators();
        let filter = EnvFilter::builder().parse(&log.filter).context("log.filter is no filter")?;
        let tracers = tracer_provider(service, otlp)?;
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracers.tracer(service))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(LevelFilter::INFO);
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match log.format {
            LogFormat::Human => lines.with_ansi(false).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        };
        tracing_subscriber::registry()
            .with(spans)
            .with(lines.with_filter(filter))
            .try_init()
            .context("telemetry is installed already")?;
        Ok(Self { tracers })
    }

    /// Hands over the spans that are waiting, within a limit. It blocks the thread.
    pub fn flush(self) {
        if let Err(error) = self.tracers.shutdown_with_timeout(EXPORT_LIMIT) {
            tracing::warn!(%error, "some spans were not exported");
        }
    }
}

/// Makes W3C trace context and baggage the way that contexts travel.
pub fn install_propagators() {
    opentelemetry::global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]));
}

/// Shows the trace of `span`, whose parent is known, in the log lines within it: in its field `trace_id`.
pub(crate) fn show_trace_id(span: &Span) {
    let context = span.context();
    let trace_id = context.span().span_context().trace_id();
    if trace_id != TraceId::INVALID {
        span.record("trace_id", tracing::field::display(trace_id));
    }
}

fn tracer_provider(
    service: &'static str,
    otlp: &OtlpSettings,
) -> anyhow::Result<SdkTracerProvider> {
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(otlp.sample_ratio)));
    let builder = SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_resource(Resource::builder().with_service_name(service).build());
    if otlp.endpoint.is_empty() {
        return Ok(builder.build());
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(export_client()?)
        .with_endpoint(format!("{}/v1/traces", otlp.endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT_LIMIT)
        .build()
        .context("otlp.endpoint cannot be used")?;
    Ok(builder.with_batch_exporter(exporter).build())
}

/// The exporter works on a thread of its own, outside the async runtime, so that it can still
/// hand over spans when the runtime ends.
fn export_client() -> anyhow::Result<reqwest::blocking::Client> {
    let build = || reqwest::blocking::Client::builder().timeout(EXPORT_LIMIT).build();
    // A blocking client must not be made inside a runtime.
    let client = std::thread::spawn(build).join().expect("building a client does not panic");
    client.context("no HTTP client for otlp.endpoint")
}

/// The recorder of the process; installed by the first call.
pub fn metrics() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .expect("there are buckets")
                .build_recorder();
            let handle = recorder.handle();
            // Another recorder means that a test brought its own: then ours stays empty.
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("metrics go to another recorder");
            }
            handle
        })
        .clone()
}

/// Keeps the recorder small, for ever.
pub(crate) async fn keep_up(metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}
