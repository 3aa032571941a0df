//! The client against a server that answers whatever it is told to.

use events::{DeviceId, Revision};
use hs_admin::{Answer, FeatureFlags, HsAdmin, Mode, Resource, Settings};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tracing::Instrument as _;
use tracing_subscriber::layer::SubscriberExt as _;

/// Answers one request with `answer` and tells what the request was.
async fn server(answer: &'static str) -> (HsAdmin, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        // Bodies of these tests end with a brace; a delete ends with its head.
        while !request.ends_with(b"}}") && !request.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut request).await.expect("a request") > 0, "half a request");
        }
        stream.write_all(answer.as_bytes()).await.expect("an answer");
        String::from_utf8(request).expect("a text")
    });
    let settings = Settings {
        mode: Mode::Rest,
        base_url: format!("http://{address}/hs/").try_into().expect("a URL"),
        tls: None,
        timeout_seconds: 5,
        connect_timeout_seconds: 5,
        connections: 1,
    };
    (HsAdmin::connect(&settings).expect("a client"), served)
}

fn router() -> DeviceId {
    "r-1".parse().expect("an id")
}

fn revision() -> Revision {
    7.try_into().expect("a revision")
}

#[tokio::test]
async fn a_write_carries_its_revision_and_the_trace_of_its_cause() {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let tracer = SdkTracerProvider::default().tracer("test");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

    let (client, served) = server("HTTP/1.1 204 No Content\r\n\r\n").await;
    let body: FeatureFlags =
        serde_json::from_str(r#"{"flags":{},"upload_intervals":{}}"#).expect("flags");
    let resource = Resource::FeatureFlags(router());
    let span = tracing::info_span!("cause");
    let answer = client.put(&resource, &body, revision()).instrument(span).await;
    assert_eq!(answer, Answer::Done { http_status: 204 });

    let request = served.await.expect("a request");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("PUT /hs/routers/r-1/feature-flags HTTP/1.1"));
    let header = |name: &str| {
        let mut found = head.lines().filter_map(|it| it.split_once(": "));
        found.find(|it| it.0 == name).map(|it| it.1)
    };
    assert_eq!(header("x-revision"), Some("7"));
    assert_eq!(header("content-type"), Some("application/json"));
    let trace = header("traceparent").expect("a trace");
    assert!(trace.starts_with("00-") && trace.len() == 55, "{trace}");
    assert_eq!(body, r#"{"flags":{},"upload_intervals":{}}"#);
}

#[tokio::test]
async fn an_error_that_is_no_json_or_breaks_off_keeps_its_meaning() {
    for (answer, expected) in [
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", "Trouble"),
        ("HTTP/1.1 422 Unprocessable\r\nContent-Length: 99\r\n\r\n{\"err", "Wrong"),
        ("HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "Misconfigured"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "Done"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "Trouble"),
        ("", "Trouble"),
    ] {
        let (client, served) = server(answer).await;
        let got = client.delete(&Resource::Router(router()), revision()).await;
        assert!(format!("{got:?}").starts_with(expected), "{answer:?}: {got:?}");
        served.await.expect("a request");
    }
}

#[tokio::test]
async fn a_backend_that_is_not_well_is_in_trouble_and_one_that_says_nothing_of_it_is_another() {
    for (answer, expected) in [
        (r#"{"status":"ok","version":"1"}"#, r#"Ok(Status { status: "ok", version: "1" })"#),
        (r#"{"status":"down","version":"1"}"#, "Err(Trouble"),
        ("<html>welcome</html>", "Err(Misconfigured"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
        let (client, served) = server(format!("{head}{answer}").leak()).await;
        let got = client.status().await;
        assert!(format!("{got:?}").starts_with(expected), "{answer:?}: {got:?}");
        assert!(served.await.expect("a request").starts_with("GET /hs/status HTTP/1.1"));
    }
}
