//! The JSON that hashes are taken of.

use serde::Serialize;

use crate::domain::{Body, Hash, Want};

/// The hash of a body: of its JSON with sorted member names and without white space.
pub fn hash_of(body: &impl Serialize) -> Hash {
    let mut value = serde_json::to_value(body).expect("models are JSON objects");
    value.sort_all_objects();
    Hash::of_bytes(value.to_string().as_bytes())
}

/// The wish for a body.
pub fn want(body: Body) -> Want {
    let hash = hash_of(&body);
    Want::Body { body, hash }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_hash_does_not_depend_on_the_order_of_members() {
        #[derive(Serialize)]
        struct Forth {
            a: u8,
            b: Vec<u8>,
        }
        #[derive(Serialize)]
        struct Back {
            b: Vec<u8>,
            a: u8,
        }
        let forth = hash_of(&Forth { a: 1, b: vec![2, 3] });
        assert_eq!(forth, hash_of(&Back { b: vec![2, 3], a: 1 }));
        assert_ne!(forth, hash_of(&Back { b: vec![3, 2], a: 1 }));
        expect!["efbd0040190fb0871831e606c581f8a66db79d8e2bb836745a70051306956070"]
            .assert_eq(forth.as_str());
    }
}
