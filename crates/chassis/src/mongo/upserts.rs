//! Upserts of many documents in one command, of which each succeeds or fails by itself.

use mongodb::{
    Database,
    bson::{self, Bson, Document, doc},
};
use serde::Deserialize;

use super::DUPLICATE_KEY;

/// An upsert of one document.
#[derive(Clone, Debug)]
pub struct Upsert {
    /// Which document, by its `_id`, and what it must be to be written.
    pub filter: Document,
    /// What is written: operators, or a pipeline of them.
    pub update: Bson,
}

/// What became of an upsert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upserted {
    /// It is durable.
    Written,
    /// The document is there, and is not what it must be.
    Collided,
}

/// Why an upsert did not take effect, or not durably.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpsertError {
    /// The server did not answer, or not well.
    #[error("MongoDB did not answer")]
    Mongo(#[from] mongodb::error::Error),
    /// The server refused it.
    #[error("MongoDB refused a write: {0}")]
    Refused(String),
}

/// The server's reply to the command `update`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    #[serde(default)]
    write_errors: Vec<WriteError>,
    #[serde(default)]
    write_concern_error: Option<Document>,
}

#[derive(Debug, Deserialize)]
struct WriteError {
    index: usize,
    code: i32,
    #[serde(default)]
    errmsg: String,
}

/// Writes all of them. Answers for each in its place; what goes wrong with the command goes wrong with all.
pub async fn upsert(
    database: &Database,
    collection: &str,
    all: Vec<Upsert>,
) -> Vec<Result<Upserted, UpsertError>> {
    let count = all.len();
    match run(database, collection, all).await {
        Ok(reply) => results(&reply, count),
        Err(error) => vec![Err(error); count],
    }
}

async fn run(
    database: &Database,
    collection: &str,
    all: Vec<Upsert>,
) -> Result<Reply, UpsertError> {
    let updates = all
        .into_iter()
        .map(|Upsert { filter, update }| doc! { "q": filter, "u": update, "upsert": true });
    let command = doc! {
        "update": collection,
        "updates": updates.collect::<Vec<_>>(),
        // One that fails does not keep the others from being written.
        "ordered": false,
        "writeConcern": { "w": "majority" },
    };
    let reply = database.run_command(command).await?;
    bson::deserialize_from_document(reply)
        .map_err(|error| UpsertError::Refused(format!("a reply that cannot be read: {error}")))
}

/// What the reply says of each.
fn results(reply: &Reply, count: usize) -> Vec<Result<Upserted, UpsertError>> {
    // What is not durable everywhere is not written.
    let written = match &reply.write_concern_error {
        None => Ok(Upserted::Written),
        Some(error) => Err(UpsertError::Refused(error.to_string())),
    };
    let mut results = vec![written; count];
    for WriteError { index, code, errmsg } in &reply.write_errors {
        if let Some(result) = results.get_mut(*index) {
            *result = match *code {
                DUPLICATE_KEY => Ok(Upserted::Collided),
                code => Err(UpsertError::Refused(format!("{code}: {errmsg}"))),
            };
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_upsert_has_its_own_result() {
        let reply = doc! {
            "n": 2, "nModified": 1, "ok": 1.0,
            "writeErrors": [
                { "index": 1, "code": 11_000, "errmsg": "E11000 duplicate key" },
                { "index": 2, "code": 121, "errmsg": "Document failed validation" },
            ],
        };
        let reply: Reply = bson::deserialize_from_document(reply).unwrap();
        let results = results(&reply, 4);
        assert!(matches!(results[0], Ok(Upserted::Written)));
        assert!(matches!(results[1], Ok(Upserted::Collided)));
        assert!(matches!(&results[2], Err(UpsertError::Refused(why)) if why.starts_with("121: ")));
        assert!(matches!(results[3], Ok(Upserted::Written)));
    }

    #[test]
    fn what_is_not_durable_is_not_written() {
        let reply = doc! {
            "n": 2, "ok": 1.0,
            "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" },
        };
        let reply: Reply = bson::deserialize_from_document(reply).unwrap();
        assert!(results(&reply, 2).iter().all(Result::is_err));
    }
}
