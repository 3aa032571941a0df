//! A document as a page for people. It is whole in itself: no script, and nothing that a browser would fetch elsewhere.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem;color:#222;background:#fff}code,pre{font:14px/1.4 ui-monospace,monospace}\
    pre{background:#f5f5f5;padding:.6rem;overflow:auto}h2{border-top:1px solid #ddd;padding-top:1rem}\
    table{border-collapse:collapse}td,th{border:1px solid #ddd;padding:.2rem .6rem;text-align:left;\
    vertical-align:top}.method{font-weight:bold;text-transform:uppercase}";

/// The page.
pub(crate) fn of(api: &OpenApi) -> String {
    let api = serde_json::to_value(api).expect("a document is JSON");
    let (title, about) = (text(&api["info"]["title"]), text(&api["info"]["description"]));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head>\n\
         <body><h1>{title}</h1><p>{about}</p><p>For programs: <a href=\"openapi.json\">\
         openapi.json</a> (OpenAPI {}).</p>\n",
        text(&api["openapi"]),
    );
    for (path, item) in members(&api["paths"]) {
        for (method, operation) in members(item).filter(|(_, it)| it["responses"].is_object()) {
            tell_operation(&mut page, path, method, operation);
        }
    }
    page.push_str("<h1>Schemas</h1>\n");
    for (name, schema) in members(&api["components"]["schemas"]) {
        let name = escaped(name);
        add(
            &mut page,
            format_args!("<h2 id=\"{name}\"><code>{name}</code></h2>{}\n", json(schema)),
        );
    }
    page.push_str("</body></html>\n");
    page
}

fn tell_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let (path, summary) = (escaped(path), text(&operation["summary"]));
    add(page, format_args!("<h2><span class=\"method\">{method}</span> <code>{path}</code></h2>"));
    add(page, format_args!("<p>{summary}</p><p>{}</p>\n", text(&operation["description"])));
    for requirement in operation["security"].as_array().into_iter().flatten() {
        for (_, scopes) in members(requirement) {
            let scopes = scopes.as_array().into_iter().flatten().map(text);
            let scopes = scopes.collect::<Vec<_>>().join(" ");
            add(page, format_args!("<p>Scope: <code>{scopes}</code></p>\n"));
        }
    }
    let parameters = operation["parameters"].as_array();
    for it in parameters.into_iter().flatten() {
        let (name, place, about) = (text(&it["name"]), text(&it["in"]), text(&it["description"]));
        add(
            page,
            format_args!("<p><code>{name}</code> ({place}): {about}</p>{}", json(&it["schema"])),
        );
    }
    for (media_type, content) in members(&operation["requestBody"]["content"]) {
        add(
            page,
            format_args!("<p>Body, <code>{}</code>:</p>{}\n", escaped(media_type), json(content)),
        );
    }
    page.push_str("<table><tr><th>answer</th><th>means</th><th>body</th></tr>\n");
    for (status, response) in members(&operation["responses"]) {
        let about = text(&response["description"]);
        let bodies = members(&response["content"]).map(|(media_type, content)| {
            format!("<code>{}</code>{}", escaped(media_type), reference(&content["schema"]))
        });
        let bodies = bodies.collect::<Vec<_>>().join("<br>");
        add(page, format_args!("<tr><td>{status}</td><td>{about}</td><td>{bodies}</td></tr>\n"));
    }
    page.push_str("</table>\n");
}

/// The name of a schema, which stands further down.
fn reference(schema: &Value) -> String {
    let name = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next());
    name.map(escaped).map_or_else(String::new, |it| format!(" <a href=\"#{it}\">{it}</a>"))
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn json(value: &Value) -> String {
    format!("<pre>{}</pre>", escaped(&format!("{value:#}")))
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes everything");
}
