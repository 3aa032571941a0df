//! Mutual TLS between the client of the fleet and the simulator.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use expect_test::expect;
use hs_admin::{Answer, HsAdmin, Settings, TlsFiles};
use testkit::{
    certificates::{Certificates, issue},
    eventually,
};

use crate::{
    client::{line, put_device, settings},
    service::{self, LIMIT, Service},
};

const DONE: Answer = Answer::Done { http_status: 204 };

async fn start_with_tls(files: &Certificates) -> (Service, String) {
    let text = format!(
        "[tls]\nlisten = \"127.0.0.1:0\"\ncert_file = {:?}\nkey_file = {:?}\nclient_ca_file = {:?}\n",
        files.server_cert, files.server_key, files.ca
    );
    let service = service::start(&text).await;
    let address = service.chassis.address("tls").expect("a TLS port");
    (service, format!("https://localhost:{}", address.port()))
}

fn tls(of: &Certificates, trusting: &Certificates) -> TlsFiles {
    TlsFiles { cert: of.client_cert.clone(), key: of.client_key.clone(), ca: trusting.ca.clone() }
}

fn issue_into(folder: &Path, name: &str) -> Certificates {
    let folder = folder.join(name);
    fs::create_dir(&folder).expect("a folder");
    issue(&folder).expect("certificates")
}

#[tokio::test]
async fn mutual_tls_lets_in_who_shows_a_certificate_of_the_authority_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = issue_into(folder.path(), "ours");
    let theirs = issue_into(folder.path(), "theirs");
    let (service, base) = start_with_tls(&ours).await;

    let with = async |files: TlsFiles| {
        let client = HsAdmin::connect(&settings(&base, Some(files))).expect("a client");
        put_device(&client, "d-1", 1).await
    };
    assert_eq!(with(tls(&ours, &ours)).await, DONE);
    // We do not trust the server.
    assert_eq!(line(&with(tls(&ours, &theirs)).await), "Misconfigured TLS");
    // The server does not trust us.
    assert_eq!(line(&with(tls(&theirs, &ours)).await), "Misconfigured TLS");
    assert_eq!(
        service.summary(&["writes", "answers"]).await,
        r#"writes {"PUT":1}, answers {"204":1}"#
    );

    let authority = fs::read(&ours.ca).expect("an authority");
    let authority = reqwest::Certificate::from_pem(&authority).expect("a certificate");
    let nobody = reqwest::Client::builder().tls_certs_only([authority]).build().expect("a client");
    let error = nobody.get(format!("{base}/status")).timeout(Duration::from_secs(5)).send().await;
    assert!(!error.expect_err("no answer without a certificate").is_timeout());
    // The port without TLS is not touched by any of it.
    assert_eq!(service.get("/status").await["status"], "ok");
    service.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_used_without_a_restart_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = issue_into(folder.path(), "ours");
    let theirs = issue_into(folder.path(), "theirs");
    let (service, base) = start_with_tls(&ours).await;
    let files = tls(&theirs, &ours);
    let client = HsAdmin::connect(&settings(&base, Some(files.clone()))).expect("a client");
    assert_eq!(line(&put_device(&client, "d-1", 1).await), "Misconfigured TLS");

    fs::copy(&ours.client_cert, &files.cert).expect("a new certificate");
    fs::copy(&ours.client_key, &files.key).expect("its key");
    eventually("the new certificate is used", LIMIT, async || {
        (put_device(&client, "d-1", 1).await == DONE).then_some(())
    })
    .await;

    fs::write(&files.key, "no key").expect("a broken key");
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert_eq!(put_device(&client, "d-1", 1).await, DONE);
    }
    service.stop().await;
}

