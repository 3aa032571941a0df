//! `DELETE`: nobody uses the package then, and nobody comes to use it.

use reqwest::Method;
use testkit::eventually;

use crate::{
    rest::Answer,
    rsclient::USER,
    service::{LIMIT, Service},
};

#[tokio::test]
async fn a_package_that_nobody_uses_is_deleted_told_and_listed_no_more() {
    let service = Service::start().await;
    service.release("p").await;
    service.release("q").await;
    assert_eq!(service.delete("p").await.status, 204);
    assert_eq!(service.get(&service.path("p")).await.status, 404);
    assert_eq!(service.delete("p").await.status, 404);
    service.lists(&["q"]).await;
    let look = async || {
        let last = service.records_of(&service.id("p")).await.pop()?;
        (last.headers["ce_type"] == "RSAgentPackageDeleted").then_some(last)
    };
    let told = eventually("the deletion is told", LIMIT, look).await;
    let stored = service.stored("p").await;
    assert_eq!(told.json().unwrap()["revision"], stored.get_i64("revision").unwrap());
    assert_eq!(told.headers["ce_tenant"], service.isp);
    assert!(stored.get_datetime("expire_at").is_ok() && !stored.contains_key("deleting"));

    let asked = service.shared.rsclient.asked(&service.id("p"));
    assert_eq!(asked.len(), 1);
    let claims = claims(&asked[0].token);
    assert_eq!((&claims["iss"], &claims["aud"]), (&"rsagents".into(), &"rsclient".into()));
    assert_eq!((&claims["scope"], &claims["isp_id"]), (&"internal".into(), &().into()));
}

#[tokio::test]
async fn a_package_that_somebody_uses_stays_as_it_was() {
    let service = Service::start().await;
    service.release("used").await;
    let before = service.get(&service.path("used")).await;
    assert_eq!(service.delete("used").await.lines(), format!("409 {USER}"));
    let after = service.get(&service.path("used")).await;
    assert_eq!((after.status, after.body, after.etag), (200, before.body, before.etag));
    assert!(!service.stored("used").await.contains_key("deleting"));
    // It may be anybody's default, too.
    let defaults = serde_json::json!({"defaults": {"hg-8000": service.id("used")}});
    assert_eq!(service.put("/router_agent_packages/default", &defaults).await.status, 200);
    assert_eq!(service.delete("used").await.lines(), "409 the default of model `hg-8000`");
    assert_eq!(service.shared.rsclient.asked(&service.id("used")).len(), 1);
}

#[tokio::test]
async fn a_deletion_of_which_rsclient_says_nothing_is_finished_later() {
    let service = Service::start().await;
    service.release("trouble").await;
    assert_eq!(service.delete("trouble").await.status, 503);
    let deleting = service.get(&service.path("trouble")).await;
    if deleting.status == 200 {
        assert_eq!(deleting.body["deleting"], true);
    }
    let gone = async || (service.get(&service.path("trouble")).await.status == 404).then_some(());
    eventually("it is deleted", LIMIT, gone).await;
    service.lists(&[]).await;
    assert_eq!(service.shared.rsclient.asked(&service.id("trouble")).len(), 2);
}

#[tokio::test]
async fn a_package_that_is_being_deleted_does_not_change() {
    let service = Service::start().await;
    service.make("p", "draft").await;
    let deleting = mongodb::bson::doc! { "attempts": ["a"], "since": i64::MAX };
    let begin = mongodb::bson::doc! { "$set": { "deleting": deleting } };
    let of_it = mongodb::bson::doc! { "_id": service.id("p") };
    service.documents("agent_packages").update_one(of_it, begin).await.unwrap();
    let change = serde_json::json!({"state": "released"});
    let refused = service.patch("p", &change, None).await;
    assert_eq!(refused.lines(), "409 the package is being deleted");
    // Who deletes it once more joins in.
    assert_eq!(service.delete("p").await.status, 204);
}

#[tokio::test]
async fn who_hears_no_takes_back_his_own_attempt_and_no_other() {
    let service = Service::start().await;
    service.release("used").await;
    let of_it = mongodb::bson::doc! { "_id": service.id("used") };
    let set = async |since: i64| {
        let deleting = mongodb::bson::doc! { "attempts": ["another"], "since": since };
        let begin = mongodb::bson::doc! { "$set": { "deleting": deleting } };
        let documents = service.documents("agent_packages");
        documents.update_one(of_it.clone(), begin).await.unwrap();
    };
    set(i64::MAX).await;
    assert_eq!(service.delete("used").await.lines(), format!("409 {USER}"));
    let stored = service.stored("used").await;
    let attempts = stored.get_document("deleting").unwrap().get_array("attempts").unwrap();
    assert_eq!(*attempts, ["another".into()]);
    // The other one is dead: what he has left is looked for.
    set(0).await;
    eventually("all is taken back", LIMIT, async || {
        let defaults = service.documents("default_agents");
        let of_isp = mongodb::bson::doc! { "_id": &service.isp };
        let defaults = defaults.find_one(of_isp).await.unwrap()?;
        let is_leaving = !defaults.get_array("leaving").unwrap().is_empty();
        let is_deleting = service.stored("used").await.contains_key("deleting");
        (!is_leaving && !is_deleting).then_some(())
    })
    .await;
}

#[tokio::test]
async fn of_a_change_and_a_deletion_of_one_state_at_once_one_is_refused() {
    let service = Service::start().await;
    for round in 0..5 {
        let name = format!("p{round}");
        service.make(&name, "draft").await;
        let etag = service.get(&service.path(&name)).await.etag.unwrap();
        let change = serde_json::json!({"url": "https://packages.example.org/another"});
        let change = service.patch(&name, &change, Some(&etag));
        let delete = service.as_isp(Method::DELETE, &service.path(&name));
        let delete = Answer::of(delete.header("if-match", &etag));
        let (changed, deleted) = tokio::join!(change, delete);
        let statuses = (changed.status, deleted.status);
        let wanted = [(200, 412), (412, 204), (409, 204), (404, 204)];
        assert!(wanted.contains(&statuses), "{statuses:?}");
    }
}

#[tokio::test]
async fn of_many_deletions_at_once_each_comes_to_an_end() {
    let service = Service::start().await;
    for round in 0..3 {
        let name = format!("p{round}");
        service.release(&name).await;
        let deletions = (0..4).map(|_| service.delete(&name));
        let answers = futures_util::future::join_all(deletions).await;
        let statuses: Vec<u16> = answers.iter().map(|it| it.status).collect();
        assert!(statuses.iter().all(|it| [204, 404].contains(it)), "{statuses:?}");
        assert!(statuses.contains(&204), "{statuses:?}");
        let stored = service.stored(&name).await;
        assert!(stored.get_bool("deleted").unwrap() && !stored.contains_key("deleting"));
    }
    let operator = service.as_operator(Method::DELETE, &service.path("p0"));
    assert_eq!(Answer::of(operator).await.status, 404);
}

/// What a token says.
fn claims(token: &str) -> serde_json::Value {
    let payload = token.split('.').nth(1).unwrap();
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for sign in payload.chars() {
        bits = bits << 6 | u32::try_from(ALPHABET.find(sign).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    serde_json::from_slice(&bytes).unwrap()
}
