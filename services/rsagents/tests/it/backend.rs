//! The backend asks for packages over mutual TLS.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use testkit::certificates::{Certificates, issue};

use crate::service::{LIMIT, Service};

/// A client that shows a certificate of one authority and trusts another.
fn client(shows: Option<&Certificates>, trusts: &Certificates) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(&fs::read(&trusts.ca).unwrap()).unwrap();
    let builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]).timeout(LIMIT);
    let builder = match shows {
        None => builder,
        Some(it) => {
            let mut pem = fs::read(&it.client_cert).unwrap();
            pem.extend(fs::read(&it.client_key).unwrap());
            builder.identity(reqwest::Identity::from_pem(&pem).unwrap())
        }
    };
    builder.build().unwrap()
}

#[tokio::test]
async fn the_backend_reads_packages_of_every_isp_and_who_shows_no_certificate_reads_nothing() {
    let (service, other) = (Service::start().await, Service::start().await);
    service.make("p", "draft").await;
    other.release("q").await;
    service.make("gone", "draft").await;
    service.delete("gone").await;
    let (ours, port) = service.shared.backend();
    let base = format!("https://localhost:{port}/router_agent_packages");
    let url = |id: &str| format!("{base}/{id}");

    let backend = client(Some(ours), ours);
    let get = async |id: &str| {
        let answer = backend.get(url(id)).send().await.unwrap();
        let (status, etag) = (answer.status().as_u16(), answer.headers().get("etag").cloned());
        let body: Value = answer.json().await.unwrap();
        (status, etag.map(|it| it.to_str().unwrap().to_owned()), body)
    };
    for (owner, name) in [(&service, "p"), (&other, "q")] {
        let mut wanted = owner.package("4.2.0");
        wanted["id"] = json!(owner.id(name));
        let (status, etag, body) = get(&owner.id(name)).await;
        assert_eq!((status, &body), (200, &wanted));
        assert_eq!(etag, owner.get(&owner.path(name)).await.etag);
    }
    for id in [service.id("gone"), service.id("never"), "a%20b".to_owned()] {
        let (status, _, body) = get(&id).await;
        assert_eq!((status, &body["title"]), (404, &json!("Not found")), "{id}");
    }
    // There is nothing else on this port.
    assert_eq!(backend.get(&base).send().await.unwrap().status(), 404);
    assert_eq!(backend.delete(url("p")).send().await.unwrap().status(), 405);
    let folder = tempfile::tempdir().unwrap();
    let theirs = issue(folder.path()).unwrap();
    for stranger in [client(None, ours), client(Some(&theirs), ours)] {
        let request = stranger.get(url(&service.id("p"))).timeout(Duration::from_secs(5));
        assert!(!request.send().await.unwrap_err().is_timeout());
    }
}
