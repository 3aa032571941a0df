//! Bodies as they are sent, and their hashes.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A body as it is sent. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// A model as JSON. Models say the same in the same bytes: their members stand in one order, maps are sorted.
    pub fn of(model: &impl Serialize) -> Self {
        Self(serde_json::to_vec(model).expect("models have string keys only").into())
    }

    /// The bytes.
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// Their hash.
    pub fn hash(&self) -> Hash {
        Hash::of_bytes(&self.0)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// SHA-256 of a body as it is sent, in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl Hash {
    /// The hash of a body.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
        Self(digest.iter().flat_map(|it| [digit(it >> 4), digit(it & 0xf)]).collect())
    }

    /// The hash of a resource that is not there.
    pub fn of_nothing() -> Self {
        Self::of_bytes(b"")
    }

    /// The hash as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_bytes_that_are_sent() {
        #[derive(Serialize)]
        struct Model {
            a: u8,
            b: Vec<u8>,
        }
        let body = Json::of(&Model { a: 1, b: vec![2, 3] });
        assert_eq!(*body.bytes(), *br#"{"a":1,"b":[2,3]}"#);
        assert_ne!(body.hash(), Json::of(&Model { a: 1, b: vec![3, 2] }).hash());
        expect!["efbd0040190fb0871831e606c581f8a66db79d8e2bb836745a70051306956070"]
            .assert_eq(body.hash().as_str());
    }
}
