//! Agent packages over REST: made, listed, shown, changed.

use expect_test::expect;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{eventually, tokens::Issuer};

use crate::{
    rest::{Answer, PATH, package},
    service::{LIMIT, PACKAGES_MAX, Service},
};

#[tokio::test]
async fn a_package_that_is_made_is_shown_has_a_tag_and_is_told() {
    let service = Service::start().await;
    for path in [PATH, "/subsystems/rs/router_agent_packages"] {
        let made = service.post(path, &service.package("4.2.0")).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let id = made.body["agent_package_id"].as_str().unwrap().to_owned();
        assert_eq!(made.location, Some(format!("{PATH}/{id}")));
        let revision = made.body["revision"].as_u64().unwrap();
        assert_eq!(made.etag, Some(format!("\"{revision}\"")));
        let mut wanted = service.package("4.2.0");
        let rest = json!({
            "agent_package_id": id, "isp_id": service.isp, "revision": revision, "state": "draft",
        });
        for (name, it) in rest.as_object().unwrap() {
            wanted[name] = it.clone();
        }
        let said = async || {
            let all = service.records_of(&id).await;
            all.into_iter().next()
        };
        let said = eventually("it is told", LIMIT, said).await;
        assert_eq!(said.headers["ce_type"], "RSAgentPackageCreated");
        assert_eq!(said.headers["ce_tenant"], service.isp);
        assert_eq!(said.json().unwrap(), wanted);
        for (name, it) in [("deleting", json!(false)), ("listed", json!(false))] {
            wanted[name] = it;
        }
        let look = async || {
            let shown = service.get(&format!("{PATH}/{id}")).await;
            (shown.body["backend"]["status"] == "applied").then_some(shown)
        };
        let shown = eventually("the backend holds it", LIMIT, look).await;
        wanted["backend"] = json!({"status": "applied", "http_status": null, "error": null});
        assert_eq!((shown.body, shown.etag), (wanted, made.etag));
    }
}

