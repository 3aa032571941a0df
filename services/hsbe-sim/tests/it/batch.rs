//! Many devices at once, in and out.

use serde_json::{Value, json};

use crate::{bodies, service};

fn item(id: &str, revision: u64) -> Value {
    json!({"revision": revision, "configuration": bodies::device(id)})
}

#[tokio::test]
async fn each_item_of_a_batch_stands_for_itself() {
    let service = service::start("").await;
    assert_eq!(service.put("/devices/d-1", 5, &bodies::device("d-1")).await.status, 204);
    let mut spoiled = item("d-3", 1);
    spoiled["configuration"]["is_iot"] = "no".into();
    let unknown = json!({"revision": 1, "configuration": bodies::device("d-4"), "force": true});
    let batch = json!([item("d-1", 4), item("d-2", 9), spoiled, unknown]);
    let reply = service.send(service.request("POST", "/devices").json(&batch)).await;
    assert_eq!(reply.status, 207);
    let results = reply.body["results"].as_array().expect("results");
    let results: Vec<_> =
        results.iter().map(|it| (&it["id"], &it["status"], &it["error"])).collect();
    let (done, none) = (json!(201), Value::Null);
    let (wrong, why) = (json!(422), json!("malformed"));
    let ids = (json!("d-1"), json!("d-2"));
    assert_eq!(
        results,
        [
            (&ids.0, &done, &none),
            (&ids.1, &done, &none),
            (&none, &wrong, &why),
            (&none, &wrong, &why)
        ]
    );
    assert_eq!(service.history("/devices/d-1").await, "PUT 5 204, POST 4 204");
    assert_eq!(service.get("/sim/dump").await["devices"]["d-2"], bodies::device("d-2"));
    let summary = service.summary(&["devices", "regressions", "rejected", "writes"]).await;
    assert_eq!(summary, r#"devices 2, regressions 1, rejected 2, writes {"POST":2,"PUT":1}"#);
    service.stop().await;
}

#[tokio::test]
async fn a_device_may_come_alone_and_a_batch_has_an_end() {
    let service = service::start("").await;
    let post = |body: &Value| service.request("POST", "/devices").json(body);
    let alone = service.send(post(&bodies::device("d-1")).header("x-revision", 3)).await;
    assert_eq!(alone.status, 201);
    assert_eq!(alone.body, json!({"results": [{"id": "d-1", "status": 201}]}));
    assert_eq!(service.send(post(&json!({"device": 1}))).await.error(), "422 malformed");
    assert_eq!(service.put("/devices/d-1", 2, &bodies::device("d-1")).await.status, 204);
    assert_eq!(service.summary(&["regressions"]).await, "regressions 1");

    let batch = |size: u64| (0..size).map(|it| item(&format!("d-{it}"), 5)).collect::<Value>();
    assert_eq!(service.send(post(&batch(501))).await.error(), "413 too_many_items");
    assert_eq!(service.send(post(&batch(500))).await.status, 207);
    assert_eq!(service.summary(&["devices"]).await, "devices 500");
    service.stop().await;
}

#[tokio::test]
async fn lists_are_walked_page_by_page() {
    let service = service::start("").await;
    for id in ["d-3", "d-1", "d-2", "d-5", "d-4"] {
        service.put(&format!("/devices/{id}"), 1, &bodies::device(id)).await;
    }
    service.delete("/devices/d-3", 2).await;
    service.put("/routers/r-1", 1, &bodies::router("r-1")).await;
    service.put("/agent-packages/p-1", 1, &bodies::agent_package("p-1")).await;

    let mut pages = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page = service.get(&format!("/devices?{query}")).await;
        let ids = page["items"].as_array().expect("items").iter();
        pages.push(
            ids.map(|it| it["device"]["id"].as_str().expect("an id").to_owned())
                .collect::<Vec<_>>(),
        );
        let Some(next) = page["next"].as_str() else { break };
        query = format!("limit=2&cursor={next}");
    }
    assert_eq!(pages, [["d-1", "d-2"], ["d-4", "d-5"]]);
    let all = json!({"items": [bodies::router("r-1")], "next": null});
    assert_eq!(service.get("/routers").await, all);
    let all = json!({"items": [bodies::agent_package("p-1")], "next": null});
    assert_eq!(service.get("/agent-packages").await, all);
    // An option without a value says nothing.
    assert_eq!(service.get("/devices?cursor=&limit=").await, service.get("/devices").await);
    assert_eq!(service.get("/devices?cursor=d-5").await, json!({"items": [], "next": null}));
    service.stop().await;
}
