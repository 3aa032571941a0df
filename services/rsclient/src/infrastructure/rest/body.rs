//! What callers send, read member by member, so that everything that is wrong with it is told at once.

use std::collections::BTreeSet;

use events::{Bounded, LIST_ENTRIES_MAX};
use problem::{Kind, Problem};
use serde_json::{Map, Value};

/// An object of which some members are read and all others refused.
#[derive(Debug)]
pub(super) struct Body {
    members: Map<String, Value>,
    wrong: Vec<(String, String)>,
}

impl Body {
    /// Reads an object.
    pub(super) fn of(value: Value) -> Result<Self, Problem> {
        match value {
            Value::Object(members) => Ok(Self { members, wrong: Vec::new() }),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(refused().member("", "must be an object")),
        }
    }

    /// A member that is there and of this form. What it is where it is not has no effect: [`Body::finish`] refuses.
    pub(super) fn member<T: Default>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, &'static str>,
    ) -> T {
        let read = match self.members.remove(name) {
            None => Err("must be there"),
            Some(value) => read(&value),
        };
        read.unwrap_or_else(|why| {
            self.wrong.push((pointer(name), why.to_owned()));
            T::default()
        })
    }

    /// A list of at most 1,000 texts of a form of their own, each once.
    pub(super) fn list<T: Clone + Ord>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Bounded<T> {
        let entries = self.entries(name, |it| text(it).and_then(&read));
        Bounded::try_from(entries).expect("as many as the list that was read, or fewer")
    }

    /// A list of at most 1,000 values, each once.
    pub(super) fn entries<T: Clone + Ord>(
        &mut self,
        name: &str,
        read: impl Fn(&Value) -> Result<T, &'static str>,
    ) -> Vec<T> {
        let values = self.member(name, |it| match it {
            Value::Array(values) if values.len() <= LIST_ENTRIES_MAX => Ok(values.clone()),
            Value::Array(_) => Err("must have at most 1000 entries"),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => Err("must be a list"),
        });
        let (mut entries, mut known) = (Vec::new(), BTreeSet::new());
        for (at, value) in values.iter().enumerate() {
            match read(value) {
                Ok(entry) if known.insert(entry.clone()) => entries.push(entry),
                Ok(_) => (),
                Err(why) => self.wrong.push((format!("{}/{at}", pointer(name)), why.to_owned())),
            }
        }
        entries
    }

    /// Members with a name of the caller's choice.
    pub(super) fn map<T>(
        &mut self,
        name: &str,
        is_name: impl Fn(&str) -> bool,
        read: impl Fn(&Value) -> Result<T, &'static str>,
    ) -> Vec<(String, T)> {
        let members = self.member(name, |it| match it {
            Value::Object(members) if members.len() <= LIST_ENTRIES_MAX => Ok(members.clone()),
            Value::Object(_) => Err("must have at most 1000 members"),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err("must be an object"),
        });
        let mut all = Vec::new();
        for (member, value) in members {
            let place = format!("{}{}", pointer(name), pointer(&member));
            if !is_name(&member) {
                let why = "must have a name of 1 to 64 of A-Z a-z 0-9 _ -";
                self.wrong.push((place, why.to_owned()));
                continue;
            }
            match read(&value) {
                Ok(it) => all.push((member, it)),
                Err(why) => self.wrong.push((place, why.to_owned())),
            }
        }
        all
    }

    /// What was read, where nothing was wrong.
    pub(super) fn finish<T>(self, read: T) -> Result<T, Problem> {
        let unknown = self.members.keys().map(|it| (pointer(it), "is not known here".to_owned()));
        let wrong: Vec<(String, String)> = self.wrong.into_iter().chain(unknown).collect();
        match wrong.is_empty() {
            true => Ok(read),
            false => Err(wrong.into_iter().fold(refused(), |all, (it, why)| all.member(it, why))),
        }
    }
}

/// Yes or no.
pub(super) fn boolean(value: &Value) -> Result<bool, &'static str> {
    value.as_bool().ok_or("must be true or false")
}

/// A text.
pub(super) fn text(value: &Value) -> Result<&str, &'static str> {
    value.as_str().ok_or("must be a text")
}

/// A text of a form of its own, or null.
pub(super) fn nullable<T>(
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> impl Fn(&Value) -> Result<Option<T>, &'static str> {
    move |value| match value.is_null() {
        true => Ok(None),
        false => text(value).and_then(&read).map(Some),
    }
}

fn refused() -> Problem {
    Problem::new(Kind::Invalid, "some members of the body are wrong")
}

/// The pointer to a member (RFC 6901).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::domain::network;

    fn read(value: Value) -> String {
        let read = Body::of(value).and_then(|mut body| {
            let on = body.member("on", boolean);
            let networks = body.list("networks", network);
            let flags = body.map("flags", |it| it.len() < 4, boolean);
            body.finish((on, networks, flags))
        });
        match read {
            Ok((on, networks, flags)) => {
                let networks: Vec<&str> =
                    networks.as_slice().iter().map(|it| it.as_str()).collect();
                format!("{on} {networks:?} {flags:?}")
            }
            Err(problem) => problem.to_string().replace("; ", "\n"),
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let good = json!({
            "on": true, "networks": ["10.0.0.0/8", "10.9.9.9/8", "192.0.2.1"], "flags": {"a": false},
        });
        expect![[r#"true ["10.0.0.0/8", "192.0.2.1"] [("a", false)]"#]].assert_eq(&read(good));
        expect![[r#"
            The input is not valid: some members of the body are wrong
            /on: must be there
            /networks/1: must be an IP address, or a network such as 198.51.100.0/24
            /networks/2: must be a text
            /flags/a~1b: must be true or false
            /flags/long: must have a name of 1 to 64 of A-Z a-z 0-9 _ -
            /~0x: is not known here"#]]
        .assert_eq(&read(json!({
            "networks": ["192.0.2.1", "x", 7], "flags": {"a/b": 1, "long": true}, "~x": 1,
        })));
        expect![[r#"
            The input is not valid: some members of the body are wrong
            : must be an object"#]]
        .assert_eq(&read(json!([true, [], {}])));
        let many: Vec<String> =
            (0..1_001).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
        expect![[r#"
            The input is not valid: some members of the body are wrong
            /networks: must have at most 1000 entries"#]]
        .assert_eq(&read(json!({"on": true, "networks": many, "flags": {}})));
    }
}
