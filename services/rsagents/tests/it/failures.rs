//! What failed is kept, told, and can be sent again alone.

use serde_json::{Value, json};

use crate::service::{Service, counts};

const INTERNAL: Option<&str> = Some("internal");

fn keys(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|it| it["key"].as_str().unwrap().rsplit('-').next().unwrap()).collect()
}

#[tokio::test]
async fn what_failed_is_told_page_by_page_and_redriven_alone() {
    let service = Service::start().await;
    service.hold(&["p1", "wrong2", "wrong3", "p4", "wrong5"]).await;
    service.ask(json!({})).await;
    let wanted = counts([("total", 6), ("applied", 3), ("rejected", 3)]);
    assert_eq!(service.ends().await, ("completed_with_failures".to_owned(), wanted));

    let (status, page) = service.failures("?limit=2", INTERNAL).await;
    assert_eq!((status, keys(&page)), (200, vec!["wrong2", "wrong3"]), "{page}");
    assert_eq!(page["classes"], json!([{"class": "422", "count": 3}]));
    assert_eq!(page["items"][0]["reason"], "the signature is wrong");
    assert_eq!(page["items"][0]["class"], "422");
    assert_eq!(page["items"][0]["attempts"], 1);
    assert_eq!(page["items"][0]["task"], format!("{}/agents/000000", service.job));
    assert!(page["items"][0]["at"].as_str().unwrap().ends_with('Z'), "{page}");
    let next = page["next"].as_str().unwrap();
    let (_, page) = service.failures(&format!("?limit=2&cursor={next}"), INTERNAL).await;
    assert_eq!((keys(&page), &page["next"]), (vec!["wrong5"], &Value::Null));
    let (_, page) = service.failures("?class=500", INTERNAL).await;
    assert_eq!(keys(&page), Vec::<&str>::new());

    let again = format!("{}/agents~1", service.job);
    let control = json!({"job_id": service.job, "action": "redrive", "request_id": again});
    service.say("RSSyncControl", control).await;
    let wanted = counts([("total", 3), ("applied", 3)]);
    assert_eq!(service.request_ends(&again).await, ("completed".to_owned(), wanted));
    let wanted = ["p1", "p4", "wrong2", "wrong2", "wrong3", "wrong3", "wrong5", "wrong5"];
    assert_eq!(service.sent_names().await, wanted);
    let (status, page) = service.failures("", INTERNAL).await;
    assert_eq!((status, page), (200, json!({"classes": [], "items": [], "next": null})));
}

#[tokio::test]
async fn only_services_of_the_fleet_are_told() {
    let service = Service::start().await;
    assert_eq!(service.failures("", None).await.0, 401);
    assert_eq!(service.failures("", Some("sync:read")).await.0, 403);
    for query in ["?limit=0", "?limit=501", "?limit=x", "?other=1"] {
        assert_eq!(service.failures(query, INTERNAL).await.0, 422, "{query}");
    }
    let (status, page) = service.failures("", INTERNAL).await;
    assert_eq!((status, page), (200, json!({"classes": [], "items": [], "next": null})));
}
