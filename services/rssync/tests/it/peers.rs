//! Stand-ins for rsclient and rsagents as those who keep failures.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Mutex};

/// One stand-in.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Inner>);

struct Inner {
    /// Keys of what failed; every second one with class `422`, the others with `rejected`.
    keys: Vec<String>,
    asked: Mutex<Vec<Asked>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) job_id: String,
    pub(crate) token: String,
}

impl Peer {
    /// Serves so many failures; answers where.
    pub(crate) async fn start(prefix: &str, count: usize) -> (Self, String) {
        let keys = (0..count).map(|it| format!("{prefix}-{it}")).collect();
        let peer = Self(Arc::new(Inner { keys, asked: Mutex::default() }));
        let router = Router::new().route("/tasks/{job_id}/failures", get(failures));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = router.with_state(peer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (peer, url)
    }

    pub(crate) async fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().await.clone()
    }
}

async fn failures(
    State(peer): State<Peer>,
    Path(job_id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    peer.0.asked.lock().await.push(Asked { job_id, token: token.to_owned() });
    if peer.0.keys.is_empty() {
        return Err(StatusCode::NOT_FOUND);
    }
    let class_of = |at: usize| if at.is_multiple_of(2) { "422" } else { "rejected" };
    let class = query.get("class");
    let all: Vec<(usize, &String)> = peer
        .0
        .keys
        .iter()
        .enumerate()
        .filter(|(at, _)| class.is_none_or(|it| it == class_of(*at)))
        .collect();
    let from: usize = query.get("cursor").map_or(0, |it| it.parse().unwrap());
    let limit: usize = query["limit"].parse().unwrap();
    let item = |(at, key): &(usize, &String)| {
        json!({
            "task": "j-1/accounts/000001", "key": key, "class": class_of(*at), "reason": "malformed",
            "attempts": 1, "at": "2026-01-02T03:04:05Z",
        })
    };
    let items: Vec<Value> = all.iter().skip(from).take(limit).map(item).collect();
    let next = (from + limit < all.len()).then(|| (from + limit).to_string());
    let half = peer.0.keys.len() / 2;
    Ok(Json(json!({
        "classes": [
            {"class": "422", "count": peer.0.keys.len() - half}, {"class": "rejected", "count": half},
        ],
        "items": items, "next": next,
    })))
}
