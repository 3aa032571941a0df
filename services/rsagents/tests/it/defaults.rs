//! What models run where nothing else is said.

use expect_test::expect;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    rest::Answer,
    service::{LIMIT, Service},
};

const PATH: &str = "/router_agent_packages/default";

impl Service {
    /// Sets defaults: a package's name for each model.
    async fn set(&self, defaults: &[(&str, &str)]) -> Answer {
        let members = defaults.iter().map(|(model, it)| ((*model).to_owned(), json!(self.id(it))));
        let defaults: serde_json::Map<String, Value> = members.collect();
        self.put(PATH, &json!({"defaults": defaults})).await
    }

    async fn says_defaults(&self, wanted: Value) {
        let look = async || {
            let said = self.said_last("RSDefaultAgentsUpdated").await?;
            (said["defaults"] == wanted).then_some(())
        };
        eventually(&format!("the defaults are {wanted}"), LIMIT, look).await;
    }
}

#[tokio::test]
async fn defaults_are_set_shown_and_told() {
    let service = Service::start().await;
    let unset = service.get(PATH).await;
    assert_eq!((unset.status, unset.etag.as_deref()), (200, Some("\"0\"")));
    assert_eq!(unset.body, json!({"defaults": {}}));
    service.release("p").await;
    let set = service.set(&[("hg-8000", "p")]).await;
    let wanted = json!({"hg-8000": service.id("p")});
    assert_eq!((set.status, &set.body), (200, &json!({"defaults": wanted})), "{}", set.body);
    let shown = service.get(PATH).await;
    assert_eq!((shown.body, &shown.etag), (set.body, &set.etag));
    service.says_defaults(wanted).await;
    let said = service.said_last("RSDefaultAgentsUpdated").await.unwrap();
    assert_eq!(said["isp_id"], json!(service.isp));
    assert_eq!(set.etag, Some(format!("\"{}\"", said["revision"])));

    let put = |tag: &str| {
        let request = service.as_isp(Method::PUT, PATH).json(&json!({"defaults": {}}));
        Answer::of(request.header("if-match", tag.to_owned()))
    };
    assert_eq!(put("\"0\"").await.status, 412);
    assert_eq!(put(&set.etag.unwrap()).await.status, 200);
    service.says_defaults(json!({})).await;
}

#[tokio::test]
async fn only_a_package_that_can_be_run_by_default_becomes_one() {
    let service = Service::start().await;
    let other = Service::start().await;
    other.release("theirs").await;
    service.make("draft", "draft").await;
    service.make("silent", "released").await;
    service.release("p").await;
    let mut lines = String::new();
    for name in ["draft", "silent", "unknown"] {
        lines += &format!("{}\n", service.set(&[("hg-8000", name)]).await.lines());
    }
    lines += &format!("{}\n", service.set(&[("hg-9000", "p")]).await.lines());
    let theirs = json!({"defaults": {"a/b": other.id("theirs")}});
    lines += &format!("{}\n", service.put(PATH, &theirs).await.lines());
    let wrong = json!({"defaults": {"": "p", "hg-8000": 7}, "more": 1});
    lines += &format!("{}\n", service.put(PATH, &wrong).await.lines());
    expect![[r"
        409 package `draft` is draft
        409 package `silent` is not held by the backend
        404 Not found
        /defaults/hg-8000 is not known
        409 package `p` does not run on model `hg-9000`
        404 Not found
        /defaults/a~1b is not known
        422 some members of the body are wrong
        /defaults/ must have the name of a model, of 1 to 64 characters
        /defaults/hg-8000 must be the id of a package
        /more is not known here
    "]]
    .assert_eq(&lines.replace(&service.id(""), ""));
    assert_eq!(service.get(PATH).await.body, json!({"defaults": {}}));
}

#[tokio::test]
async fn what_a_model_runs_by_default_it_goes_on_to_run_until_it_is_revoked() {
    let service = Service::start().await;
    service.release("p").await;
    service.release("q").await;
    assert_eq!(service.set(&[("hg-8000", "p")]).await.status, 200);
    let to = async |state: &str| service.patch("p", &json!({"state": state}), None).await.status;
    assert_eq!(to("deprecated").await, 200);
    assert_eq!(service.set(&[("hg-8000", "p")]).await.status, 200);
    assert_eq!(to("revoked").await, 200);
    service.says_defaults(json!({})).await;
    let refused = service.set(&[("hg-8000", "p")]).await.lines();
    assert_eq!(refused, format!("409 package `{}` is revoked", service.id("p")));
    assert_eq!(service.set(&[("hg-8000", "q")]).await.status, 200);
}

#[tokio::test]
async fn of_a_deletion_and_a_default_at_once_one_wins() {
    let service = Service::start().await;
    for at in 0..6 {
        let name = format!("p{at}");
        service.release(&name).await;
        let defaults = [("hg-8000", name.as_str())];
        let (deleted, set) = tokio::join!(service.delete(&name), service.set(&defaults));
        let both = (deleted.status, set.status);
        assert!([(204, 409), (204, 404), (409, 200)].contains(&both), "{both:?}");
        let shown = service.get(PATH).await.body;
        let is_default = shown["defaults"]["hg-8000"] == json!(service.id(&name));
        assert_eq!(is_default, set.status == 200, "{shown}");
        assert_eq!(service.set(&[]).await.status, 200);
    }
}
