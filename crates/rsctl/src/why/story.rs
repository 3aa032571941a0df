//! What rsclient says of a device, as a story: one headline, then where the device has been, then what holds for it.
//!
//! What this program does not know is left out, and what is absent is not told: rsclient may be older or newer.

use std::io::Write;

use anyhow::Result;
use comfy_table::Table;
use serde_json::Value;

use crate::shown::{bare_table, cut, line};

/// Most characters of a value or a reason on one line.
const CHARACTERS: usize = 160;
/// Most rules that are told one by one.
const RULES: usize = 20;

/// Writes the story.
pub(crate) fn write(trace: &Value, effective: &Value, out: &mut dyn Write) -> Result<()> {
    let verdict = text(&trace["headline"]["verdict"]).unwrap_or_else(|| "unknown".to_owned());
    let why = text(&trace["headline"]["text"]).unwrap_or_default();
    writeln!(out, "{}: {why}", verdict.replace('_', " "))?;
    let mut way = bare_table();
    tell_device(trace, &mut way);
    tell_way(trace, &mut way);
    writeln!(out, "\n{}", way.trim_fmt())?;
    if effective["configuration"].is_object() {
        let mut holds = bare_table();
        tell_configuration(effective, &mut holds);
        writeln!(out, "\n{}", holds.trim_fmt())?;
    }
    Ok(())
}

fn tell_device(trace: &Value, table: &mut Table) {
    let kind = text(&trace["kind"]).unwrap_or_else(|| "of unknown kind".to_owned());
    row(table, "device", words([text(&trace["device_id"]), Some(format!("({kind})"))]));
    row(table, "name", text(&trace["name"]));
    row(table, "account", text(&trace["account_id"]));
    row(table, "isp", text(&trace["isp_id"]));
}

fn tell_way(trace: &Value, table: &mut Table) {
    let stored = &trace["stored"];
    let what = if stored["deleted"] == true { "a deletion, revision" } else { "revision" };
    if let Some(revision) = text(&stored["revision"]) {
        row(table, "stored", words([owned(what), Some(revision), at(&stored["at"])]));
    }
    row(table, "pending", text(&trace["pending"]["why"]));
    row(table, "command waits", text(&trace["pending_action"]["name"]));
    let wanted = text(&trace["effective_revision"]).map(|it| format!("revision {it}"));
    row(table, "should hold", wanted);
    let published = &trace["published"];
    if published.is_object() {
        let event = text(&published["event"]);
        let revision = text(&published["revision"]).map(|it| format!("as revision {it}"));
        row(table, "published", words([event, revision, at(&published["at"]), place(published)]));
    }
    tell_backend(&trace["backend"], table);
    let set_aside = &trace["dead_lettered"];
    for it in items(&set_aside["items"]) {
        let by = text(&it["group"]).map(|it| format!("by {it},"));
        let parts = [text(&it["event"]), by, at(&it["failed_at"]), place(it), text(&it["error"])];
        row(table, "set aside", words(parts));
    }
    row(table, "set aside, not known", text(&set_aside["unknown"]));
    for it in items(&trace["syncs"]) {
        let job = text(&it["job_id"]).map(|it| format!("job {it}:"));
        row(table, "sync", words([job, text(&it["state"]), text(&it["standstill"])]));
    }
}

