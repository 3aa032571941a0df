//! A process that is killed between any two steps of a change.

use std::{collections::BTreeSet, path::PathBuf, process::Command, time::Duration};

use mongodb::bson::{Document, doc};
use reqwest::Client;
use serde_json::json;
use testkit::{
    eventually,
    records::Record,
    servers::{Process, RunFolder},
    unique,
};

use crate::rest::{BOTH, LIMIT, issuers, trust};

const LIST: &str = "/router-protection/allowed-list";
const SAID: &str = "as-rs-system-configuration-topic";

struct Killed {
    database: String,
    isp: String,
    folder: RunFolder,
}

/// Processes have nothing to do with what an earlier run has left.
pub(crate) async fn skip_to_end() {
    // Who comes later finds members in the group.
    static SKIPPED: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let skip = async || testkit::settled::skip_to_end(&testkit::kafka(), &["rsclient"]).await;
    SKIPPED.get_or_try_init(skip).await.unwrap();
}

impl Killed {
    fn addresses(&self) -> PathBuf {
        self.folder.path().join("addresses")
    }

    fn start(&self, failpoints: &str) -> Process {
        let _ = std::fs::remove_file(self.addresses());
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsclient"));
        command.env("RSCLIENT__KAFKA__BOOTSTRAP_SERVERS", testkit::kafka());
        command.env("RSCLIENT__MONGO__URI", testkit::mongo_uri());
        command.env("RSCLIENT__MONGO__DATABASE", &self.database);
        command.env("RSCLIENT__HTTP__LISTEN", "127.0.0.1:0");
        command.env("RSCLIENT__ADMIN__LISTEN", "127.0.0.1:0");
        command.env("RSCLIENT__ADMIN__ADDRESS_FILE", self.addresses());
        command.env("RSCLIENT__OUTBOX__LOOK_EVERY_MS", "100");
        command.envs(trust()).env("FAILPOINTS", failpoints);
        Process::start("rsclient", &mut command, &self.folder.log("rsclient")).unwrap()
    }

    async fn address(&self) -> String {
        eventually("it listens", LIMIT, async || {
            let text = std::fs::read_to_string(self.addresses()).ok()?;
            let line = text.lines().find_map(|it| it.strip_prefix("http "))?;
            Some(line.to_owned())
        })
        .await
    }

    async fn stored(&self) -> Option<Document> {
        let client = mongodb::Client::with_uri_str(testkit::mongo_uri()).await.unwrap();
        let documents = client.database(&self.database).collection::<Document>("router_protection");
        let found = documents.find_one(doc! { "_id": &self.isp }).await.unwrap();
        client.shutdown().await;
        found
    }

    async fn said(&self) -> Vec<Record> {
        let mut all = testkit::records::read(&testkit::kafka(), SAID).await.unwrap();
        all.retain(|it| it.key.as_deref() == Some(self.isp.as_str()));
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_said_whenever_the_process_dies() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    skip_to_end().await;
    chassis::tls::install_provider();
    let client = Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    for (point, records) in
        [("rsclient::after-change", 1), ("outbox::before-publish", 1), ("outbox::before-mark", 2)]
    {
        let (database, isp) = (unique("rsclient"), unique("isp"));
        let killed = Killed { database, isp, folder: RunFolder::new().unwrap() };
        let mut first = killed.start(&format!("{point}=return"));
        let url = format!("http://{}{LIST}", killed.address().await);
        let token = issuers().1.of_isp(&killed.isp, "rsclient", BOTH).unwrap();
        let body = json!({"allowed_list": ["198.51.100.0/24"]});
        // It may die before it has answered.
        let _ = client.put(url).bearer_auth(token).json(&body).send().await;
        let status = first.wait(LIMIT).await.unwrap();
        assert!(!status.success(), "{point}: {status}");
        let stored = killed.stored().await.unwrap();
        assert!(stored.get_bool("untold").unwrap(), "{point}: {stored}");

        let mut second = killed.start("");
        eventually("it is told", LIMIT, async || {
            second.still_runs().unwrap();
            killed.stored().await.filter(|it| !it.contains_key("untold"))
        })
        .await;
        second.ask_to_end();
        assert!(second.wait(LIMIT).await.unwrap().success());
        let said = killed.said().await;
        let ids: BTreeSet<&str> = said.iter().map(|it| it.headers["ce_id"].as_str()).collect();
        assert_eq!((said.len(), ids.len()), (records, 1), "{point}");
        let payload = said[0].json().unwrap();
        assert_eq!(payload["allowed_list"], body["allowed_list"]);
        assert_eq!(payload["revision"], json!(stored.get_i64("revision").unwrap()));
    }
}
