//! What the backend must hold against what it holds: plain JSON, member by member.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

const EXAMPLES: usize = 10;
/// What is compared; a kind that a state does not name is empty there.
const KINDS: [&str; 4] = ["devices", "routers", "feature_flags", "system"];

/// Where two states differ. Each entry is a kind and an id, such as `devices/ID`, or a sentence about one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Expected, but not held.
    pub missing: Vec<String>,
    /// Held, but not expected.
    pub extra: Vec<String>,
    /// Held with other content, and where.
    pub different: Vec<String>,
}

impl Differences {
    /// Whether both are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty() && self.different.is_empty()
    }

    /// The first few of each, in words.
    pub fn examples(&self) -> impl Iterator<Item = String> {
        let of = |what: &'static str, all: &[String]| {
            let shown: Vec<_> =
                all.iter().take(EXAMPLES).map(|it| format!("{what}: {it}")).collect();
            shown
        };
        let all = [
            of("missing", &self.missing),
            of("extra", &self.extra),
            of("different", &self.different),
        ];
        all.into_iter().flatten()
    }
}

/// Compares `{"devices":{id:…},"routers":{id:…},"feature_flags":{router:…},"system":{"isp/document":…}}` with its like.
#[must_use]
pub fn compare(expected: &Value, held: &Value) -> Differences {
    let mut differences = Differences::default();
    let nothing = Map::new();
    let no_flags = json!({"flags": {}, "upload_intervals": {}});
    for kind in KINDS {
        let wanted = expected[kind].as_object().unwrap_or(&nothing);
        let mut found = held[kind].as_object().unwrap_or(&nothing).clone();
        // A router of which none are said any more has none.
        found.retain(|_, it| kind != "feature_flags" || *it != no_flags);
        for id in wanted.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
            match (wanted.get(id), found.get(id)) {
                (Some(_), None) => differences.missing.push(format!("{kind}/{id}")),
                (None, Some(_)) => differences.extra.push(format!("{kind}/{id}")),
                (Some(wanted), Some(found)) if wanted != found => {
                    let place = place(wanted, found, format!("{kind}/{id}"));
                    differences.different.push(place);
                }
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
    }
    differences
}

/// The innermost place where both differ, with both values.
fn place(wanted: &Value, found: &Value, path: String) -> String {
    if let (Value::Object(wanted), Value::Object(found)) = (wanted, found) {
        let keys: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
        if let Some(key) = keys.into_iter().find(|it| wanted.get(*it) != found.get(*it)) {
            let path = format!("{path}/{key}");
            return match (wanted.get(key), found.get(key)) {
                (Some(wanted), Some(found)) => place(wanted, found, path),
                (Some(wanted), None) => format!("{path}: {wanted} expected, absent"),
                (None, found) => format!("{path}: not expected, {}", found.unwrap_or(&Value::Null)),
            };
        }
    }
    format!("{path}: {wanted} expected, {found} held")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_difference_is_found_and_placed() {
        let expected = json!({
            "devices": {"d-1": {"a": 1}, "d-2": {"a": {"b": 1, "c": 2}}, "d-3": {"a": 1}},
            "routers": {"r-1": {}}, "feature_flags": {"r-1": {"flags": {"a": true}}},
            "system": {"isp-1/general": {}},
        });
        let held = json!({
            "devices": {"d-1": {"a": 1}, "d-2": {"a": {"b": 1, "c": 3}}, "d-3": {}},
            "routers": {"r-2": {}}, "feature_flags": {"r-1": {"flags": {"a": false}}},
        });
        let differences = compare(&expected, &held);
        assert_eq!(differences.missing, ["routers/r-1", "system/isp-1/general"]);
        assert_eq!(differences.extra, ["routers/r-2"]);
        assert_eq!(
            differences.different,
            [
                "devices/d-2/a/c: 2 expected, 3 held",
                "devices/d-3/a: 1 expected, absent",
                "feature_flags/r-1/flags/a: true expected, false held",
            ]
        );
        assert!(compare(&held, &held).is_empty());
    }
}
