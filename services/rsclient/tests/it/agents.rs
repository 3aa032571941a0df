//! `RSAgentsUpdated`, `RSDefaultAgentsUpdated`, `RSAgentPackageCreated`, `RSAgentPackageDeleted`; who is to run which
//! package.

use std::collections::BTreeSet;

use eventbus::{Lane, Outcome};
use reqwest::Method;
use rsclient::{application::tell_routers_due, domain::Which, infrastructure::kafka::on_record};
use serde_json::{Value, json};
use testkit::unique;

use crate::{
    jobs::{Job, applies},
    rest::{Answer, BOTH, Rest, issuers},
    service::{first, message},
};

/// An ISP with routers and packages of its own.
struct Fleet {
    rest: Rest,
}

impl Fleet {
    /// `r1` and `r2` are of model `hg-1`, `r2` follows `beta`; `r3` is of model `hg-2`. All packages run on both.
    async fn start(packages: &[&str]) -> Self {
        let rest = Rest::start().await;
        let service = &rest.service;
        service.done("AccountCreated", service.account(1, json!({}))).await;
        for (name, model, version) in
            [("r1", "hg-1", None), ("r2", "hg-1", Some("beta")), ("r3", "hg-2", None)]
        {
            let router = json!({
                "kind": "router", "device_type": "router", "model": model,
                "target_version": version,
            });
            service.done("DeviceCreated", service.device(name, 1, router)).await;
        }
        let fleet = Self { rest };
        fleet.list(1, packages).await;
        fleet.walk().await;
        fleet
    }

    fn package(&self, name: &str) -> String {
        self.rest.service.id(name)
    }

    fn path(&self, name: &str) -> String {
        format!("/subsystems/rs/router_agent_packages/{}", self.package(name))
    }

    /// rsagents lists these packages.
    async fn list(&self, revision: u64, packages: &[&str]) {
        self.rest.service.done("RSAgentsUpdated", self.said_list(revision, packages)).await;
    }

    fn said_list(&self, revision: u64, packages: &[&str]) -> Value {
        let listed = |it: &&str| {
            let models = ["hg-1", "hg-2"];
            json!({"agent_package_id": self.package(it), "version": "1.0.0", "models": models})
        };
        let packages: Vec<Value> = packages.iter().map(listed).collect();
        let isp = &self.rest.service.isp;
        json!({"isp_id": isp, "revision": revision, "packages": packages})
    }

    /// A full sync says something.
    async fn synced(&self, event_type: &str, said: &Value) -> Outcome {
        let mut message = message(event_type, said);
        message.attributes.lane = Lane::Sync;
        on_record(&self.rest.service.app, &first(message)).await
    }

    async fn defaults(&self, revision: u64, defaults: &[(&str, &str)]) -> Outcome {
        let defaults = defaults.iter().map(|(model, it)| ((*model).to_owned(), self.package(it)));
        let defaults: std::collections::BTreeMap<String, String> = defaults.collect();
        let isp = &self.rest.service.isp;
        let said = json!({"isp_id": isp, "revision": revision, "defaults": defaults});
        self.rest.service.handle("RSDefaultAgentsUpdated", said).await
    }

    async fn says(&self, name: &str, revision: u64, state: &str) -> Outcome {
        let said = json!({
            "agent_package_id": self.package(name), "isp_id": self.rest.service.isp,
            "revision": revision, "version": "1.0.0", "models": ["hg-1"],
            "url": "https://example.org/p", "sha256": "00", "size_bytes": 1, "signature": "s",
            "state": state,
        });
        self.rest.service.handle("RSAgentPackageCreated", said).await
    }

    async fn associate(&self, name: &str, routers: &[&str], groups: Value) -> Answer {
        let routers: Vec<String> = routers.iter().map(|it| self.rest.service.id(it)).collect();
        let body = json!({"routers": routers, "groups": groups});
        self.rest.put(&self.path(name), &body).await
    }

    async fn release(&self, name: &str) -> Answer {
        let path = format!("/router_agent_packages/references/{}", self.package(name));
        let token = issuers().0.operator("rsclient", "internal").unwrap();
        Answer::of(self.rest.request(Method::DELETE, &path).bearer_auth(token)).await
    }

    /// Has the routers told; answers which were.
    async fn walk(&self) -> BTreeSet<String> {
        let mut walk = Job::walk_over(&self.rest.service, Which::Routers);
        walk.run(applies).await;
        let of = self.rest.service.id("");
        walk.sent.iter().map(|it| it.key.as_ref().unwrap().replace(&of, "")).collect()
    }

