//! What is looked at after the chaos, beside the comparison: arrivals, and how often the job ended.

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use testkit::{simulator::Simulator, store::Store};

const AT_ONCE: usize = 16;

/// Writes that arrived beyond the first one of each device.
pub(super) async fn resent(simulator: &Simulator) -> Result<usize> {
    let held = simulator.dump().await?;
    let of = |kind: &'static str| {
        let ids = held[kind].as_object().into_iter().flatten().map(|it| it.0.clone());
        ids.map(move |id| (kind, id)).collect::<Vec<_>>()
    };
    let all = of("devices").into_iter().chain(of("routers"));
    stream::iter(all)
        .map(async |(kind, id)| simulator.history(kind, &id).await)
        .buffered(AT_ONCE)
        .try_fold(0, async |sum, it| {
            let arrivals = it.as_array().map_or(0, Vec::len);
            Ok(sum + arrivals.saturating_sub(1))
        })
        .await
}

/// How often the document of the job came to its end, by the store's own log.
pub(super) async fn ends(mongodb: &str, database: &str, job_id: &str) -> Result<usize> {
    let store = Store::at(mongodb).await?;
    let history = store.history(database, "async_tasks", job_id).await;
    store.leave().await;
    let states: Vec<String> = history?.iter().filter_map(state_of).collect();
    Ok(times_ended(states.iter().map(String::as_str)))
}

/// The state that a write of a task's document leaves, where the write says it: a whole document, or what differs.
fn state_of(entry: &Value) -> Option<String> {
    let written = &entry["o"];
    let whole = &written["state"]["name"];
    let replaced = &written["diff"]["u"]["state"]["name"];
    let changed = &written["diff"]["sstate"]["u"]["name"];
    let said = [whole, replaced, changed].into_iter().find_map(Value::as_str);
    said.map(str::to_owned)
}

fn times_ended<'a>(states: impl Iterator<Item = &'a str>) -> usize {
    let (mut ended, mut times) = (false, 0);
    for state in states {
        let ends = state == "ended";
        times += usize::from(ends && !ended);
        ended = ends;
    }
    times
}

/// Gives rsagents so many packages to send.
pub(super) async fn add_packages(mongodb: &str, database: &str, count: usize) -> Result<()> {
    let packages: Vec<Value> = (0..count).map(package).collect();
    let store = Store::at(mongodb).await?;
    let added = store.insert(database, "agent_packages", &packages).await;
    store.leave().await;
    added
}

fn package(number: usize) -> Value {
    let id = format!("p-{number:03}");
    json!({
        "_id": id, "agent_package_id": id, "isp_id": format!("isp-{}", number % 3 + 1),
        "revision": 1_795_248_000_000_u64, "version": format!("4.{number}.0"),
        "models": ["hg-8000"], "url": format!("https://packages.example/{id}"),
        "sha256": "0".repeat(64), "size_bytes": 1_048_576, "signature": "none",
        "state": "released", "deleted": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_ends_once_however_often_its_end_is_written() {
        let times = |states: &[&str]| times_ended(states.iter().copied());
        assert_eq!(times(&["running", "running", "ended", "ended"]), 1);
        assert_eq!(times(&["running", "ended", "running", "ended"]), 2);
        assert_eq!(times(&["running"]), 0);
    }

    #[test]
    fn the_log_holds_whole_documents_or_what_differs() {
        let entries = [
            json!({"op": "i", "o": {"_id": "j", "state": {"name": "running"}}}),
            json!({"op": "u", "o": {"$v": 2, "diff": {"u": {"fence": 3}}}}),
            json!({"op": "u", "o": {"$v": 2, "diff": {"u": {"state": {"name": "paused"}}}}}),
            json!({"op": "u", "o": {"$v": 2, "diff": {"sstate": {"u": {"name": "ended"}}}}}),
        ];
        let states: Vec<String> = entries.iter().filter_map(state_of).collect();
        assert_eq!(states, ["running", "paused", "ended"]);
    }
}