/// Puts devices side by side for as long as it lives, and counts.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    workers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(client: &HsAdmin) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let workers = (0..4).map(|worker| {
            let (client, stop, done) = (client.clone(), Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let (mut failures, mut revision) = (Vec::new(), 0);
                while !stop.load(Ordering::Relaxed) {
                    revision += 1;
                    let answer = put_device(&client, &format!("d-{worker}"), revision).await;
                    match answer == DONE {
                        true => drop(done.fetch_add(1, Ordering::Relaxed)),
                        false => failures.push(line(&answer)),
                    }
                }
                failures
            })
        });
        let workers = workers.collect();
        Self { stop, done, workers }
    }

    /// Waits until so many more got through.
    async fn goes_on(&self, more: u64) {
        let before = self.done.load(Ordering::Relaxed);
        let look = async || (self.done.load(Ordering::Relaxed) >= before + more).then_some(());
        eventually("the load goes on", LIMIT, look).await;
    }

    /// What failed.
    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for it in self.workers {
            failures.extend(it.await.expect("no panic"));
        }
        failures
    }
}

fn replace(cert: (&Path, &Path), key: (&Path, &Path)) {
    fs::copy(cert.0, cert.1).expect("a new certificate");
    fs::copy(key.0, key.1).expect("its key");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_both_sides_are_rotated_under_load_and_no_call_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (issue_into(folder.path(), "1"), issue_into(folder.path(), "2"));
    // What is in use, and an authority file that vouches for what both have issued.
    let used = issue_into(folder.path(), "used");
    let both = [&first.ca, &second.ca].map(|it| fs::read_to_string(it).expect("an authority"));
    fs::write(&used.ca, both.concat()).expect("authorities");
    let show = |of: &Certificates| {
        replace((&of.client_cert, &used.client_cert), (&of.client_key, &used.client_key));
        replace((&of.server_cert, &used.server_cert), (&of.server_key, &used.server_key));
    };
    show(&first);
    let (service, base) = start_with_tls(&used).await;
    let patient = Settings { timeout_seconds: 10, ..settings(&base, Some(tls(&used, &used))) };
    let client = HsAdmin::connect(&patient).expect("a client");
    let load = Load::start(&client);
    let trusting = |of: &Certificates| {
        HsAdmin::connect(&settings(&base, Some(tls(&used, of)))).expect("a client")
    };
    for of in [&second, &first, &second] {
        load.goes_on(50).await;
        show(of);
        // Who trusts one authority alone sees which certificate the server shows.
        eventually("the server shows the new certificate", LIMIT, async || {
            (put_device(&trusting(of), "d-new", 1).await == DONE).then_some(())
        })
        .await;
        load.goes_on(50).await;
    }
    assert_eq!(load.end().await, Vec::<String>::new());

    // That new certificates of the client are used at all, a stranger's shows.
    let stranger = issue_into(folder.path(), "stranger");
    replace((&stranger.client_cert, &used.client_cert), (&stranger.client_key, &used.client_key));
    eventually("the stranger is refused", LIMIT, async || {
        let answer = put_device(&client, "d-1", 1_000_000).await;
        (line(&answer) == "Misconfigured TLS").then_some(())
    })
    .await;
    service.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let ours = issue_into(folder.path(), "ours");
    let theirs = issue_into(folder.path(), "theirs");
    let refusal = |base_url: &str, tls| {
        let error = HsAdmin::connect(&settings(base_url, tls)).expect_err("refused");
        format!("{error:#}").replace(&folder.path().display().to_string(), "")
    };
    let strange = TlsFiles { key: theirs.client_key, ..tls(&ours, &ours) };
    let missing = TlsFiles { cert: folder.path().join("nowhere.pem"), ..tls(&ours, &ours) };
    let empty = TlsFiles { ca: ours.client_key.clone(), ..tls(&ours, &ours) };
    let table = [
        refusal("https://localhost:1", None),
        refusal("http://localhost:1", Some(tls(&ours, &ours))),
        refusal("https://localhost:1", Some(strange)),
        refusal("https://localhost:1", Some(missing)),
        refusal("https://localhost:1", Some(empty)),
    ]
    .join("\n");
    expect![[r#"
        HS Admin client: base_url is https, so tls.cert, tls.key and tls.ca must be set
        HS Admin client: tls is set, so base_url must be https
        HS Admin client: certificate in /ours/client.pem: keys may not be consistent: KeyMismatch
        HS Admin client: certificates in /nowhere.pem: I/O error: No such file or directory (os error 2)
        HS Admin client: no certificate in /ours/client.key"#]].assert_eq(&table);
}