fn tell_backend(backend: &Value, table: &mut Table) {
    let applied = &backend["applied"];
    if applied.is_object() {
        let revision = text(&applied["revision"]).map(|it| format!("revision {it}"));
        row(
            table,
            "backend holds",
            words([revision, text(&applied["status"]), at(&applied["at"])]),
        );
    }
    let rejected = &backend["rejected"];
    if rejected.is_object() {
        let revision = text(&rejected["revision"]).map(|it| format!("revision {it}:"));
        let status = text(&rejected["http_status"]);
        let error = text(&rejected["error"]);
        row(table, "refused", words([revision, status, error, at(&rejected["at"])]));
    }
    for it in items(&backend["waiting"]) {
        let since = text(&it["since"]).map(|it| format!("since {it},"));
        let attempts = text(&it["attempts"]).map(|it| format!("after {it} attempts:"));
        row(table, "waits", words([place(it), since, attempts, text(&it["reason"])]));
    }
    let circuit = &backend["circuit"];
    if circuit.is_object() && circuit["state"] != "closed" {
        let since = text(&circuit["since"]).map(|it| format!("since {it}:"));
        row(table, "nothing is sent", words([since, text(&circuit["reason"])]));
    }
    row(table, "backend, not known", text(&backend["unknown"]));
}

fn tell_configuration(effective: &Value, table: &mut Table) {
    for it in items(&effective["provenance"]) {
        let Some(leaf) = text(&it["leaf"]) else { continue };
        let leaf = leaf.trim_start_matches('/').trim_start_matches("services/").replace('/', ".");
        let decided_by = text(&it["decided_by"]);
        let others = items(&it["said"]).filter(|said| said["level"] != it["decided_by"]);
        let others: Vec<String> = others
            .filter_map(|it| words([text(&it["level"]), Some(value(&it["value"]))]))
            .collect();
        let others = (!others.is_empty()).then(|| format!("(not {})", others.join(", ")));
        let because = text(&it["because"]).map(|it| format!("because {},", it.replace('_', " ")));
        let by = decided_by.map(|it| format!("by {it}"));
        row(table, &leaf, words([Some(value(&it["value"])), because, by, others]));
    }
    let now = &effective["filtering_now"];
    if now.is_object() {
        let active = if now["active"] == true { "yes" } else { "no" };
        let schedule = text(&now["schedule"]).map(|it| format!("by schedule {it}"));
        let until = text(&now["until"]).map(|it| format!("until {it}"));
        row(table, "filtered at the moment", words([owned(active), schedule, until]));
    }
    let rules = items(&effective["rules"]).count();
    for it in items(&effective["rules"]).take(RULES) {
        let by = text(&it["level"]).map(|it| format!("by {it}"));
        let over: Vec<String> = items(&it["overrules"])
            .filter_map(|it| words([text(&it["level"]), text(&it["action"])]))
            .collect();
        let over = (!over.is_empty()).then(|| format!("(not {})", over.join(", ")));
        row(table, "rule", words([text(&it["action"]), text(&it["domain"]), by, over]));
    }
    if rules > RULES {
        row(table, "rule", Some(format!("… {} more", rules - RULES)));
    }
}

fn row(table: &mut Table, name: &str, value: Option<String>) {
    if let Some(value) = value {
        table.add_row([line(name.as_bytes()), cut(value, CHARACTERS)]);
    }
}

/// Those that are there, with spaces between them.
fn words<const N: usize>(parts: [Option<String>; N]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().filter(|it| !it.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn owned(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A text, a number or a word; nothing of what is absent.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(line(text.as_bytes())),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(it) => Some(it.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What a leaf is.
fn value(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "on".to_owned(),
        Value::Bool(false) => "off".to_owned(),
        Value::Array(all) if all.is_empty() => "none".to_owned(),
        Value::Array(all) => {
            let names = all.iter().map(|it| text(it).or_else(|| text(&it["name"])));
            names.flatten().collect::<Vec<_>>().join(" ")
        }
        Value::String(_) | Value::Number(_) => text(value).unwrap_or_default(),
        Value::Object(_) => line(value.to_string().as_bytes()),
    }
}

fn at(value: &Value) -> Option<String> {
    text(value).map(|it| format!("at {it}"))
}

/// Where a record lies.
fn place(value: &Value) -> Option<String> {
    let (topic, partition) = (text(&value["topic"])?, text(&value["partition"])?);
    Some(format!("{topic}/{partition}/{}", text(&value["offset"])?))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
