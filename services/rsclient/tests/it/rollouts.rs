//! Rollouts: routers are led from one package to another in waves, on a real store and a real broker.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use eventbus::Outcome;
use futures_util::TryStreamExt as _;
use jiff::{Timestamp, ToSpan as _};
use mongodb::bson::{Document, doc};
use reqwest::Method;
use rsclient::{application::drive_rollouts, domain::place};
use serde_json::{Value, json};

use crate::{
    jobs::{Job, applies},
    rest::{Answer, BOTH, Rest, issuers},
    service::{shown, with},
};

const LIMIT: Duration = Duration::from_secs(120);
pub(crate) const ROLLOUTS: &str = "/subsystems/rs/rollouts";

/// An ISP whose routers are of model `hg-1`, run package `a`, and report what they install.
pub(crate) struct Town {
    pub(crate) rest: Rest,
    routers: usize,
    /// What each router has installed or tried to.
    tried: BTreeMap<String, String>,
}

impl Town {
    pub(crate) async fn start(routers: usize) -> Self {
        let rest = Rest::start_with(&[("RSCLIENT__ROLLOUTS__LOOK_EVERY_MS", "1")]).await;
        let service = &rest.service;
        service.done("AccountCreated", service.account(1, json!({}))).await;
        for n in 0..routers {
            let router = json!({"kind": "router", "device_type": "router", "model": "hg-1"});
            service.done("DeviceCreated", service.device(&format!("r{n:03}"), 1, router)).await;
        }
        let town = Self { rest, routers, tried: BTreeMap::new() };
        town.list(1, &["a", "b"]).await;
        let body = json!({"routers": [], "groups": [{"model": "hg-1", "target_version": null}]});
        assert_eq!(town.rest.put(&town.path("a"), &body).await.status, 200);
        town
    }

    fn id(&self, name: &str) -> String {
        self.rest.service.id(name)
    }

    pub(crate) fn path(&self, package: &str) -> String {
        format!("/subsystems/rs/router_agent_packages/{}", self.id(package))
    }

    fn all(&self) -> Vec<String> {
        (0..self.routers).map(|n| self.id(&format!("r{n:03}"))).collect()
    }

    /// These packages are listed for routers.
    pub(crate) async fn list(&self, revision: u64, packages: &[&str]) {
        let listed = |it: &&str| json!({"agent_package_id": self.id(it), "version": "1.0.0", "models": ["hg-1"]});
        let packages: Vec<Value> = packages.iter().map(listed).collect();
        let isp = &self.rest.service.isp;
        let said = json!({"isp_id": isp, "revision": revision, "packages": packages});
        self.rest.service.done("RSAgentsUpdated", said).await;
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.rest.request(Method::POST, path).bearer_auth(self.rest.token(BOTH));
        Answer::of(request.json(body)).await
    }

    fn body(&self, members: Value) -> Value {
        let body = json!({
            "model": "hg-1", "from": self.id("a"), "to": self.id("b"),
            "waves_per_mille": [100, 500, 1000], "success_per_mille": 1000, "error_per_mille": 100,
            "soak_seconds": 0,
        });
        with(body, members)
    }

