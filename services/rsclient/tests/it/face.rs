//! The REST face of the service under test, and a stand-in for rsadaptor, both on real sockets.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use auth::{AuthSettings, Caller, TrustedKey, Verifier};
use axum::{
    Json, Router,
    extract::{FromRef, Path, State},
    http::StatusCode,
    routing::get,
};
use eventbus::EventBusFactory;
use reqwest::{Client, Method};
use rsclient::{
    app::App,
    infrastructure::{
        rest::{document, router},
        witnesses::Witnesses,
    },
    settings::{DEFAULTS, Settings},
};
use serde_json::{Value, json};
use testkit::{documents::operations, tokens::Issuer};
use tokio::net::TcpListener;

use crate::service::Service;

/// The REST face of a service.
pub(crate) struct Face {
    base: String,
    client: Client,
    issuer: Issuer,
}

/// Plays rsadaptor: says of resources what the test has told it.
#[derive(Clone)]
pub(crate) struct Adaptor {
    pub(crate) url: String,
    verifier: Verifier,
    told: Arc<Mutex<HashMap<String, Value>>>,
}

impl FromRef<Adaptor> for Verifier {
    fn from_ref(adaptor: &Adaptor) -> Self {
        adaptor.verifier.clone()
    }
}

impl Face {
    /// Serves the routes of `service`, which asks the rsadaptors at `urls` and signs with `own`.
    pub(crate) async fn start(service: &Service, urls: &[&str], own: &Issuer) -> Self {
        let issuer = Issuer::new("operators").unwrap();
        let verifier = verifier("rsclient", &issuer, "rs:read rs:write internal");
        let app = App { verifier, ..service.app.clone() };
        let url = serve(router(app, witnesses(&service.kafka, urls, own))).await;
        Self { base: url, client: Client::new(), issuer }
    }

    /// Without any rsadaptor.
    pub(crate) async fn alone(service: &Service) -> Self {
        Self::start(service, &[], &Issuer::new("rsclient").unwrap()).await
    }

    /// A token of an ISP, or of an operator.
    pub(crate) fn token(&self, isp: Option<&str>, scope: &str) -> String {
        match isp {
            Some(isp) => self.issuer.of_isp(isp, "rsclient", scope).unwrap(),
            None => self.issuer.operator("rsclient", scope).unwrap(),
        }
    }

    /// The status and the body.
    pub(crate) async fn call(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
    ) -> (u16, Value) {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let media_type =
            answer.headers().get("content-type").map(|it| it.to_str().unwrap().to_owned());
        let expected = if status == 200 { "application/json" } else { "application/problem+json" };
        assert_eq!(media_type.as_deref(), Some(expected), "{path}");
        let body = answer.json().await.unwrap();
        hold(&method, path, status, media_type.as_deref(), &body);
        (status, body)
    }

    /// What is answered to whoever may read everything.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let token = self.token(None, "rs:read");
        let (status, body) = self.call(Some(&token), Method::GET, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

/// Whom a trace asks: the rsadaptors at `urls`, with tokens of `own`, and the broker.
pub(crate) fn witnesses(kafka: &str, urls: &[&str], own: &Issuer) -> Witnesses {
    let environment = [
        ("RSCLIENT__KAFKA__BOOTSTRAP_SERVERS", kafka.to_owned()),
        ("RSCLIENT__PEERS__RSADAPTOR_URLS", urls.join(", ")),
        ("RSCLIENT__SIGNING__PRIVATE_KEY", own.private_key_pem()),
        ("RSCLIENT__DEAD_LETTERS__LIMIT_MS", "20000".to_owned()),
    ];
    let environment = environment.map(|(name, it)| (name.to_owned(), it));
    let settings: Settings =
        chassis::settings::load("rsclient", DEFAULTS, None, environment).unwrap();
    let factory = EventBusFactory::new("rsclient", settings.kafka.clone());
    Witnesses::new(&settings, &factory).unwrap()
}

/// Holds an answer against the document of the API, where that has the operation.
fn hold(method: &Method, path: &str, status: u16, media_type: Option<&str>, body: &Value) {
    let api: Value = serde_json::from_str(&openapi::text(&document())).unwrap();
    let end = path.split('?').next().unwrap().rsplit('/').next().unwrap();
    let mut all = operations(&api).into_iter();
    let operation = all.find(|it| it.method == method.as_str() && it.path.ends_with(end));
    if let Some(operation) = operation {
        let held = operation.answers(&api, status, media_type, body);
        held.unwrap_or_else(|it| panic!("{method} {path}: {it:#}"));
    }
}

impl Adaptor {
    /// Listens; takes the tokens of `client`.
    pub(crate) async fn start(client: &Issuer) -> Self {
        let verifier = verifier("rsadaptor", client, "internal");
        let mut adaptor = Self { url: String::new(), verifier, told: Arc::default() };
        let routes = Router::new().route("/resources/{resource_id}", get(resource));
        adaptor.url = serve(routes.with_state(adaptor.clone())).await;
        adaptor
    }

    /// From now on this is what it says of a resource, beside what it says of everything.
    pub(crate) fn says(&self, resource: &str, members: Value) {
        let nothing = json!({
            "resource": resource, "applied": null, "waiting": [], "last_rejection": null,
            "circuit": {"state": "closed", "since": null, "reason": null},
        });
        self.told
            .lock()
            .unwrap()
            .insert(resource.to_owned(), crate::service::with(nothing, members));
    }
}

async fn resource(
    State(adaptor): State<Adaptor>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    caller.require("internal").map_err(|_| StatusCode::FORBIDDEN)?;
    let told = adaptor.told.lock().unwrap().get(&id).cloned();
    told.map(Json).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn serve(routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

fn verifier(audience: &str, issuer: &Issuer, scopes: &str) -> Verifier {
    let trusted = TrustedKey {
        issuer: issuer.name().to_owned(),
        public_key: issuer.public_key_pem(),
        scopes: scopes.to_owned(),
        isp_optional: true,
    };
    let keys = BTreeMap::from([(issuer.name().to_owned(), trusted)]);
    Verifier::new(audience, &AuthSettings { keys }).unwrap()
}
