//! What callers send, read member by member, so that everything that is wrong with it is told at once.

use std::collections::BTreeSet;

use events::{Bounded, LIST_ENTRIES_MAX};
use serde_json::{Map, Value};

use crate::{Kind, Problem};

/// An object of which some members are read and all others refused.
#[derive(Debug)]
pub struct Body {
    members: Map<String, Value>,
    wrong: Vec<(String, String)>,
}

impl Body {
    /// Reads an object.
    ///
    /// # Errors
    /// A problem of the kind [`Kind::Invalid`]: it is none.
    pub fn of(value: Value) -> Result<Self, Problem> {
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
    pub fn member<T: Default>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, &'static str>,
    ) -> T {
        self.required(name, read).unwrap_or_default()
    }

    /// A member that is there and of this form. Where it is not, there is nothing, and [`Body::finish`] refuses.
    pub fn required<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, &'static str>,
    ) -> Option<T> {
        if !self.members.contains_key(name) {
            self.wrong.push((pointer(name), "must be there".to_owned()));
        }
        self.optional(name, read)
    }

    /// A member that is of this form where it is there.
    pub fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, &'static str>,
    ) -> Option<T> {
        match read(&self.members.remove(name)?) {
            Ok(it) => Some(it),
            Err(why) => {
                self.wrong.push((pointer(name), why.to_owned()));
                None
            }
        }
    }

    /// Something else is wrong with a member.
    pub fn refuse(&mut self, name: &str, why: &str) {
        self.wrong.push((pointer(name), why.to_owned()));
    }

    /// A list of at most 1,000 texts of a form of their own, each once.
    pub fn list<T: Clone + Ord>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Bounded<T> {
        let entries = self.entries(name, |it| text(it).and_then(&read));
        Bounded::try_from(entries).expect("as many as the list that was read, or fewer")
    }

    /// A list of at most 1,000 values, each once.
    pub fn entries<T: Clone + Ord>(
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

    /// Members with a name of the caller's choice, of at most 64 letters, digits, `_` and `-`, as `is_name` makes sure.
    pub fn map<T>(
        &mut self,
        name: &str,
        is_name: impl Fn(&str) -> bool,
        read: impl Fn(&Value) -> Result<T, &'static str>,
    ) -> Vec<(String, T)> {
        self.named(name, (is_name, "must have a name of 1 to 64 of A-Z a-z 0-9 _ -"), read)
    }

    /// Members with a name of the caller's choice: `is_name` says whether it can be one, and the sentence beside it what
    /// is wrong where it cannot.
    pub fn named<T>(
        &mut self,
        name: &str,
        (is_name, form): (impl Fn(&str) -> bool, &'static str),
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
                self.wrong.push((place, form.to_owned()));
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
    ///
    /// # Errors
    /// A problem of the kind [`Kind::Invalid`] that names each wrong member.
    pub fn finish<T>(self, read: T) -> Result<T, Problem> {
        let unknown = self.members.keys().map(|it| (pointer(it), "is not known here".to_owned()));
        let wrong: Vec<(String, String)> = self.wrong.into_iter().chain(unknown).collect();
        match wrong.is_empty() {
            true => Ok(read),
            false => Err(wrong.into_iter().fold(refused(), |all, (it, why)| all.member(it, why))),
        }
    }
}

/// Yes or no.
///
/// # Errors
/// It is something else.
pub fn boolean(value: &Value) -> Result<bool, &'static str> {
    value.as_bool().ok_or("must be true or false")
}

/// A text.
///
/// # Errors
/// It is something else.
pub fn text(value: &Value) -> Result<&str, &'static str> {
    value.as_str().ok_or("must be a text")
}

/// A text of a form of its own, or null.
pub fn nullable<T>(
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
pub fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    fn short(text: &str) -> Result<String, &'static str> {
        let is_short = (1..=4).contains(&text.len());
        is_short.then(|| text.to_owned()).ok_or("must have 1 to 4 characters")
    }

    fn read(value: Value) -> String {
        let read = Body::of(value).and_then(|mut body| {
            let on = body.member("on", boolean);
            let words = body.list("words", short);
            let flags = body.map("flags", |it| it.len() < 4, boolean);
            let name = body.optional("name", |it| text(it).and_then(short));
            body.finish((on, words, flags, name))
        });
        match read {
            Ok((on, words, flags, name)) => {
                format!("{on} {:?} {flags:?} {name:?}", words.as_slice())
            }
            Err(problem) => problem.to_string().replace("; ", "\n"),
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let good = json!({"on": true, "words": ["b", "a", "b"], "flags": {"a": false}});
        expect![[r#"true ["b", "a"] [("a", false)] None"#]].assert_eq(&read(good));
        let good = json!({"on": true, "words": [], "flags": {}, "name": "it"});
        expect![[r#"true [] [] Some("it")"#]].assert_eq(&read(good));
        expect![[r#"
            The input is not valid: some members of the body are wrong
            /on: must be there
            /words/1: must have 1 to 4 characters
            /words/2: must be a text
            /flags/a~1b: must be true or false
            /flags/long: must have a name of 1 to 64 of A-Z a-z 0-9 _ -
            /name: must be a text
            /~0x: is not known here"#]]
        .assert_eq(&read(json!({
            "words": ["a", "", 7], "flags": {"a/b": 1, "long": true}, "name": null, "~x": 1,
        })));
        expect![[r#"
            The input is not valid: some members of the body are wrong
            : must be an object"#]]
        .assert_eq(&read(json!([true, [], {}])));
        let many: Vec<String> = (0..1_001).map(|it| it.to_string()).collect();
        expect![[r#"
            The input is not valid: some members of the body are wrong
            /words: must have at most 1000 entries"#]]
        .assert_eq(&read(json!({"on": true, "words": many, "flags": {}})));
    }
}