    /// What each router is to run, once all were told.
    async fn targets(&self) -> String {
        self.walk().await;
        let service = &self.rest.service;
        let last = service.last_said().await;
        let target = |it: &str| {
            let target = last[&service.id(it)].1["target_agent_package"].clone();
            target.as_str().unwrap_or("-").replace(&service.id(""), "")
        };
        ["r1", "r2", "r3"].map(|it| format!("{it} {}", target(it))).join(", ")
    }
}

#[tokio::test]
async fn the_package_that_names_a_router_goes_before_its_group_its_model_and_the_default() {
    let fleet = Fleet::start(&["p-router", "p-beta", "p-model", "p-default"]).await;
    assert_eq!(fleet.targets().await, "r1 -, r2 -, r3 -");
    let defaults = [("hg-1", "p-default"), ("hg-2", "p-default")];
    assert_eq!(fleet.defaults(5, &defaults).await, Outcome::Done);
    assert_eq!(fleet.targets().await, "r1 p-default, r2 p-default, r3 p-default");
    let model = json!([{"model": "hg-1", "target_version": null}]);
    assert_eq!(fleet.associate("p-model", &[], model).await.status, 200);
    assert_eq!(fleet.targets().await, "r1 p-model, r2 p-model, r3 p-default");
    let beta = json!([{"model": "hg-1", "target_version": "beta"}]);
    assert_eq!(fleet.associate("p-beta", &[], beta).await.status, 200);
    assert_eq!(fleet.targets().await, "r1 p-model, r2 p-beta, r3 p-default");
    assert_eq!(fleet.associate("p-router", &["r2", "r3"], json!([])).await.status, 200);
    assert_eq!(fleet.targets().await, "r1 p-model, r2 p-router, r3 p-router");

    let path = format!("/devices/{}/effective", fleet.rest.service.id("r2"));
    let effective = fleet.rest.get(&path).await.body;
    let mut provenance = effective["provenance"].as_array().unwrap().iter();
    let target = provenance.find(|it| it["leaf"] == "/target_agent_package").unwrap();
    let expected = json!({
        "leaf": "/target_agent_package", "value": fleet.package("p-router"), "decided_by": "isp", "because": null,
        "said": [
            {"level": "isp", "value": fleet.package("p-router")},
            {"level": "default", "value": fleet.package("p-default")},
        ],
    });
    assert_eq!(target, &expected);

    fleet.list(6, &["p-beta", "p-default"]).await;
    assert_eq!(fleet.targets().await, "r1 p-default, r2 p-beta, r3 p-default");
    fleet.list(7, &[]).await;
    assert_eq!(fleet.targets().await, "r1 -, r2 -, r3 -");
    let older = fleet.defaults(4, &[]).await;
    assert_eq!(older, Outcome::Skipped("superseded"));
    let phone = fleet.rest.service.device("phone", 1, json!({"model": "hg-1"}));
    fleet.rest.service.done("DeviceCreated", phone).await;
    fleet.list(8, &["p-beta"]).await;
    assert_eq!(fleet.walk().await, ["r1", "r2", "r3"].map(str::to_owned).into());
}

#[tokio::test]
async fn of_two_packages_for_one_router_the_one_that_was_associated_last_is_meant() {
    let fleet = Fleet::start(&["p1", "p2"]).await;
    fleet.associate("p1", &["r1"], json!([])).await;
    fleet.associate("p2", &["r1"], json!([])).await;
    assert_eq!(fleet.targets().await, "r1 p2, r2 -, r3 -");
    fleet.associate("p1", &["r1"], json!([])).await;
    assert_eq!(fleet.targets().await, "r1 p1, r2 -, r3 -");
    fleet.associate("p1", &[], json!([])).await;
    assert_eq!(fleet.targets().await, "r1 p2, r2 -, r3 -");
}

