//! A server that plays rssync: it verifies who asks, keeps what was asked, and answers as the test says.

use std::{
    collections::BTreeMap,
    process::{Output, Stdio},
    sync::{Arc, Mutex},
};

use auth::{AuthSettings, Caller, TrustedKey, Verifier};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use testkit::tokens::Issuer;
use tokio::{net::TcpListener, process::Command};

use crate::mailbox::LIMIT;

/// One request, as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) what: String,
    pub(crate) body: Value,
    pub(crate) prefer: String,
    pub(crate) caller: Caller,
}

type Answer = dyn Fn(&Asked) -> Response + Send + Sync;

#[derive(Clone)]
struct Playing {
    verifier: Verifier,
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Answer>,
}

impl axum::extract::FromRef<Playing> for Verifier {
    fn from_ref(playing: &Playing) -> Self {
        playing.verifier.clone()
    }
}

/// A server that plays rssync, and a key that it trusts.
pub(crate) struct Rssync {
    pub(crate) url: String,
    pub(crate) key: NamedTempFile,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Rssync {
    /// Listens and answers every request whose token holds as `answer` does.
    pub(crate) async fn playing(
        answer: impl Fn(&Asked) -> Response + Send + Sync + 'static,
    ) -> Self {
        Self::playing_as("rssync", "sync:read sync:write", answer).await
    }

    /// The same in the part of another service, whose tokens may grant these scopes.
    pub(crate) async fn playing_as(
        service: &str,
        scopes: &str,
        answer: impl Fn(&Asked) -> Response + Send + Sync + 'static,
    ) -> Self {
        let issuer = Issuer::new("rsctl").unwrap();
        let key = NamedTempFile::new().unwrap();
        std::fs::write(key.path(), issuer.private_key_pem()).unwrap();
        let trusted = TrustedKey {
            issuer: "rsctl".to_owned(),
            public_key: issuer.public_key_pem(),
            scopes: scopes.to_owned(),
            isp_optional: true,
        };
        let settings = AuthSettings { keys: BTreeMap::from([("rsctl".to_owned(), trusted)]) };
        let verifier = Verifier::new(service, &settings).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let playing = Playing { verifier, asked: Arc::clone(&asked), answer: Arc::new(answer) };
        let router = Router::new().fallback(play).with_state(playing);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, key, asked }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// What was asked, without who and how.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        self.asked().into_iter().map(|it| it.what).collect()
    }

    /// `rsctl sync` with what it must know.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsctl"));
        command.arg("sync").args(arguments).kill_on_drop(true).stdin(Stdio::null());
        command.env("RSCTL_SYNC_URL", &self.url).env("RSCTL_KEY", self.key.path());
        command
    }

    /// Runs `rsctl why`.
    pub(crate) async fn why(&self, arguments: &[&str]) -> Told {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsctl"));
        command.arg("why").args(arguments).kill_on_drop(true).stdin(Stdio::null());
        command.env("RSCTL_CLIENT_URL", &self.url).env("RSCTL_KEY", self.key.path());
        run(command).await
    }

    /// Runs `rsctl rollout`.
    pub(crate) async fn rollout(&self, arguments: &[&str]) -> Told {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsctl"));
        command.arg("rollout").args(arguments).kill_on_drop(true).stdin(Stdio::null());
        command.env("RSCTL_CLIENT_URL", &self.url).env("RSCTL_KEY", self.key.path());
        run(command).await
    }

    /// Runs `rsctl sync`.
    pub(crate) async fn sync(&self, arguments: &[&str]) -> Told {
        run(self.command(arguments)).await
    }
}

/// Runs a command to its end.
pub(crate) async fn run(mut command: Command) -> Told {
    tokio::time::timeout(LIMIT, command.output()).await.expect("rsctl ends").unwrap().into()
}

/// What a command told, and how it ended.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |it: Vec<u8>| String::from_utf8(it).unwrap();
        Self {
            code: output.status.code().expect("no signal ended it"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Told {
    /// Standard output as JSON, one value a line.
    pub(crate) fn json(&self) -> Vec<Value> {
        let value = |it| serde_json::from_str(it).unwrap_or_else(|_| panic!("{self:?}"));
        self.out.lines().map(value).collect()
    }
}

async fn play(
    State(playing): State<Playing>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let prefer = headers.get("prefer").map(|it| it.to_str().unwrap().to_owned());
    let asked = Asked {
        what: format!("{method} {uri}"),
        body: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() },
        prefer: prefer.unwrap_or_default(),
        caller,
    };
    playing.asked.lock().unwrap().push(asked.clone());
    (playing.answer)(&asked)
}

/// A job of rssync.
pub(crate) fn job(state: &str, applied: u64) -> Value {
    json!({"job_id": "j-1", "state": state, "reason": null, "scope": {"isp_id": "isp-1"},
        "mode": "force", "window": 2000, "rate_per_s": null, "step": "accounts",
        "counts": {"total": 100, "applied": applied, "unchanged": 1, "superseded": 0, "gone": 0,
            "rejected": 2, "not_sent": 0, "unknown": 0},
        "requested_by": "operator", "started_at": "2026-11-21T10:00:00.5Z",
        "updated_at": "2026-11-21T10:00:07Z", "ended_at": null, "later": {"than": "this program"}})
}

/// A job with a member of another value.
pub(crate) fn with(mut job: Value, name: &str, value: impl Into<Value>) -> Value {
    job[name] = value.into();
    job
}

/// An answer of JSON.
pub(crate) fn answer(status: u16, body: &Value) -> Response {
    of_type(status, "application/json", body.to_string())
}

/// An answer of a problem.
pub(crate) fn problem(status: u16, detail: &str) -> Response {
    let body = json!({"type": "urn:x", "title": "A title", "status": status, "detail": detail});
    of_type(status, "application/problem+json", body.to_string())
}

pub(crate) fn of_type(status: u16, media_type: &'static str, body: impl Into<Body>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, media_type)], body.into()).into_response()
}

/// A stream of server-sent events that begins like this and then ends, or never does.
pub(crate) fn events(text: String, ends: bool) -> Response {
    use futures_util::StreamExt as _;
    let begin = futures_util::stream::once(async { Ok::<_, std::io::Error>(Bytes::from(text)) });
    let body = match ends {
        true => Body::from_stream(begin),
        false => Body::from_stream(begin.chain(futures_util::stream::pending())),
    };
    of_type(200, "text/event-stream", body)
}

/// A job as an event of the stream.
pub(crate) fn event(job: &Value) -> String {
    format!("event: job\ndata: {job}\n\n")
}

/// A folder for files of a test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}
