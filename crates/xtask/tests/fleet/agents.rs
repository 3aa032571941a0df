//! Agent packages from the ISP to the backend: made, listed, run by default, used, given up, deleted.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{eventually, fleet::Service::RsAgents};

use crate::world::{LIMIT, World, options};

const ISP: &str = "isp-agents";
const MODEL: &str = "hg-8000";

impl World {
    /// Asks rsagents as an operator: status and body.
    async fn agents(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let address = self.fleet.address(RsAgents, 0, "http").unwrap();
        let token = self.fleet.token(None, "rsagents", "rs:read rs:write").unwrap();
        chassis::tls::install_provider();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("http://{address}{path}?isp_id={ISP}");
        let request = client.request(method, url).bearer_auth(token);
        let request = body.into_iter().fold(request, |it, body| it.json(body));
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
    }

    /// Makes a released package; answers its id once routers may be pointed at it.
    async fn released(&mut self, version: &str) -> String {
        self.fleet.release(ISP, MODEL, version, LIMIT).await.unwrap()
    }

    /// Waits until the backend holds this at a place.
    async fn holds_at(&self, kind: &str, id: &str, member: &str, wanted: &Value) {
        let look = async || {
            let held = self.fleet.simulator().dump().await.unwrap();
            (held[kind][id][member] == *wanted).then_some(())
        };
        eventually(&format!("{kind} {id}: {member} is {wanted}"), LIMIT, look).await;
    }
}

fn home() -> Value {
    json!({
        "isp_id": ISP,
        "account": {"isp_id": ISP, "account_id": "a-agents", "revision": 1, "status": "active"},
        "users": [],
        "devices": [{
            "isp_id": ISP, "account_id": "a-agents", "device_id": "r-agents", "revision": 1,
            "kind": "router", "name": "Router", "device_type": "router", "model": MODEL,
            "mac": "3c:22:fb:01:02:03",
        }],
    })
}

#[tokio::test]
async fn a_package_comes_from_its_maker_to_the_routers_and_goes_when_nobody_uses_it() {
    let mut world = World::start(options().with_sync(1)).await;
    world.provision(&[home()]).await;
    world.holds(1).await;
    let first = world.released("1.0.0").await;
    let second = world.released("2.0.0").await;
    let versions = format!("{ISP}/agent-versions");
    let listed = |ids: &[&String]| {
        let version = |it: &String| if *it == first { "1.0.0" } else { "2.0.0" };
        let listed = ids
            .iter()
            .map(|it| json!({"agent_package_id": it, "version": version(it), "models": [MODEL]}));
        Value::Array(listed.collect())
    };
    world.holds_at("system", &versions, "packages", &listed(&[&first, &second])).await;

    let default = json!({"defaults": {MODEL: first}});
    let path = "/router_agent_packages/default";
    let (status, answer) = world.agents(Method::PUT, path, Some(&default)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    world.holds_at("routers", "r-agents", "target_agent_package", &json!(first)).await;
    let held = world.fleet.simulator().dump().await.unwrap();
    assert_eq!(held["system"][format!("{ISP}/agent-default")], default);

    let isp = world.fleet.isp(ISP).unwrap();
    let association = format!("/subsystems/rs/router_agent_packages/{second}");
    let routers = json!({"routers": ["r-agents"], "groups": []});
    isp.put(&association, &routers).await.unwrap();
    world.holds_at("routers", "r-agents", "target_agent_package", &json!(second)).await;
    let delete = async |id: &str| {
        world.agents(Method::DELETE, &format!("/router_agent_packages/{id}"), None).await
    };
    let (status, refused) = delete(&first).await;
    let why = format!("the default of model `{MODEL}`");
    assert_eq!((status, &refused["detail"]), (StatusCode::CONFLICT, &json!(why)));
    let (status, refused) = delete(&second).await;
    assert_eq!(
        (status, &refused["detail"]),
        (StatusCode::CONFLICT, &json!("used by router `r-agents`"))
    );

    isp.put(&association, &json!({"routers": [], "groups": []})).await.unwrap();
    world.holds_at("routers", "r-agents", "target_agent_package", &json!(first)).await;
    assert_eq!(delete(&second).await.0, StatusCode::NO_CONTENT);
    world.holds_at("system", &versions, "packages", &listed(&[&first])).await;
    world.holds_at("agent_packages", &second, "id", &Value::Null).await;
    world.fleet.settled(LIMIT).await.unwrap();
    assert_eq!(world.fleet.simulator().count("regressions").await.unwrap(), 0);
    assert_eq!(world.dead_letters().await, []);
    world.fleet.stop().await.unwrap();
}
