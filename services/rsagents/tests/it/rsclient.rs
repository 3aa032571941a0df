//! Plays rsclient as the one who knows who uses a package, as the package's name says.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::delete,
};
use serde_json::json;
use tokio::net::TcpListener;

/// Who uses a package whose name holds `used`.
pub(crate) const USER: &str = "used by router `r-1`";

/// One stand-in.
#[derive(Clone)]
pub(crate) struct RsClient {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) package: String,
    pub(crate) token: String,
}

impl RsClient {
    /// Serves on the present runtime.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Self { url, asked: Arc::default() };
        let path = "/router_agent_packages/references/{agent_package_id}";
        let router = Router::new().route(path, delete(release)).with_state(client.clone());
        // It outlives the runtime of the test that was first.
        let listener = listener.into_std().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        client
    }

    /// Who asked about a package.
    pub(crate) fn asked(&self, package: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|it| it.package == package).cloned().collect()
    }
}

/// Used; in trouble at the first question; or free.
async fn release(
    State(client): State<RsClient>,
    Path(package): Path<String>,
    headers: HeaderMap,
) -> Response {
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let is_first = client.asked(&package).is_empty();
    let asked = Asked { package: package.clone(), token: token.to_owned() };
    client.asked.lock().unwrap().push(asked);
    if package.contains("used") {
        let problem = json!({"type": "x", "title": "x", "status": 409, "detail": USER});
        return (StatusCode::CONFLICT, Json(problem)).into_response();
    }
    if package.contains("trouble") && is_first {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    StatusCode::NO_CONTENT.into_response()
}
