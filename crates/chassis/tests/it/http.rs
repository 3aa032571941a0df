use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use chassis::CancellationToken;
use chassis::http::{Limits, serve_with};
use chassis::tls::{TlsSettings, server_config};
use tokio::task::JoinHandle;

fn limits() -> Limits {
    Limits { header_seconds: 1, request_seconds: 1, body_bytes: 1024, drain_seconds: 2 }
}

async fn start(
    router: Router,
    tls: Option<TlsSettings>,
    limits: Limits,
) -> (SocketAddr, CancellationToken, JoinHandle<anyhow::Result<()>>) {
    chassis::tls::install_provider();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let token = stop.clone();
    let tls = tls.map(|settings| server_config(&settings).unwrap());
    let server =
        tokio::spawn(async move { serve_with(listener, router, tls, &limits, token).await });
    (address, stop, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_header_is_cut_off_and_does_not_hold_the_shutdown() {
    let slow = Limits { header_seconds: 600, ..limits() };
    for limits in [limits(), slow] {
        let (address, stop, server) = start(Router::new(), None, limits.clone()).await;
        let mut half = TcpStream::connect(address).unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap();
        if limits.header_seconds == 1 {
            half.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut answer = Vec::new();
            tokio::task::block_in_place(|| half.read_to_end(&mut answer)).unwrap();
        }
        let begun = Instant::now();
        stop.cancel();
        server.await.unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_hand_is_answered_after_the_stop() {
    let (begun, mut arrived) = tokio::sync::mpsc::channel::<()>(1);
    let (go, gate) = tokio::sync::watch::channel(false);
    let handler = move || {
        let (begun, mut gate) = (begun.clone(), gate.clone());
        async move {
            begun.send(()).await.unwrap();
            gate.wait_for(|open| *open).await.unwrap();
            "done"
        }
    };
    let (address, stop, server) =
        start(Router::new().route("/", get(handler)), None, limits()).await;
    let request = tokio::spawn(reqwest::get(format!("http://{address}/")));
    tokio::time::timeout(Duration::from_secs(10), arrived.recv()).await.unwrap().unwrap();
    stop.cancel();
    go.send(true).unwrap();
    assert_eq!(request.await.unwrap().unwrap().text().await.unwrap(), "done");
    server.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_a_time_limit_and_a_greatest_body() {
    let router = Router::new()
        .route("/never", get(std::future::pending::<()>))
        .route("/body", post(async |_: axum::body::Bytes| "read"));
    let (address, ..) = start(router, None, limits()).await;
    let never = reqwest::get(format!("http://{address}/never")).await.unwrap();
    assert_eq!(never.status(), 408);
    let post = async |bytes: usize| {
        let request = reqwest::Client::new().post(format!("http://{address}/body"));
        request.body(vec![b'x'; bytes]).send().await.unwrap().status()
    };
    assert_eq!(post(1024).await, 200);
    assert_eq!(post(1025).await, 413);
}

struct Authority {
    files: tempfile::TempDir,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), &pem).unwrap();
        Self { files, issuer: rcgen::Issuer::new(params, key), pem }
    }

    /// A certificate and its key as PEM, also written to `NAME.pem` and `NAME.key`.
    fn issue(&self, name: &str) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        std::fs::write(self.files.path().join(format!("{name}.pem")), &certificate).unwrap();
        std::fs::write(self.files.path().join(format!("{name}.key")), &key).unwrap();
        certificate + &key
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_tls_answers_only_who_shows_a_certificate_of_the_authority() {
    let authority = Authority::new();
    authority.issue("server");
    let file = |name: &str| authority.files.path().join(name);
    let tls = TlsSettings {
        cert_file: file("server.pem"),
        key_file: file("server.key"),
        client_ca_file: Some(file("ca.pem")),
    };
    let router = Router::new().route("/", get(async || "hello"));
    let (address, ..) = start(router, Some(tls), limits()).await;
    let url = format!("https://localhost:{}/", address.port());
    let client = |identity: Option<String>| {
        let root = reqwest::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
        let builder = reqwest::Client::builder().tls_certs_only([root]);
        let builder = match identity {
            None => builder,
            Some(pem) => builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap()),
        };
        builder.resolve("localhost", address).build().unwrap()
    };
    let known = client(Some(authority.issue("client")));
    assert_eq!(known.get(&url).send().await.unwrap().text().await.unwrap(), "hello");
    client(None).get(&url).send().await.unwrap_err();
    let stranger = client(Some(Authority::new().issue("stranger")));
    stranger.get(&url).send().await.unwrap_err();
}
