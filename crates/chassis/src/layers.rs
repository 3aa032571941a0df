//! How layers of settings become one tree, and the tree a typed value.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Merges embedded defaults, a file and variables (their names without `prefix`).
pub(crate) fn merge(
    prefix: &str,
    defaults: &[&str],
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<Value> {
    let mut builder = Config::builder();
    for text in defaults {
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    let embedded = builder.build_cloned().map_err(sentence).context("in the embedded defaults")?;
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings file {}", path.display()))?;
        let parsed = Config::builder()
            .add_source(File::from_str(&text, FileFormat::Toml))
            .build()
            .map_err(|_| anyhow!(not_toml(path, &text)))?;
        let mut tree = parsed.cache;
        give_origin(&mut tree, &format!("the file {}", path.display()));
        builder = builder.add_source(Tree(tree));
    }
    let below = builder.build_cloned().map_err(sentence)?;
    let mut top = Value::new(None, Map::<String, Value>::new());
    for (name, text) in environment {
        let path: Vec<String> = name.split("__").map(str::to_lowercase).collect();
        let origin = format!("the environment variable {prefix}{name}");
        if path.iter().any(String::is_empty) {
            bail!("{origin} names no key");
        }
        let value = typed(text, lookup(&below.cache, &path), lookup(&embedded.cache, &path))
            .map_err(|expected| anyhow!("{origin} must be {expected}"))?;
        insert(&mut top, &path, Value::new(Some(&origin), value))
            .map_err(|()| anyhow!("{origin} contradicts another variable"))?;
    }
    let merged = builder.add_source(Tree(top)).build().map_err(sentence)?;
    let mut tree = merged.cache;
    read_files(&mut tree, "")?;
    Ok(tree)
}

/// Checks the tables that `S` has; others may stand beside them.
pub(crate) fn check<S: DeserializeOwned + Serialize>(
    tree: &Value,
    tables: &[&str],
) -> anyhow::Result<()> {
    let mut tree = tree.clone();
    if let ValueKind::Table(table) = &mut tree.kind {
        table.retain(|key, _| tables.contains(&key.as_str()));
    }
    read::<S>(tree).map(drop)
}

/// Turns the tree into settings and refuses every key that they do not know.
pub(crate) fn read<S: DeserializeOwned + Serialize>(tree: Value) -> anyhow::Result<S> {
    let given = tree.clone();
    let settings: S = tree.try_deserialize().map_err(|error| explain(error, &given))?;
    let known = serde_json::to_value(&settings)?;
    match first_unknown(&given, &known, "") {
        Some(message) => Err(anyhow!(message)),
        None => Ok(settings),
    }
}

/// A tree of settings as a layer.
#[derive(Clone)]
struct Tree(Value);

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tree")
    }
}

impl Source for Tree {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        self.0.clone().into_table()
    }
}

/// A variable's text as the kind of value that the layers below hold at its place. Where they hold
/// none, it stays a text, and the type of the setting decides.
fn typed(
    text: &str,
    below: Option<&Value>,
    embedded: Option<&Value>,
) -> Result<ValueKind, &'static str> {
    let model = embedded.or(below).map(|value| &value.kind);
    let text_kind = || ValueKind::String(text.to_owned());
    match model {
        Some(ValueKind::Boolean(_)) => {
            text.parse().map(ValueKind::Boolean).map_err(|_| "true or false")
        }
        Some(ValueKind::I64(_) | ValueKind::U64(_) | ValueKind::I128(_) | ValueKind::U128(_)) => {
            text.parse().map(ValueKind::I64).map_err(|_| "a whole number")
        }
        Some(ValueKind::Float(_)) => text.parse().map(ValueKind::Float).map_err(|_| "a number"),
        Some(ValueKind::Array(_)) => Ok(ValueKind::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::new(None, ValueKind::String(item.to_owned())))
                .collect(),
        )),
        Some(ValueKind::Table(table)) if !is_file(table) => {
            Err("left out: it is a table, set its members with NAME__MEMBER")
        }
        Some(ValueKind::Table(_) | ValueKind::String(_) | ValueKind::Nil) | None => Ok(text_kind()),
    }
}

fn lookup<'a>(tree: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(tree, |value, key| members(value)?.get(key))
}

fn insert(tree: &mut Value, path: &[String], value: Value) -> Result<(), ()> {
    let ValueKind::Table(table) = &mut tree.kind else { return Err(()) };
    match path {
        [] => Err(()),
        [last] => table.insert(last.clone(), value).map_or(Ok(()), |_| Err(())),
        [first, rest @ ..] => {
            let below = table
                .entry(first.clone())
                .or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
            insert(below, rest, value)
        }
    }
}

