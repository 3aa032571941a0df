//! What rssync refuses, and what is wrong with it, is said in one sentence and told by the exit code.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    response::{IntoResponse as _, Response},
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::rssync::{Rssync, Told, answer, folder, job, of_type, problem, run};

const COMMANDS: [&[&str]; 9] = [
    &["start"],
    &["list"],
    &["show", "j-1"],
    &["watch", "j-1"],
    &["cancel", "j-1"],
    &["pause", "j-1"],
    &["resume", "j-1"],
    &["redrive", "j-1"],
    &["failures", "j-1"],
];

/// One sentence, and nothing on standard output.
fn refused(told: &Told, code: i32, sentence: &str) {
    assert_eq!(told.code, code, "{told:?}");
    assert_eq!((told.out.as_str(), told.err.lines().count()), ("", 1), "{told:?}");
    assert!(told.err.starts_with(&format!("error: {sentence}")), "{told:?}");
}

#[tokio::test]
async fn each_command_tells_a_refusal_by_sentence_and_code() {
    type Make = fn() -> Response;
    let cases: [(Make, i32, &str); 9] = [
        (|| problem(401, "too old"), 1, "rssync does not accept the credentials: too old\n"),
        (|| problem(403, "no"), 1, "rssync does not allow this with these credentials: no\n"),
        (|| problem(404, "no job j-1"), 6, "not found: no job j-1\n"),
        (|| problem(409, "j-2 is in the way"), 7, "not possible now: j-2 is in the way\n"),
        (|| problem(422, "bad scope"), 1, "rssync calls the request wrong: bad scope\n"),
        (|| problem(503, ""), 1, "rssync is in trouble (503): A title\n"),
        (|| of_type(404, "text/html", "<p>"), 1, "rssync does not know the path"),
        (|| of_type(200, "text/html", "<p>"), 1, "rssync's answer is no "),
        (|| (axum::http::StatusCode::FOUND, "").into_response(), 1, "rssync answers 302"),
    ];
    for (make, code, sentence) in cases {
        let rssync = Rssync::playing(move |_| make()).await;
        for command in COMMANDS {
            let told = rssync.sync(command).await;
            // What has been accepted needs no words.
            let is_action = ["cancel", "pause", "resume", "redrive"].contains(&command[0]);
            if is_action && sentence.starts_with("rssync's answer") {
                assert_eq!(told.code, 0, "{told:?}");
                continue;
            }
            refused(&told, code, sentence);
            let told = rssync.sync(&[command, &["--json"]].concat()).await;
            refused(&told, code, sentence);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_job_is_told_of() {
    for body in [json!({}), json!([]), json!({"job_id": "j-1", "state": "gone"})] {
        let told = body.clone();
        let rssync = Rssync::playing(move |_| answer(200, &told)).await;
        for command in [&["show", "j-1"][..], &["start"], &["watch", "j-1", "--json"]] {
            refused(&rssync.sync(command).await, 1, "rssync's answer is no job: ");
        }
        for command in ["list", "failures"] {
            let arguments: &[&str] = if command == "list" { &[command] } else { &[command, "j-1"] };
            refused(&rssync.sync(arguments).await, 1, "rssync's answer is no list of ");
        }
    }
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_refused_and_nothing_of_it_is_shown() {
    let rssync = Rssync::playing(|_| answer(200, &job("running", 0))).await;
    let stranger = Rssync::playing(|_| answer(200, &job("running", 0))).await;
    let mut command = rssync.command(&["show", "j-1"]);
    command.env("RSCTL_KEY", stranger.key.path());
    let told = run(command).await;
    refused(&told, 1, "rssync does not accept the credentials: ");
    assert!(!told.err.contains("eyJ") && !told.err.contains("PRIVATE"), "{told:?}");
    let told = rssync.sync(&["show", "j-1", "--issuer", "somebody"]).await;
    refused(&told, 1, "rssync does not accept the credentials: ");
    assert_eq!(rssync.asked().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_of_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let rssync = Rssync::playing(|_| answer(200, &job("running", 0))).await;
    for command in COMMANDS {
        let told = rssync.sync(&[command, &["--url", &url]].concat()).await;
        refused(&told, 1, &format!("rssync at {url}/ cannot be reached: Connection refused"));
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    // Accepted by the operating system, and never answered.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let rssync = Rssync::playing(|_| answer(200, &job("running", 0))).await;
    for command in [&["show", "j-1"][..], &["start"], &["watch", "j-1"]] {
        let began = Instant::now();
        let told = rssync.sync(&[command, &["--url", &url, "--timeout", "1"]].concat()).await;
        refused(&told, 1, &format!("rssync at {url}/ did not answer within 1 s\n"));
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_body_that_does_not_end_is_given_up_in_time() {
    let rssync = Rssync::playing(|_| {
        let body = axum::body::Body::from_stream(futures_util::stream::pending::<
            Result<&str, std::io::Error>,
        >());
        of_type(200, "application/json", body)
    })
    .await;
    let told = rssync.sync(&["show", "j-1", "--timeout", "1"]).await;
    refused(&told, 1, &format!("rssync at {}/ did not answer within 1 s\n", rssync.url));
}

#[tokio::test]
async fn a_wrong_sync_command_line_ends_with_2_before_anybody_is_asked() {
    let rssync = Rssync::playing(|_| answer(200, &job("running", 0))).await;
    let folder = folder();
    let no_key = folder.path().join("no_key.pem");
    std::fs::write(&no_key, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
        .unwrap();
    let no_key = no_key.to_str().unwrap();
    let cases: [(&[&str], &str); 14] = [
        (&["show"], "JOB"),
        (&["show", "j/1"], "job_id must be"),
        (&["show", ".."], "job_id must be"),
        (&["start", "--isp", ""], "isp_id must be"),
        (&["start", "--window", "0"], "--window"),
        (&["start", "--rate", "-1"], "-1"),
        (&["start", "--mode", "all"], "force, delta"),
        (&["start", "--on-running", "wait"], "return, reject, replace"),
        (&["list", "--limit", "0"], "--limit"),
        (&["list", "--url", "rssync:80"], "http:// or https://"),
        (&["list", "--url", "http://mia:secret@rssync"], "no user and no password"),
        (&["list", "--key", "/no/such/file"], "/no/such/file: No such file"),
        (&["list", "--key", no_key], "no Ed25519 private key"),
        (&["list", "--ca", no_key], "no certificate"),
    ];
    for (arguments, wanted) in cases {
        let told = rssync.sync(arguments).await;
        assert_eq!((told.code, told.out.as_str()), (2, ""), "{arguments:?}: {told:?}");
        assert!(told.err.contains(wanted), "{arguments:?}: {told:?}");
        assert!(!told.err.contains("c2VjcmV0"), "{told:?}");
    }
    let mut command = rssync.command(&["list"]);
    command.env_remove("RSCTL_KEY");
    let told = run(command).await;
    assert_eq!(told.code, 2, "{told:?}");
    assert_eq!(rssync.asked().len(), 0);
    for help in [&["--help"][..], &["watch", "--help"]] {
        let told = rssync.sync(help).await;
        assert_eq!(told.code, 0);
        assert!(told.out.contains("  7    not possible now"), "{told:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_a_named_authority_is_trusted_and_no_other() {
    let folder = folder();
    let files = testkit::certificates::issue(folder.path()).unwrap();
    let tls = chassis::tls::TlsSettings {
        cert_file: files.server_cert,
        key_file: files.server_key,
        client_ca_file: None,
    };
    let tls: Arc<_> = chassis::tls::server_config(&tls).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let router = Router::new().fallback(async || answer(200, &job("running", 0)));
    let stop = tokio_util::sync::CancellationToken::new();
    tokio::spawn(chassis::http::serve(listener, router, Some(tls), stop));
    let rssync = Rssync::playing(|_| answer(200, &job("running", 0))).await;
    let ca = files.ca.to_str().unwrap();
    let told = rssync.sync(&["show", "j-1", "--json", "--url", &url, "--ca", ca]).await;
    assert_eq!((told.code, told.json()), (0, vec![job("running", 0)]), "{told:?}");
    let told = rssync.sync(&["show", "j-1", "--url", &url]).await;
    refused(&told, 1, &format!("rssync at {url}/ cannot be reached: "));
    assert!(told.err.contains("certificate"), "{told:?}");
}
