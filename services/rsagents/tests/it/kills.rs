//! A process that is killed between any two steps of a change or of a deletion.

use std::{collections::BTreeSet, path::PathBuf, process::Command, time::Duration};

use mongodb::bson::{Document, doc};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::{
    eventually,
    records::{Record, read},
    servers::{Process, RunFolder},
    unique,
};

use crate::{
    rest::{BOTH, PATH, package},
    rsclient::RsClient,
    service::{Issuers, LIMIT, PACKAGES},
};

/// A service as a process of its own. It only speaks: its consumer finds no broker that it could talk with, so that it
/// takes no partition from the service of the other tests.
struct Killed {
    database: String,
    isp: String,
    folder: RunFolder,
    issuers: Issuers,
    rsclient: RsClient,
}

impl Killed {
    async fn new() -> Self {
        chassis::tls::install_provider();
        let (database, isp) = (unique("rsagents"), unique("isp"));
        let folder = RunFolder::new().unwrap();
        let (issuers, rsclient) = (Issuers::new(), RsClient::start().await);
        Self { database, isp, folder, issuers, rsclient }
    }

    fn start(&self, failpoints: &str) -> Process {
        let _ = std::fs::remove_file(self.addresses());
        let mut command = Command::new(env!("CARGO_BIN_EXE_rsagents"));
        let mut settings = self.issuers.settings();
        let more = [
            ("KAFKA__BOOTSTRAP_SERVERS", testkit::kafka()),
            ("MONGO__URI", testkit::mongo_uri()),
            ("MONGO__DATABASE", self.database.clone()),
            ("HTTP__LISTEN", "127.0.0.1:0".to_owned()),
            ("ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
            ("ADMIN__ADDRESS_FILE", self.addresses().display().to_string()),
            ("PEERS__RSCLIENT_URL", self.rsclient.url.clone()),
            ("OUTBOX__LOOK_EVERY_MS", "100".to_owned()),
            ("DELETION__FINISH_AFTER_SECONDS", "1".to_owned()),
            ("KAFKA__CONSUMER__PROPERTIES__SECURITY.PROTOCOL", "ssl".to_owned()),
        ];
        settings.extend(more.map(|(name, it)| (name.to_owned(), it)));
        command.envs(settings.into_iter().map(|(name, it)| (format!("RSAGENTS__{name}"), it)));
        command.env("FAILPOINTS", failpoints);
        Process::start("rsagents", &mut command, &self.folder.log("rsagents")).unwrap()
    }

    fn addresses(&self) -> PathBuf {
        self.folder.path().join("addresses")
    }

    async fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let address = eventually("it listens", LIMIT, async || {
            let text = std::fs::read_to_string(self.addresses()).ok()?;
            Some(text.lines().find_map(|it| it.strip_prefix("http "))?.to_owned())
        })
        .await;
        let token = self.issuers.gateway.of_isp(&self.isp, "rsagents", BOTH).unwrap();
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        client.request(method, format!("http://{address}{path}")).bearer_auth(token)
    }

    fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.isp)
    }

    fn path(&self, name: &str) -> String {
        format!("{PATH}/{}", self.id(name))
    }

    async fn make(&self, name: &str) -> u16 {
        let mut body: Value = package(&self.issuers.maker, "4.2.0");
        body["state"] = json!("released");
        let request = self.request(Method::POST, &self.path(name)).await.json(&body);
        request.send().await.map_or(0, |it| it.status().as_u16())
    }

    /// The documents of a collection, by their ids.
    async fn stored(&self, collection: &str, id: &str) -> Option<Document> {
        let client = mongodb::Client::with_uri_str(testkit::mongo_uri()).await.unwrap();
        let documents = client.database(&self.database).collection::<Document>(collection);
        let found = documents.find_one(doc! { "_id": id }).await.unwrap();
        client.shutdown().await;
        found
    }

    async fn said(&self, key: &str) -> Vec<Record> {
        let mut all = read(&testkit::kafka(), PACKAGES).await.unwrap();
        all.retain(|it| it.key.as_deref() == Some(key));
        all
    }

    async fn package(&self, name: &str) -> Document {
        self.stored("agent_packages", &self.id(name)).await.unwrap()
    }
}