fn members(value: &Value) -> Option<&Map<String, Value>> {
    if let ValueKind::Table(table) = &value.kind { Some(table) } else { None }
}

fn is_file(table: &Map<String, Value>) -> bool {
    table.len() == 1 && table.contains_key("file")
}

/// Replaces each `{ file = "/path" }` by the text of that file, without its last line end.
fn read_files(value: &mut Value, path: &str) -> anyhow::Result<()> {
    let ValueKind::Table(table) = &mut value.kind else { return Ok(()) };
    if !is_file(table) {
        return table.iter_mut().try_for_each(|(key, child)| read_files(child, &join(path, key)));
    }
    let origin = table["file"].origin().map(str::to_owned);
    let file = table["file"].clone().into_string().map_err(sentence)?;
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read the file {file} that {path} names"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
    *value = Value::new(origin.as_ref(), ValueKind::String(text));
    Ok(())
}

fn give_origin(value: &mut Value, origin: &str) {
    let mut kind = std::mem::replace(&mut value.kind, ValueKind::Nil);
    if let ValueKind::Table(table) = &mut kind {
        table.values_mut().for_each(|child| give_origin(child, origin));
    }
    *value = Value::new(Some(&origin.to_owned()), kind);
}

/// The first key that was given and is not among the known ones. Every setting is written back
/// under its own name, so what does not come back was not understood.
fn first_unknown(given: &Value, known: &serde_json::Value, path: &str) -> Option<String> {
    let (ValueKind::Table(table), serde_json::Value::Object(members)) = (&given.kind, known) else {
        return None;
    };
    let mut keys: Vec<_> = table.keys().collect();
    keys.sort();
    keys.into_iter().find_map(|key| {
        let (child, place) = (&table[key], join(path, key));
        match members.get(key) {
            Some(member) => first_unknown(child, member, &place),
            None => Some(unknown_key(&place, child)),
        }
    })
}

fn unknown_key(path: &str, value: &Value) -> String {
    format!("unknown setting {path} in {}", origin_of(value).unwrap_or("the defaults"))
}

fn origin_of(value: &Value) -> Option<&str> {
    match members(value) {
        Some(table) => table.values().find_map(origin_of),
        None => value.origin(),
    }
}

/// Says why the tree is not the settings. What a derived `Deserialize` says of an unknown key
/// lacks its path and its origin: this finds them.
fn explain(error: ConfigError, given: &Value) -> anyhow::Error {
    let text = error.to_string();
    let Some(name) = text.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
    else {
        return sentence(error);
    };
    let parent =
        if let ConfigError::At { key: Some(key), .. } = &error { key.as_str() } else { "" };
    let mut places = Vec::new();
    find(given, "", name, &mut places);
    let place = places.iter().find(|(path, _)| path.starts_with(parent)).or(places.first());
    let message = match place {
        Some((path, value)) => unknown_key(path, value),
        None => format!("unknown setting {name}"),
    };
    match text.split_once("expected ").and_then(|(_, rest)| rest.split(" for key ").next()) {
        Some(expected) => anyhow!("{message}, expected {expected}"),
        None => anyhow!(message),
    }
}

fn find<'a>(value: &'a Value, path: &str, name: &str, found: &mut Vec<(String, &'a Value)>) {
    for (key, child) in members(value).into_iter().flatten() {
        let place = join(path, key);
        if key == name {
            found.push((place.clone(), child));
        }
        find(child, &place, name, found);
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Where a file stops being TOML, without showing its text, which may hold secrets.
fn not_toml(path: &Path, text: &str) -> String {
    let place = toml::from_str::<toml::Table>(text).err().and_then(|error| error.span());
    let line = place.map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    match line {
        Some(line) => format!("the file {} is not TOML at line {line}", path.display()),
        None => format!("the file {} is not TOML", path.display()),
    }
}

/// One sentence without the value that was found, which may be a secret.
fn sentence(error: ConfigError) -> anyhow::Error {
    if let ConfigError::Type { origin, expected, key, .. } = error {
        let key = key.unwrap_or_else(|| "a setting".to_owned());
        let origin = origin.map(|origin| format!(" in {origin}")).unwrap_or_default();
        anyhow!("{key}{origin} must be {expected}")
    } else if let ConfigError::NotFound(key) = error {
        anyhow!("the setting {key} is missing")
    } else if let ConfigError::At { error, key: Some(key), .. } = error {
        anyhow!("{key}: {}", sentence(*error))
    } else {
        let text = error.to_string();
        // What serde says of a wrong type or value begins with the value.
        match text.split_once(", expected ") {
            Some((what, expected)) if what.starts_with("invalid ") => anyhow!("must be {expected}"),
            _ => anyhow!(text),
        }
    }
}