    /// Starts a rollout from `a` to `b`; answers its id.
    pub(crate) async fn begin(&self, members: Value) -> String {
        let answer = self.post(ROLLOUTS, &self.body(members)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["rollout_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn shown(&self, id: &str) -> Value {
        let answer = self.rest.get(&format!("{ROLLOUTS}/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    async fn told_to(&self, id: &str, action: &str) -> u16 {
        self.post(&format!("{ROLLOUTS}/{id}"), &json!({"action": action})).await.status
    }

    pub(crate) async fn report(&self, router: &str, package: &str, status: &str) -> Outcome {
        let said = json!({
            "isp_id": self.rest.service.isp, "device_id": router, "agent_package_id": package,
            "status": status, "at": Timestamp::now().to_string(),
        });
        self.rest.service.handle("RSRouterAgentReported", said).await
    }

    /// What each router was last told to run.
    pub(crate) async fn told(&self) -> BTreeMap<String, String> {
        let last = self.rest.service.last_said().await;
        let target = |(id, (_, said)): (String, (String, Value))| {
            Some((id, said["target_agent_package"].as_str()?.to_owned()))
        };
        last.into_iter().filter_map(target).collect()
    }

    /// The rollout goes one step: its walk is carried out, and routers that are told another package report. `is_able`
    /// says which can install `b`. No router is told `b` whose place is not in the share.
    pub(crate) async fn step(&mut self, id: &str, is_able: impl Fn(usize) -> bool) -> Value {
        drive_rollouts(&self.rest.service.app).await.unwrap();
        let shown = self.shown(id).await;
        self.walk().await;
        let told = self.told().await;
        let (new, rollout) = (self.id("b"), id.parse().unwrap());
        let wave = usize::try_from(shown["wave"].as_u64().unwrap()).unwrap();
        let share = shown["plan"]["waves_per_mille"][wave - 1].as_u64().unwrap();
        for (n, router) in self.all().into_iter().enumerate() {
            let Some(package) = told.get(&router) else { continue };
            let place = u64::from(place(&rollout, &router.parse().unwrap()));
            assert!(*package != new || place < share, "{router} has place {place}: {shown}");
            if self.tried.insert(router.clone(), package.clone()).as_ref() != Some(package) {
                let is_well = *package != new || is_able(n);
                let status = if is_well { "installed" } else { "failed" };
                assert_eq!(self.report(&router, package, status).await, Outcome::Done);
            }
        }
        shown
    }

    /// Carries out what walks of rollouts there are.
    async fn walk(&self) {
        let tasks = self.rest.service.database.collection::<Document>("async_tasks");
        let running = doc! { "_id": { "$regex": "^rollout-[^/]*$" }, "state.name": "running" };
        let running = tasks.find(running).await.unwrap();
        let running: Vec<Document> = running.try_collect().await.unwrap();
        for it in running {
            let mut walk = Job::new(&self.rest.service, it.get_str("_id").unwrap());
            walk.run(applies).await;
        }
    }

    /// Goes on until the rollout is in one of these states.
    pub(crate) async fn until(
        &mut self,
        id: &str,
        states: &[&str],
        is_able: impl Fn(usize) -> bool,
    ) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let shown = self.step(id, &is_able).await;
            if states.iter().any(|it| shown["state"] == json!(it)) {
                return shown;
            }
            assert!(!shown["reason"].is_null(), "it does not say why it stands still: {shown}");
            assert!(Instant::now() < deadline, "{shown}");
        }
    }

    async fn release(&self, package: &str) -> Answer {
        let path = format!("/router_agent_packages/references/{}", self.id(package));
        let token = issuers().0.operator("rsclient", "internal").unwrap();
        Answer::of(self.rest.request(Method::DELETE, &path).bearer_auth(token)).await
    }
}

#[tokio::test]
async fn routers_are_led_from_one_package_to_another_in_waves() {
    let mut town = Town::start(40).await;
    let id = town.begin(json!({})).await;
    let mut told = Vec::new();
    let shown = loop {
        let shown = town.step(&id, |_| true).await;
        let new = town.id("b");
        told.push(town.told().await.values().filter(|it| **it == new).count());
        if shown["state"] == json!("completed") {
            break shown;
        }
        // What is shown to whoever asks is what the routers are told.
        let router = town.id("r007");
        let effective = town.rest.get(&format!("/devices/{router}/effective")).await.body;
        let target = &effective["configuration"]["target_agent_package"];
        let share = shown["share_per_mille"].as_u64().unwrap();
        let place = place(&id.parse().unwrap(), &router.parse().unwrap());
        if shown["state"] == json!("walking") {
            let wanted = if u64::from(place) < share { "b" } else { "a" };
            assert_eq!(*target, json!(town.id(wanted)), "{place}: {shown}");
        }
        for package in ["a", "b"] {
            assert_eq!(town.release(package).await.status, 409, "{package}: {shown}");
        }
    };
    assert!(told.is_sorted() && told.last() == Some(&40), "{told:?}");
    assert!(told.iter().any(|it| (1..15).contains(it)), "{told:?}");
    let shares: Vec<&Value> =
        shown["done"].as_array().unwrap().iter().map(|it| &it["share_per_mille"]).collect();
    assert_eq!(shares, [&json!(100), &json!(500), &json!(1000)]);
    assert_eq!(shown["counts"], json!({"routers": 40, "installed": 40, "failed": 0, "silent": 0}));
    assert_eq!((&shown["reason"], shown["ended_at"].is_string()), (&json!(null), true));
    drive_rollouts(&town.rest.service.app).await.unwrap();

    let groups = json!([{"model": "hg-1", "target_version": null}]);
    assert_eq!(town.rest.get(&town.path("b")).await.body, json!({"routers": [], "groups": groups}));
    assert_eq!(town.rest.get(&town.path("a")).await.body, json!({"routers": [], "groups": []}));
    let all: BTreeSet<String> = town.told().await.into_values().collect();
    assert_eq!(all, [town.id("b")].into());
    // A sync finds nothing else.
    let mut sync = Job::new(&town.rest.service, &town.id("sync"));
    sync.ask_for_accounts(json!({})).await;
    sync.run_until_ended().await;
    assert_eq!(town.told().await.into_values().collect::<BTreeSet<_>>(), [town.id("b")].into());
    assert_eq!(town.release("a").await.status, 204);
    assert_eq!(town.release("b").await.status, 409);
}

#[tokio::test]
async fn a_fifth_that_fails_pauses_it_by_itself_and_an_abort_leads_all_back() {
    let mut town = Town::start(40).await;
    let members = json!({"waves_per_mille": [500, 1000], "error_per_mille": 20});
    let id = town.begin(members).await;
    let paused = town.until(&id, &["paused"], |n| n % 5 != 0).await;
    let reason = paused["reason"].as_str().unwrap();
    assert!(reason.contains("routers of the wave report a failure: more than 20 of"), "{reason}");
    let new = town.id("b");
    let moved = town.told().await.values().filter(|it| **it == new).count();
    assert!(moved > 0, "{paused}");

    let again = town.post(ROLLOUTS, &town.body(json!({}))).await;
    assert_eq!(again.lines(), format!("409 rollout `{id}` of routers of model `hg-1` is not over"));
    assert_eq!(town.told_to(&id, "abort").await, 204);
    let aborted = town.until(&id, &["aborted"], |n| n % 5 != 0).await;
    assert_eq!(aborted["reason"], json!("by testkit"), "{aborted}");
    assert_eq!(aborted["share_per_mille"], json!(0));
    assert_eq!(town.told().await.into_values().collect::<BTreeSet<_>>(), [town.id("a")].into());
    assert_eq!(town.told_to(&id, "abort").await, 409);
    drive_rollouts(&town.rest.service.app).await.unwrap();
    assert_eq!(town.release("b").await.status, 204);
    assert_eq!(town.release("a").await.status, 409);
}

#[tokio::test]
async fn a_rollout_that_was_aborted_leaves_the_way_free_and_its_failures_count_no_more() {
    let mut town = Town::start(12).await;
    let first = town.begin(json!({"waves_per_mille": [1000]})).await;
    town.until(&first, &["paused"], |_| false).await;
    assert_eq!(town.told_to(&first, "abort").await, 204);
    town.until(&first, &["aborted"], |_| false).await;
    let second = town.begin(json!({})).await;
    let ended = town.until(&second, &["completed", "paused"], |_| true).await;
    assert_eq!(ended["state"], json!("completed"), "{ended}");
    let page = town.rest.get(&format!("{ROLLOUTS}?limit=1")).await.body;
    assert_eq!((&page["items"][0]["rollout_id"], &page["next"]), (&json!(second), &json!(second)));
    let page = town.rest.get(&format!("{ROLLOUTS}?limit=1&cursor={second}")).await.body;
    assert_eq!((&page["items"][0]["rollout_id"], &page["next"]), (&json!(first), &json!(null)));
}

#[tokio::test]
async fn while_it_is_paused_nothing_is_raised_and_whoever_resumes_it_forgives() {
    let mut town = Town::start(30).await;
    let members = json!({"waves_per_mille": [500, 1000], "success_per_mille": 500});
    let id = town.begin(members).await;
    town.until(&id, &["paused"], |n| n % 5 != 0).await;
    let before = town.told().await;
    for _ in 0..5 {
        town.step(&id, |n| n % 5 != 0).await;
    }
    assert_eq!(town.told().await, before);
    let mut resumed = 0;
    loop {
        assert_eq!(town.told_to(&id, "resume").await, 204);
        resumed += 1;
        let shown = town.until(&id, &["completed", "paused"], |n| n % 5 != 0).await;
        if shown["state"] == json!("completed") {
            assert_eq!(
                shown["counts"],
                json!({"routers": 30, "installed": 24, "failed": 6, "silent": 0})
            );
            break;
        }
        assert!(resumed < 5, "{shown}");
    }
    assert_eq!(town.told_to(&id, "resume").await, 409);
}

#[tokio::test]
async fn a_package_that_is_not_listed_any_more_pauses_it_and_others_may_not_lead_its_routers() {
    let mut town = Town::start(10).await;
    town.list(2, &["a", "b", "c"]).await;
    let id = town.begin(json!({})).await;
    town.until(&id, &["walking"], |_| true).await;
    let group = json!({"routers": [], "groups": [{"model": "hg-1"}]});
    let refused = town.rest.put(&town.path("c"), &group).await;
    assert_eq!(refused.lines(), format!("409 rollout `{id}` leads these routers of model `hg-1`"));
    let nobody = json!({"routers": [], "groups": []});
    assert_eq!(town.rest.put(&town.path("a"), &nobody).await.status, 409);
    let named = json!({"routers": [town.id("r003")], "groups": []});
    assert_eq!(town.rest.put(&town.path("c"), &named).await.status, 200);
    town.list(3, &["a", "c"]).await;
    let paused = town.until(&id, &["paused", "completed"], |_| true).await;
    let wanted = format!("package `{}` is not listed for routers any more", town.id("b"));
    assert_eq!(paused["reason"], json!(wanted));
    town.list(4, &["a", "b", "c"]).await;
    assert_eq!(town.told_to(&id, "resume").await, 204);
    let ended = town.until(&id, &["paused", "completed"], |_| true).await;
    // The router that is named belongs to nobody's rollout.
    assert_eq!(ended["counts"]["routers"], json!(9), "{ended}");
    let told = town.told().await;
    let of = |package: &str| told.values().filter(|it| **it == town.id(package)).count();
    assert_eq!((of("b"), of("c")), (9, 1));
}

#[tokio::test]
async fn a_wave_whose_routers_are_silent_pauses_it_and_one_that_nobody_resumes_goes_back() {
    let mut town = Town::start(4).await;
    let members = json!({"waves_per_mille": [1000], "wave_seconds": 1, "rollout_seconds": 20});
    let id = town.begin(members).await;
    // They are told, and say nothing.
    town.tried = town.all().into_iter().map(|it| (it, town.id("b"))).collect();
    let paused = town.until(&id, &["paused"], |_| true).await;
    let reason = paused["reason"].as_str().unwrap();
    let wanted = "after 1 s only 0 of 4 routers of the wave report that they are done; it needs 4";
    assert_eq!(reason, wanted);
    let aborted = town.until(&id, &["aborted"], |_| true).await;
    let wanted = format!("not complete after 20 s; it was paused: {wanted}");
    assert_eq!(aborted["reason"], json!(wanted));
    assert_eq!(town.told().await.into_values().collect::<BTreeSet<_>>(), [town.id("a")].into());
}

#[tokio::test]
async fn of_two_reports_of_a_router_the_later_one_counts_and_one_of_another_isp_is_refused() {
    let town = Town::start(1).await;
    let service = &town.rest.service;
    let router = town.id("r000");
    let said = |at: Timestamp, status: &str| {
        json!({
            "isp_id": service.isp, "device_id": router, "agent_package_id": "p", "status": status,
            "at": at.to_string(),
        })
    };
    let now = Timestamp::now();
    let event = "RSRouterAgentReported";
    assert_eq!(service.handle(event, said(now, "installed")).await, Outcome::Done);
    for late in [said(now, "installed"), said(now - 1.second(), "failed")] {
        assert_eq!(service.handle(event, late).await, Outcome::Skipped("superseded"));
    }
    // A clock that knows seconds only: of equal times the one counts that is said last.
    for status in ["failed", "installed"] {
        assert_eq!(service.handle(event, said(now, status)).await, Outcome::Done);
    }
    let stored = service.stored("router_agents", &router).await;
    assert_eq!(stored.get_str("status").unwrap(), "installed");
    assert_eq!(service.handle(event, said(now + 1.second(), "failed")).await, Outcome::Done);
    let foreign = with(said(now + 2.seconds(), "installed"), json!({"isp_id": "isp-x"}));
    let outcome = service.handle(event, foreign).await;
    assert!(shown(&outcome).contains("tenant_mismatch"), "{outcome:?}");
    let unknown = with(said(now, "installed"), json!({"device_id": town.id("unknown")}));
    assert_eq!(service.handle(event, unknown).await, Outcome::Done);
    let malformed = with(said(now, "installed"), json!({"status": "perhaps"}));
    assert!(shown(&service.handle(event, malformed).await).starts_with("rejected"));
}

#[tokio::test]
async fn a_failure_from_before_it_is_not_its_own_however_late_it_is_heard_of() {
    let mut town = Town::start(1).await;
    let id = town.begin(json!({"waves_per_mille": [1000], "error_per_mille": 0})).await;
    let (router, new) = (town.id("r000"), town.id("b"));
    let said = json!({
        "isp_id": town.rest.service.isp, "device_id": router, "agent_package_id": new,
        "status": "failed", "at": (Timestamp::now() - 1.hour()).to_string(),
    });
    town.rest.service.done("RSRouterAgentReported", said).await;
    // It is told, and says nothing yet.
    town.tried = [(router.clone(), new.clone())].into();
    for _ in 0..6 {
        let shown = town.step(&id, |_| true).await;
        assert_ne!(shown["state"], json!("paused"), "{shown}");
    }
    let shown = town.until(&id, &["walking"], |_| true).await;
    assert_eq!(shown["counts"], json!({"routers": 1, "installed": 0, "failed": 0, "silent": 1}));
    assert_eq!(town.report(&router, &new, "failed").await, Outcome::Done);
    town.until(&id, &["paused"], |_| true).await;
}

#[tokio::test]
async fn a_package_that_had_the_routers_once_gets_them_back_only_by_the_end_of_the_rollout() {
    let mut town = Town::start(6).await;
    let group = json!([{"model": "hg-1", "target_version": null}]);
    // The last one that is given the group has it.
    for (package, groups) in [("b", group.clone()), ("a", json!([])), ("a", group)] {
        let body = json!({"routers": [], "groups": groups});
        assert_eq!(town.rest.put(&town.path(package), &body).await.status, 200);
    }
    let id = town.begin(json!({"waves_per_mille": [1000]})).await;
    town.until(&id, &["finishing"], |_| true).await;
    town.list(2, &["a"]).await;
    let paused = town.until(&id, &["paused", "completed"], |_| true).await;
    assert_eq!(paused["state"], json!("paused"), "{paused}");
    town.list(3, &["a", "b"]).await;
    assert_eq!(town.told_to(&id, "resume").await, 204);
    town.until(&id, &["completed"], |_| true).await;
    assert_eq!(town.told().await.into_values().collect::<BTreeSet<_>>(), [town.id("b")].into());
    drive_rollouts(&town.rest.service.app).await.unwrap();
    assert_eq!(town.release("a").await.status, 204);
}
