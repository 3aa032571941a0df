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
use tokio::sync::Notify;

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
    hung: Arc<Notify>,
    calls: Vec<Call>,
    /// How many devices came in each batch.
    batches: Vec<usize>,
    /// What it holds by path.
    held: HashMap<String, Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    pub(crate) retry_after: Option<&'static str>,
    /// Whether it is done all the same.
    pub(crate) effect: bool,
}

/// The status of an answer that never comes.
pub(crate) const NEVER: u16 = 0;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) revision: String,
}

pub(crate) fn status(status: u16) -> Reply {
    Reply { status, error: "", retry_after: None, effect: false }
}

pub(crate) fn error(status: u16, error: &'static str) -> Reply {
    Reply { status, error, retry_after: None, effect: false }
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

    /// Waits until a call is not answered.
    pub(crate) async fn hung(&self) {
        let hung = self.0.lock().unwrap().hung.clone();
        hung.notified().await;
    }

    /// Takes back what was to be answered.
    pub(crate) fn cured(&self) {
        self.0.lock().unwrap().next.clear();
    }

    /// The writes so far, as `METHOD path @revision`, and forgets them.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = std::mem::take(&mut self.0.lock().unwrap().calls);
        calls.iter().map(|it| format!("{} {} @{}", it.method, it.path, it.revision)).collect()
    }

    /// How many devices came in each batch so far, and forgets that.
    pub(crate) fn batches(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().unwrap().batches)
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
    let body: Option<Value> = serde_json::from_slice(&body).ok();
    if method == Method::POST {
        return batch(&mut backend.0.lock().unwrap(), &path, &body.unwrap());
    }
    let (reply, hung) = {
        let mut inner = backend.0.lock().unwrap();
        if method != Method::GET {
            let revision = headers.get("x-revision").map_or("", |it| it.to_str().unwrap());
            let (method, path, revision) = (method.to_string(), path.clone(), revision.to_owned());
            inner.calls.push(Call { method, path, revision });
        }
        let next = inner.next.get_mut(&path).and_then(VecDeque::pop_front);
        let always = || inner.always.get(&path).cloned();
        let reply = inner.everything.clone().or(next).or_else(always);
        if method != Method::GET && reply.as_ref().is_none_or(|it| it.effect) {
            match body {
                Some(body) if method == Method::PUT => inner.held.insert(path, body),
                Some(_) | None => inner.held.remove(&path),
            };
        }
        (reply, inner.hung.clone())
    };
    match reply {
        None if method == Method::GET => {
            axum::Json(json!({"status": "ok", "version": "1"})).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
        Some(Reply { status: NEVER, .. }) => {
            hung.notify_one();
            std::future::pending().await
        }
        Some(reply) => told(&reply),
    }
}

fn told(Reply { status, error, retry_after, .. }: &Reply) -> Response {
    let status = StatusCode::from_u16(*status).unwrap();
    let body = axum::Json(json!({"error": error, "detail": "as told"}));
    let mut response = (status, body).into_response();
    if let Some(retry_after) = retry_after {
        response.headers_mut().insert("retry-after", retry_after.parse().unwrap());
    }
    response
}

/// `POST /devices` with a list: each device is answered as its own path is.
fn batch(inner: &mut Inner, path: &str, body: &Value) -> Response {
    let items = body.as_array().unwrap();
    inner.batches.push(items.len());
    let next = inner.next.get_mut(path).and_then(VecDeque::pop_front);
    if let Some(whole) = inner.everything.clone().or(next).or(inner.always.get(path).cloned()) {
        return told(&whole);
    }
    let mut results = Vec::new();
    for item in items {
        let id = item["configuration"]["device"]["id"].as_str().unwrap();
        let path = format!("/devices/{id}");
        let (method, revision) = ("POST".to_owned(), item["revision"].to_string());
        inner.calls.push(Call { method, path: path.clone(), revision });
        let next = inner.next.get_mut(&path).and_then(VecDeque::pop_front);
        results.push(match next.or(inner.always.get(&path).cloned()) {
            None => {
                inner.held.insert(path, item["configuration"].clone());
                json!({"id": id, "status": 201})
            }
            Some(Reply { status, error, .. }) => {
                json!({"id": id, "status": status, "error": error, "detail": "as told"})
            }
        });
    }
    (StatusCode::MULTI_STATUS, axum::Json(json!({ "results": results }))).into_response()
}
