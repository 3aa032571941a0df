use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use axum::Router;
use axum::routing::get;
use chassis::CancellationToken;
use chassis::settings::OtlpSettings;
use chassis::telemetry::Telemetry;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Reads one HTTP request, answers 200, and gives back what was read.
fn collector() -> (String, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = stream.read(&mut chunk).unwrap();
            read.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&read).to_lowercase();
            let Some(head) = text.find("\r\n\r\n") else { continue };
            let length = text.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            if read.len() >= length.trim().parse::<usize>().unwrap() + head {
                break;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        read
    });
    (endpoint, thread)
}

// One test, since telemetry is installed once in a process.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_continues_its_caller_s_trace_which_is_exported() {
    let (endpoint, collector) = collector();
    // The log filter must not switch the tracing off.
    let log = chassis::settings::LogSettings {
        filter: "off".to_owned(),
        ..chassis::Settings::default().log
    };
    let telemetry =
        Telemetry::install("tests", &log, &OtlpSettings { endpoint, sample_ratio: 1.0 }).unwrap();
    let handler = async || {
        let context = tracing::Span::current().context();
        let trace_id = context.span().span_context().trace_id().to_string();
        let tenant = context.baggage().get("tenant").map(ToString::to_string);
        format!("{trace_id} {}", tenant.unwrap_or_default())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", get(handler));
    tokio::spawn(chassis::http::serve(listener, router, None, CancellationToken::new()));
    let answer = reqwest::Client::new()
        .get(&url)
        .header("traceparent", format!("00-{TRACE_ID}-00f067aa0ba902b7-01"))
        .header("baggage", "tenant=isp-1")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.text().await.unwrap(), format!("{TRACE_ID} isp-1"));
    tokio::task::block_in_place(|| telemetry.flush());
    let exported = collector.join().unwrap();
    assert!(exported.starts_with(b"POST /v1/traces HTTP/1.1"), "{exported:?}");
    let id: Vec<u8> =
        (0..16).map(|i| u8::from_str_radix(&TRACE_ID[2 * i..2 * i + 2], 16).unwrap()).collect();
    assert!(exported.windows(16).any(|window| window == id), "the span was not exported");
}