#[tokio::test]
async fn a_package_that_may_not_be_used_is_refused_with_the_reason() {
    let fleet = Fleet::start(&["good", "revoked", "draft", "reserved"]).await;
    assert_eq!(fleet.says("revoked", 1, "revoked").await, Outcome::Done);
    assert_eq!(fleet.says("draft", 1, "draft").await, Outcome::Done);
    assert_eq!(fleet.says("unlisted", 2, "released").await, Outcome::Done);
    assert_eq!(fleet.says("unlisted", 1, "draft").await, Outcome::Skipped("superseded"));
    assert_eq!(fleet.release("reserved").await.status, 204);
    let mut lines = String::new();
    for name in ["good", "revoked", "draft", "unlisted", "reserved", "unknown"] {
        let answer = fleet.associate(name, &["r1"], json!([])).await;
        lines += &format!("{name} {}\n", answer.lines());
    }
    let groups = json!([{"model": "hg-9"}]);
    lines += &format!("model {}\n", fleet.associate("good", &[], groups).await.lines());
    expect_test::expect![[r#"
        good 200
        revoked 409 the package is revoked
        draft 409 the package is a draft
        unlisted 409 the package is not listed for routers
        reserved 409 the package is reserved: nobody may start to use it
        unknown 404 Not found
        model 409 the package does not run on model `hg-9`
    "#]]
    .assert_eq(&lines);
    assert_eq!(fleet.targets().await, "r1 good, r2 -, r3 -");
}

#[tokio::test]
async fn a_package_that_is_used_is_not_released_and_one_that_is_released_is_not_used_any_more() {
    let fleet = Fleet::start(&["p"]).await;
    let groups = json!([{"model": "hg-2"}, {"model": "hg-1", "target_version": "beta"}]);
    assert_eq!(fleet.associate("p", &["r1"], groups).await.status, 200);
    let refused = fleet.release("p").await.lines();
    let router = fleet.rest.service.id("r1");
    let why = "used by routers of model `hg-2`, routers of model `hg-1` that follow `beta`";
    assert_eq!(refused, format!("409 {why}, router `{router}`"));
    assert_eq!(fleet.associate("p", &[], json!([])).await.status, 200);
    assert_eq!(fleet.release("p").await.status, 204);
    assert_eq!(fleet.release("p").await.status, 204);
    assert_eq!(fleet.associate("p", &["r1"], json!([])).await.status, 409);
    assert_eq!(fleet.associate("p", &[], json!([])).await.status, 200);
    assert_eq!(fleet.release("never-heard-of").await.status, 204);
    let deleted = json!({"agent_package_id": fleet.package("p"), "revision": 9});
    fleet.rest.service.done("RSAgentPackageDeleted", deleted).await;
    assert_eq!(fleet.says("p", 9, "released").await, Outcome::Skipped("superseded"));
}

#[tokio::test]
async fn of_a_release_and_an_association_at_once_one_wins() {
    let names: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
    let listed: Vec<&str> = names.iter().map(String::as_str).collect();
    let fleet = Fleet::start(&listed).await;
    for name in listed {
        let (released, used) =
            tokio::join!(fleet.release(name), fleet.associate(name, &["r1"], json!([])));
        let both = (released.status, used.status);
        assert!(both == (204, 409) || both == (409, 200), "{both:?}");
    }
}

#[tokio::test]
async fn routers_and_packages_of_others_are_not_there() {
    let (fleet, other) = (Fleet::start(&["p"]).await, Fleet::start(&["q"]).await);
    let stranger = other.rest.service.id("r1");
    let own = fleet.rest.service.id("r1");
    let body = json!({"routers": [own, stranger, "nobody"], "groups": []});
    let answer = fleet.rest.put(&fleet.path("p"), &body).await;
    assert_eq!(answer.lines(), "404 Not found\n/routers/1 is not known\n/routers/2 is not known");
    assert!(!answer.body.to_string().contains(&stranger));
    other.says("q", 1, "released").await;
    for (service, path) in [(&fleet, other.path("q")), (&other, fleet.path("p"))] {
        let nobody = json!({"routers": [], "groups": []});
        assert_eq!(service.rest.put(&path, &nobody).await.status, 404);
        assert_eq!(service.rest.get(&path).await.status, 404);
    }
    let theirs = issuers().1.of_isp(&unique("isp"), "rsclient", BOTH).unwrap();
    let get = fleet.rest.request(Method::GET, &fleet.path("p")).bearer_auth(&theirs);
    assert_eq!(Answer::of(get).await.status, 404);
    let path = format!("/router_agent_packages/references/{}", fleet.package("p"));
    let delete = fleet.rest.request(Method::DELETE, &path).bearer_auth(fleet.rest.token(BOTH));
    assert_eq!(Answer::of(delete).await.status, 403);
    let id = fleet.package("p");
    let foreign = json!({
        "agent_package_id": id, "isp_id": other.rest.service.isp, "revision": 9, "version": "1",
        "models": [], "url": "https://example.org/p", "sha256": "00", "size_bytes": 1,
        "signature": "s", "state": "released",
    });
    fleet.says("p", 1, "released").await;
    let outcome = fleet.rest.service.handle("RSAgentPackageCreated", foreign).await;
    assert!(crate::service::shown(&outcome).contains("tenant_mismatch"), "{outcome:?}");
}

#[tokio::test]
async fn an_association_is_shown_has_a_tag_and_is_read_strictly() {
    let fleet = Fleet::start(&["p"]).await;
    let path = fleet.path("p");
    let nobody = fleet.rest.get(&path).await;
    assert_eq!((nobody.status, nobody.etag.as_deref()), (200, Some("\"0\"")));
    let group = json!({"model": "hg-1", "target_version": null});
    let body = json!({"routers": [], "groups": [group, {"model": "hg-1"}]});
    let set = fleet.rest.put_if(&path, &body, Some("\"0\"")).await;
    assert_eq!((set.status, &set.body), (200, &json!({"routers": [], "groups": [group]})));
    assert_eq!(fleet.rest.put_if(&path, &body, Some("\"0\"")).await.status, 412);
    let shown = fleet.rest.get(&path).await;
    assert_eq!((shown.body, &shown.etag), (set.body, &set.etag));
    assert_eq!(fleet.rest.put_if(&path, &body, set.etag.as_deref()).await.status, 200);
    let wrong = json!({"routers": ["a b"], "groups": [{"model": ""}, {"x": 1}, 7], "share": 0.5});
    expect_test::expect![[r#"
        422 some members of the body are wrong
        /routers/0 must be the id of a router
        /groups/0 must have a model, and a target_version or null, and no other member
        /groups/1 must have a model, and a target_version or null, and no other member
        /groups/2 must have a model, and a target_version or null, and no other member
        /share is not known here"#]]
    .assert_eq(&fleet.rest.put(&path, &wrong).await.lines());
}

#[tokio::test]
async fn a_process_that_died_behind_the_association_is_followed_by_one_that_tells_the_routers() {
    let fleet = Fleet::start(&["p"]).await;
    let service = &fleet.rest.service;
    let (isp, id) = (service.isp.parse().unwrap(), fleet.package("p").parse().unwrap());
    let routers = vec![service.id("r1").parse().unwrap()];
    let wanted = rsclient::domain::Association { routers, ..Default::default() };
    let any = &rsclient::domain::Expected::Any;
    service.app.store.packages.associate(&isp, &id, any, &wanted).await.unwrap();
    assert_eq!(fleet.targets().await, "r1 -, r2 -, r3 -");
    tell_routers_due(&service.app).await.unwrap();
    assert_eq!(fleet.targets().await, "r1 p, r2 -, r3 -");
    let stored = service.stored("agent_packages", id.as_str()).await;
    assert!(!stored.contains_key("untold"), "{stored}");
}

#[tokio::test]
async fn a_sync_that_says_what_is_held_already_has_no_router_told_again() {
    let fleet = Fleet::start(&["p"]).await;
    let defaults = json!({
        "isp_id": fleet.rest.service.isp, "revision": 3, "defaults": {"hg-1": fleet.package("p")},
    });
    assert_eq!(fleet.synced("RSDefaultAgentsUpdated", &defaults).await, Outcome::Done);
    assert_eq!(fleet.targets().await, "r1 p, r2 p, r3 -");
    let before = fleet.rest.service.last_said().await;
    let list = fleet.said_list(1, &["p"]);
    for (event_type, said) in [("RSAgentsUpdated", &list), ("RSDefaultAgentsUpdated", &defaults)] {
        let outcome = fleet.synced(event_type, said).await;
        assert_eq!(outcome, Outcome::Skipped("superseded"), "{event_type}");
    }
    let walks = fleet.rest.service.database.collection::<mongodb::bson::Document>("async_tasks");
    let running = mongodb::bson::doc! { "state.name": "running" };
    assert_eq!(walks.count_documents(running).await.unwrap(), 0);
    assert_eq!(fleet.rest.service.last_said().await, before);
    // What was lost with the store comes back by a sync, and so do the routers.
    let list = fleet.said_list(2, &[]);
    assert_eq!(fleet.synced("RSAgentsUpdated", &list).await, Outcome::Done);
    assert_eq!(fleet.targets().await, "r1 -, r2 -, r3 -");
}
