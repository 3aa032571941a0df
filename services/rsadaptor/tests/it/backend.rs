//! A backend that answers as the test says.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// What is done while a call waits for its answer.
type Meanwhile = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Default)]
pub(crate) struct FakeBackend(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// The next answers by path; behind them, `always`, else 204.
    next: HashMap<String, VecDeque<Reply>>,
    always: HashMap<String, Reply>,
    /// What every path answers, if set.
    everything: Option<Reply>,
    meanwhile: HashMap<String, Meanwhile>,
    calls: Vec<Call>,
    /// What it holds by path.
    held: HashMap<String, Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    pub(crate) retry_after: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) revision: String,
    pub(crate) body: Option<Value>,
}

pub(crate) fn status(status: u16) -> Reply {
    Reply { status, error: "", retry_after: None }
}

pub(crate) fn error(status: u16, error: &'static str) -> Reply {
    Reply { status, error, retry_after: None }
}

impl FakeBackend {
    /// Serves on a free port until the end of the process.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    pub(crate) fn next(&self, path: &str, reply: Reply) {
        self.0.lock().unwrap().next.entry(path.to_owned()).or_default().push_back(reply);
    }

    pub(crate) fn always(&self, path: &str, reply: Reply) {
        self.0.lock().unwrap().always.insert(path.to_owned(), reply);
    }

    pub(crate) fn everything(&self, reply: Option<Reply>) {
        self.0.lock().unwrap().everything = reply;
    }

    pub(crate) fn meanwhile(&self, path: &str, what: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().meanwhile.insert(path.to_owned(), Box::pin(what));
    }

    /// The writes so far, as `METHOD path @revision`, and forgets them.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = std::mem::take(&mut self.0.lock().unwrap().calls);
        calls.iter().map(|it| format!("{} {} @{}", it.method, it.path, it.revision)).collect()
    }

    pub(crate) fn held(&self, path: &str) -> Option<Value> {
        self.0.lock().unwrap().held.get(path).cloned()
    }
}

async fn answer(
    State(backend): State<FakeBackend>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let meanwhile = backend.0.lock().unwrap().meanwhile.remove(&path);
    if let Some(meanwhile) = meanwhile {
        meanwhile.await;
    }
    let mut inner = backend.0.lock().unwrap();
    let body = serde_json::from_slice(&body).ok();
    if method != Method::GET {
        let revision = headers.get("x-revision").map_or("", |it| it.to_str().unwrap()).to_owned();
        let (method, path, body) = (method.to_string(), path.clone(), body.clone());
        inner.calls.push(Call { method, path, revision, body });
    }
    let next = inner.next.get_mut(&path).and_then(VecDeque::pop_front);
    let always = || inner.always.get(&path).cloned();
    let reply = inner.everything.clone().or(next).or_else(always);
    let Some(Reply { status, error, retry_after }) = reply else {
        if method == Method::GET {
            return axum::Json(json!({"status": "ok", "version": "1"})).into_response();
        }
        match body {
            Some(body) if method == Method::PUT => inner.held.insert(path, body),
            Some(_) | None => inner.held.remove(&path),
        };
        return StatusCode::NO_CONTENT.into_response();
    };
    let status = StatusCode::from_u16(status).unwrap();
    let mut response =
        (status, axum::Json(json!({"error": error, "detail": "as told"}))).into_response();
    if let Some(retry_after) = retry_after {
        response.headers_mut().insert("retry-after", retry_after.parse().unwrap());
    }
    response
}