/// A package that routers may be pointed at, as it is remembered.
async fn held(killed: &Killed, name: &str) {
    let id = killed.id(name);
    let mut package = package(&killed.issuers.maker, "4.2.0");
    let rest = json!({
        "_id": id, "agent_package_id": id, "isp_id": killed.isp, "revision": 5, "told": 5,
        "state": "released", "deleted": false, "content_revision": 5,
        "backend": {"said": "applied", "revision": 5},
    });
    for (member, it) in rest.as_object().unwrap() {
        package[member] = it.clone();
    }
    let listed = json!({"agent_package_id": id, "version": "4.2.0", "models": ["hg-8000"]});
    let list = json!({
        "_id": killed.isp, "revision": 5, "told": 5, "fence": 1, "packages": [listed],
    });
    let client = mongodb::Client::with_uri_str(testkit::mongo_uri()).await.unwrap();
    for (collection, it) in [("agent_packages", package), ("agent_lists", list)] {
        let documents = client.database(&killed.database).collection::<Document>(collection);
        let document = mongodb::bson::serialize_to_document(&it).unwrap();
        documents.insert_one(document).await.unwrap();
    }
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_said_whenever_the_process_dies() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    for (point, records) in
        [("rsagents::after-change", 1), ("outbox::before-publish", 1), ("outbox::before-mark", 2)]
    {
        let killed = Killed::new().await;
        let mut first = killed.start(&format!("{point}=return"));
        // It may die before it has answered.
        killed.make("p").await;
        let status = first.wait(LIMIT).await.unwrap();
        assert!(!status.success(), "{point}: {status}");
        let stored = killed.package("p").await;
        assert!(stored.get_bool("untold").unwrap(), "{point}: {stored}");

        let mut second = killed.start("");
        eventually("it is told", LIMIT, async || {
            second.still_runs().unwrap();
            (!killed.package("p").await.contains_key("untold")).then_some(())
        })
        .await;
        assert_eq!(killed.make("p").await, 200, "{point}: it is there");
        end(&mut second).await;
        let said = killed.said(&killed.id("p")).await;
        let ids: BTreeSet<&str> = said.iter().map(|it| it.headers["ce_id"].as_str()).collect();
        assert_eq!((said.len(), ids.len()), (records, 1), "{point}");
        let revision = stored.get_i64("revision").unwrap();
        assert_eq!(said[0].json().unwrap()["revision"], json!(revision));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_finished_between_whichever_steps_the_process_dies() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    for point in [
        "rsagents::delete-begun",
        "rsagents::delete-left",
        "rsagents::delete-released",
        "rsagents::delete-entombed",
        "outbox::before-publish",
        "outbox::before-mark",
        "rsagents::delete-told",
        "rsagents::delete-stayed",
    ] {
        let killed = Killed::new().await;
        held(&killed, "p").await;
        let mut first = killed.start(&format!("{point}=return"));
        let _ = killed.request(Method::DELETE, &killed.path("p")).await.send().await;
        let status = first.wait(LIMIT).await.unwrap();
        assert!(!status.success(), "{point}: {status}");
        assert!(killed.package("p").await.contains_key("deleting"), "{point}");

        let mut second = killed.start("");
        eventually(&format!("{point}: it is deleted"), LIMIT, async || {
            second.still_runs().unwrap();
            let package = killed.package("p").await;
            let is_over = !package.contains_key("deleting") && !package.contains_key("untold");
            let list = killed.stored("agent_lists", &killed.isp).await.unwrap();
            (is_over && !list.contains_key("untold")).then_some(())
        })
        .await;
        let get = killed.request(Method::GET, &killed.path("p")).await.send().await.unwrap();
        assert_eq!(get.status().as_u16(), 404, "{point}");
        end(&mut second).await;
        assert!(killed.package("p").await.get_bool("deleted").unwrap(), "{point}");
        let defaults = killed.stored("default_agents", &killed.isp).await.unwrap();
        assert!(defaults.get_array("leaving").unwrap().is_empty(), "{point}: {defaults}");
        let said = killed.said(&killed.id("p")).await;
        let ids: BTreeSet<&str> = said.iter().map(|it| it.headers["ce_id"].as_str()).collect();
        assert_eq!(ids.len(), 1, "{point}: {said:?}");
        assert!(said.iter().all(|it| it.headers["ce_type"] == "RSAgentPackageDeleted"), "{point}");
        let lists = killed.said(&killed.isp).await;
        let last = lists.last().unwrap().json().unwrap();
        assert_eq!(last["packages"], json!([]), "{point}");
        assert!(!killed.rsclient.asked(&killed.id("p")).is_empty(), "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_refused_is_taken_back_whenever_the_process_dies() {
    testkit::topics::create(&testkit::kafka()).await.unwrap();
    for point in ["rsagents::delete-left", "rsagents::delete-refused", "rsagents::delete-kept"] {
        let killed = Killed::new().await;
        held(&killed, "used").await;
        let mut first = killed.start(&format!("{point}=return"));
        let _ = killed.request(Method::DELETE, &killed.path("used")).await.send().await;
        assert!(!first.wait(LIMIT).await.unwrap().success(), "{point}");
        let is_deleting = killed.package("used").await.contains_key("deleting");
        assert_eq!(is_deleting, point != "rsagents::delete-kept", "{point}");

        let mut second = killed.start("");
        eventually(&format!("{point}: it stays"), LIMIT, async || {
            second.still_runs().unwrap();
            let defaults = killed.stored("default_agents", &killed.isp).await?;
            let is_leaving = !defaults.get_array("leaving").unwrap().is_empty();
            let is_deleting = killed.package("used").await.contains_key("deleting");
            (!is_leaving && !is_deleting).then_some(())
        })
        .await;
        let get = killed.request(Method::GET, &killed.path("used")).await.send().await.unwrap();
        let shown: Value = get.json().await.unwrap();
        let wanted = (json!(5), json!(true), json!(false));
        let members = ["revision", "listed", "deleting"].map(|it| shown[it].clone());
        assert_eq!((members[0].clone(), members[1].clone(), members[2].clone()), wanted);
        end(&mut second).await;
        assert!(killed.said(&killed.id("used")).await.is_empty(), "{point}");
    }
}

async fn end(process: &mut Process) {
    process.ask_to_end();
    assert!(process.wait(LIMIT).await.unwrap().success());
}
