//! What callers may ask of rollouts, and what is refused.

use reqwest::Method;
use rsclient::domain::{Counts, WaveDone};
use serde_json::json;
use testkit::unique;

use crate::{
    rest::{Answer, BOTH, issuers},
    rollouts::{ROLLOUTS, Town},
};

#[tokio::test]
async fn a_start_is_read_strictly_and_what_is_left_out_is_as_the_settings_have_it() {
    let town = Town::start(1).await;
    let wrong = json!({
        "model": "", "from": "a b", "waves_per_mille": [100, 10], "success_per_mille": 1001,
        "soak_seconds": -1, "share": 5,
    });
    expect_test::expect![[r#"
        422 some members of the body are wrong
        /model must be a text of 1 to 1024 characters
        /from must be the id of a package
        /to must be there
        /soak_seconds must be a number of seconds
        /waves_per_mille must grow from wave to wave
        /success_per_mille must be at most 1000
        /share is not known here"#]]
    .assert_eq(&town.post(ROLLOUTS, &wrong).await.lines());
    let id = |it: &str| town.rest.service.id(it);
    let same = json!({"model": "hg-1", "from": id("a"), "to": id("a")});
    assert_eq!(
        town.post(ROLLOUTS, &same).await.lines(),
        "422 some members of the body are wrong\n/to must be another package than from"
    );
    let body = json!({"model": "hg-1", "target_version": null, "from": id("a"), "to": id("b")});
    let started = town.post(ROLLOUTS, &body).await;
    assert_eq!(started.status, 201);
    let plan = json!({
        "waves_per_mille": [10, 100, 500, 1000], "success_per_mille": 900, "error_per_mille": 50,
        "soak_seconds": 3600, "wave_seconds": 172_800, "rollout_seconds": 2_592_000,
    });
    assert_eq!(started.body["plan"], plan);
    assert_eq!(started.body["state"], json!("starting"));
}

#[tokio::test]
async fn packages_that_cannot_be_led_to_or_from_are_refused_with_the_reason() {
    let town = Town::start(1).await;
    let id = |it: &str| town.rest.service.id(it);
    let mut lines = String::new();
    for (model, from, to) in
        [("hg-1", "b", "a"), ("hg-2", "a", "b"), ("hg-1", "a", "unknown"), ("hg-1", "unknown", "b")]
    {
        let body = json!({"model": model, "from": id(from), "to": id(to)});
        let answer = town.post(ROLLOUTS, &body).await;
        lines += &format!("{model} {from} {to}: {}\n", answer.lines().replace(&id(""), ""));
    }
    expect_test::expect![[r#"
        hg-1 b a: 409 the routers follow package `a`, not `b`
        hg-2 a b: 409 the package does not run on model `hg-2`
        hg-1 a unknown: 404 Not found
        hg-1 unknown b: 404 Not found
    "#]]
    .assert_eq(&lines);
}

#[tokio::test]
async fn a_rollout_of_another_isp_is_not_there_and_each_right_is_needed() {
    let town = Town::start(1).await;
    let id = town.begin(json!({})).await;
    let one = format!("{ROLLOUTS}/{id}");
    let pause = json!({"action": "pause"});
    let theirs = issuers().1.of_isp(&unique("isp"), "rsclient", BOTH).unwrap();
    let foreign = town.rest.request(Method::GET, &one).bearer_auth(&theirs);
    assert_eq!(Answer::of(foreign).await.lines(), "404 Not found");
    let foreign = town.rest.request(Method::POST, &one).bearer_auth(&theirs).json(&pause);
    assert_eq!(Answer::of(foreign).await.lines(), "404 Not found");
    let list = Answer::of(town.rest.request(Method::GET, ROLLOUTS).bearer_auth(&theirs)).await;
    assert_eq!(list.body, json!({"items": [], "next": null}));
    let of_ours = format!("{ROLLOUTS}?isp_id={}", town.rest.service.isp);
    let foreign = town.rest.request(Method::GET, &of_ours).bearer_auth(&theirs);
    assert_eq!(Answer::of(foreign).await.status, 404);

    let reads = town.rest.token("rs:read");
    let refused = town.rest.request(Method::POST, &one).bearer_auth(&reads).json(&pause);
    assert_eq!(Answer::of(refused).await.status, 403);
    let refused = town.rest.request(Method::POST, ROLLOUTS).bearer_auth(&reads).json(&json!({}));
    assert_eq!(Answer::of(refused).await.status, 403);
    let writes = town.rest.token("rs:write");
    assert_eq!(
        Answer::of(town.rest.request(Method::GET, &one).bearer_auth(&writes)).await.status,
        403
    );
    assert_eq!(Answer::of(town.rest.request(Method::GET, &one)).await.status, 401);

    let operator = issuers().0.operator("rsclient", BOTH).unwrap();
    let ask = |method, path: &str| town.rest.request(method, path).bearer_auth(&operator);
    assert_eq!(Answer::of(ask(Method::GET, &one)).await.body["rollout_id"], json!(id));
    assert_eq!(
        Answer::of(ask(Method::GET, &of_ours)).await.body["items"][0]["rollout_id"],
        json!(id)
    );
    let unnamed = Answer::of(ask(Method::POST, ROLLOUTS).json(&json!({}))).await;
    assert_eq!(unnamed.lines(), "422 isp_id must name the ISP");
    assert_eq!(Answer::of(ask(Method::POST, &one).json(&pause)).await.status, 204);
    assert_eq!(town.shown(&id).await["reason"], json!("by testkit"));
}

#[tokio::test]
async fn what_a_rollout_is_told_is_read_strictly() {
    let town = Town::start(1).await;
    let id = town.begin(json!({})).await;
    let one = format!("{ROLLOUTS}/{id}");
    for (body, wanted) in [
        (json!({}), "/action must be there"),
        (json!({"action": "cancel"}), "/action must be pause, resume or abort"),
        (json!({"action": "pause", "x": 1}), "/x is not known here"),
        (json!(["pause"]), " must be an object"),
    ] {
        let lines = town.post(&one, &body).await.lines();
        assert_eq!(lines, format!("422 some members of the body are wrong\n{wanted}"));
    }
    for action in ["resume", "pause", "pause", "resume", "abort", "abort"] {
        assert_eq!(town.post(&one, &json!({"action": action})).await.status, 204, "{action}");
    }
    let refused = town.post(&one, &json!({"action": "pause"})).await;
    assert_eq!(refused.lines(), "409 it is being aborted");
    for path in [format!("{ROLLOUTS}/nobody"), format!("{ROLLOUTS}/no%20id")] {
        assert_eq!(town.rest.get(&path).await.lines(), "404 Not found");
        assert_eq!(town.post(&path, &json!({"action": "pause"})).await.status, 404);
    }
    for query in ["limit=0", "limit=501", "limit=x", "cursor=a%20b", "unknown=1"] {
        assert_eq!(town.rest.get(&format!("{ROLLOUTS}?{query}")).await.status, 422, "{query}");
    }
}

#[tokio::test]
async fn the_document_of_a_rollout_is_small_however_many_routers_it_leads() {
    let town = Town::start(1).await;
    let id = town.begin(json!({})).await;
    let rollouts = &town.rest.service.app.store.rollouts;
    let mut rollout = rollouts.find(&id.parse().unwrap()).await.unwrap().unwrap();
    let counts = Counts { routers: 1 << 40, installed: 1 << 39, failed: 1 << 39 };
    rollout.plan.waves_per_mille = (1..=20).map(|it| it * 50).collect();
    rollout.plan.check().unwrap();
    let done = |share: u16| WaveDone { share_per_mille: share, counts, at: rollout.started_at };
    rollout.done = rollout.plan.waves_per_mille.iter().map(|it| done(*it)).collect();
    (rollout.counts, rollout.of_wave) = (counts, counts);
    rollout.group.model = "m".repeat(1_024).try_into().unwrap();
    rollout.requested_by = "w".repeat(200);
    rollout.standstill = Some("s".repeat(2_000));
    assert!(rollouts.write(&mut rollout).await.unwrap());
    let bytes = town.rest.service.stored("rollouts", &id).await.to_string().len();
    assert!((4_000..16_384).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn two_rollouts_that_may_have_routers_in_common_are_not_open_together() {
    let town = Town::start(1).await;
    let id = |it: &str| town.rest.service.id(it);
    let of_all = town.begin(json!({})).await;
    let of_some =
        json!({"model": "hg-1", "target_version": "beta", "from": id("a"), "to": id("b")});
    let wanted = format!("409 rollout `{of_all}` of routers of model `hg-1` is not over");
    assert_eq!(town.post(ROLLOUTS, &of_some).await.lines(), wanted);
}

#[tokio::test]
async fn while_a_rollout_is_open_no_other_package_becomes_the_newest_of_its_group() {
    let town = Town::start(1).await;
    let path =
        |it: &str| format!("/subsystems/rs/router_agent_packages/{}", town.rest.service.id(it));
    let group = json!({"routers": [], "groups": [{"model": "hg-1"}]});
    for package in ["b", "a"] {
        assert_eq!(town.rest.put(&path(package), &group).await.status, 200);
    }
    let id = town.begin(json!({})).await;
    let wanted = format!("409 rollout `{id}` leads these routers of model `hg-1`");
    assert_eq!(town.rest.put(&path("b"), &group).await.lines(), wanted);
    assert_eq!(town.rest.put(&path("a"), &group).await.status, 200);
}