#[tokio::test]
async fn a_package_of_a_name_is_made_once() {
    let service = Service::start().await;
    let (path, body) = (service.path("p"), service.package("4.2.0"));
    let made = service.post(&path, &body).await;
    assert_eq!((made.status, &made.body["agent_package_id"]), (201, &json!(service.id("p"))));
    let again = service.post(&path, &body).await;
    assert_eq!((again.status, again.etag), (200, made.etag));
    let other = service.post(&path, &service.package("4.2.1")).await;
    assert_eq!(other.lines(), "409 there is a package of this id");
    assert_eq!(service.delete("p").await.status, 204);
    let gone = service.post(&path, &body).await;
    assert_eq!(gone.lines(), "409 the id is that of a deleted package");
    assert_eq!(service.post(&format!("{PATH}/a%20b"), &body).await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_package_is_told_member_by_member() {
    let service = Service::start().await;
    let body = json!({
        "version": "v4", "models": [7], "url": "example.org", "sha256": "AB", "size_bytes": -1,
        "signature": "?", "state": "gone", "agent_package_id": "p-1",
    });
    expect![[r"
        422 some members of the body are wrong
        /version must be a semantic version of at most 64 characters, such as 4.2.0
        /models must be a list of 1 to 50 different models of 1 to 64 characters
        /url must be an absolute URL of at most 2048 bytes that begins with https:// or http://
        /sha256 must be 64 hexadecimal digits in lower case
        /size_bytes must be a number of bytes from 1 to 2^53 - 1
        /signature must be an Ed25519 signature in Base64
        /state must be draft or released
        /agent_package_id is not known here"]]
    .assert_eq(&service.post(PATH, &body).await.lines());
    let raw = service.as_isp(Method::POST, PATH).header("content-type", "application/json");
    assert_eq!(Answer::of(raw.body("[")).await.status, 422);
    let listed = service.get(PATH).await;
    assert_eq!(listed.body, json!({"items": [], "next": null}));
}

#[tokio::test]
async fn only_what_a_trusted_maker_has_signed_is_taken() {
    let service = Service::start().await;
    let refused =
        "422 some members of the body are wrong\n/signature must be of somebody who is trusted";
    let stranger = package(&Issuer::new("stranger").unwrap(), "4.2.0");
    assert_eq!(service.post(PATH, &stranger).await.lines(), refused);
    service.make("p", "draft").await;
    // The signature is of another version, another digest, another size.
    for (member, value) in [
        ("version", json!("4.3.0")),
        ("sha256", json!("f".repeat(64))),
        ("size_bytes", json!(1_048_577)),
    ] {
        let mut other = service.package("4.2.0");
        other[member] = value.clone();
        assert_eq!(service.post(PATH, &other).await.lines(), refused, "{member}");
        let patch = json!({ member: value });
        assert_eq!(service.patch("p", &patch, None).await.lines(), refused, "{member}");
    }
    // Base64 of the other alphabet, padded, is the same signature.
    let mut body = service.package("4.2.0");
    let signature = body["signature"].as_str().unwrap().replace('-', "+").replace('_', "/");
    body["signature"] = json!(format!("{signature}=="));
    assert_eq!(service.post(PATH, &body).await.status, 201);
}

#[tokio::test]
async fn packages_are_listed_page_by_page_by_state_and_by_model() {
    let service = Service::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        service.make(name, if name < "d" { "draft" } else { "released" }).await;
    }
    let patch = json!({"models": ["hg-9000", "hg-8000"]});
    assert_eq!(service.patch("b", &patch, None).await.status, 200);
    service.delete("c").await;
    let names = async |query: &str| {
        let page = service.get(&format!("{PATH}?{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.body);
        let items = page.body["items"].as_array().unwrap().iter();
        let name =
            |it: &Value| it["agent_package_id"].as_str().unwrap().replace(&service.id(""), "");
        (items.map(name).collect::<Vec<_>>().join(" "), page.body["next"].clone())
    };
    assert_eq!(names("").await, ("a b d e".to_owned(), Value::Null));
    let (first, next) = names("limit=3").await;
    assert_eq!(first, "a b d");
    let rest = names(&format!("limit=3&cursor={}", next.as_str().unwrap())).await;
    assert_eq!(rest, ("e".to_owned(), Value::Null));
    assert_eq!(names("limit=4").await.1, Value::Null);
    assert_eq!(names("state=draft").await.0, "a b");
    assert_eq!(names("state=revoked").await.0, "");
    assert_eq!(names("model=hg-9000").await.0, "b");
    assert_eq!(names("model=hg-8000&state=released&limit=1").await.0, "d");
    for query in ["limit=0", "limit=501", "limit=x", "state=gone", "cursor=a%20b", "other=1"] {
        assert_eq!(service.get(&format!("{PATH}?{query}")).await.status, 422, "{query}");
    }
    let long = "x".repeat(2_000);
    assert_eq!(service.get(&format!("{PATH}?model={long}")).await.status, 413);
}

#[tokio::test]
async fn a_package_goes_its_way_and_no_other() {
    let service = Service::start().await;
    service.make("p", "draft").await;
    let to = async |state: &str| service.patch("p", &json!({"state": state}), None).await.lines();
    expect!["409 a package that is draft cannot become deprecated"]
        .assert_eq(&to("deprecated").await);
    assert_eq!(to("draft").await, "200");
    assert_eq!(to("released").await, "200");
    assert_eq!(to("draft").await, "409 a package that is released cannot become draft");
    let other = json!({"url": "https://example.org/q"});
    expect!["409 a package that is released stays what it is: only its state can change"]
        .assert_eq(&service.patch("p", &other, None).await.lines());
    assert_eq!(to("deprecated").await, "200");
    assert_eq!(to("released").await, "409 a package that is deprecated cannot become released");
    assert_eq!(to("revoked").await, "200");
    for state in ["draft", "released", "deprecated"] {
        let refused = format!("409 a package that is revoked cannot become {state}");
        assert_eq!(to(state).await, refused);
    }
    let told = async || {
        let all = service.records_of(&service.id("p")).await;
        let last = all.last()?.json().unwrap();
        (last["state"] == "revoked").then_some(())
    };
    eventually("the end of it is told", LIMIT, told).await;
}

#[tokio::test]
async fn who_changes_a_state_that_is_not_there_any_more_changes_nothing() {
    let service = Service::start().await;
    let first = service.make("p", "draft").await.etag.unwrap();
    let url = |it: &str| json!({"url": format!("https://example.org/{it}")});
    let second = service.patch("p", &url("a"), Some(&first)).await;
    assert_eq!(second.status, 200);
    let refused = service.patch("p", &url("b"), Some(&first)).await;
    assert_eq!(refused.lines(), "412 it is not in the state that If-Match names");
    let delete = service.as_isp(Method::DELETE, &service.path("p")).header("if-match", &first);
    assert_eq!(Answer::of(delete).await.status, 412);
    let mut whole = service.package("4.2.0");
    let put = service.as_isp(Method::PUT, &service.path("p")).json(&whole);
    expect![[r"
        422 some members of the body are wrong
        /state must be there"]]
    .assert_eq(&Answer::of(put).await.lines());
    whole["state"] = json!("released");
    let put = service.as_isp(Method::PUT, &service.path("p")).json(&whole);
    let put = Answer::of(put.header("if-match", second.etag.unwrap())).await;
    assert_eq!((put.status, &put.body["url"]), (200, &whole["url"]), "{}", put.body);
    let again = service.put(&service.path("p"), &whole).await;
    assert_eq!((again.status, again.etag), (200, put.etag), "nothing has changed");
}

#[tokio::test]
async fn there_is_an_end_to_the_packages_of_an_isp() {
    let service = Service::start().await;
    for at in 0..PACKAGES_MAX {
        service.make(&format!("p{at}"), "draft").await;
    }
    let refused = service.post(PATH, &service.package("4.2.0")).await;
    assert_eq!(refused.lines(), "409 there are 8 packages, and no room");
    let again = service.post(&service.path("p0"), &service.package("4.2.0")).await;
    assert_eq!(again.status, 200, "{}", again.body);
    service.delete("p0").await;
    service.make("p8", "draft").await;
}
