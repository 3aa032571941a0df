//! What mongod itself says: how much it was asked, how large documents are; databases copied.

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use mongodb::{
    Client,
    bson::{Bson, Document, doc, serialize_to_document},
};
use serde_json::Value;

/// A client for one look; each look ends with [`Store::leave`], so that nothing of it stays behind.
#[derive(Debug)]
pub struct Store {
    client: Client,
}

impl Store {
    /// A client of the replica set.
    ///
    /// # Errors
    /// When the connection string is malformed.
    pub async fn at(uri: &str) -> Result<Self> {
        Ok(Self { client: Client::with_uri_str(uri).await.context("reach the store")? })
    }

    /// How many operations mongod has been asked for since its start: all its opcounters.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn operations(&self) -> Result<Vec<(String, i64)>> {
        let status = self.client.database("admin").run_command(doc! {"serverStatus": 1}).await?;
        let counters = status.get_document("opcounters").context("serverStatus has opcounters")?;
        Ok(counters.iter().filter_map(|(name, it)| Some((name.clone(), number(it)?))).collect())
    }

    /// The size of the largest document of a collection, over these databases.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn largest(&self, databases: &[String], collection: &str) -> Result<i64> {
        let stages = [doc! {"$group": {"_id": null, "largest": {"$max": {"$bsonSize": "$$ROOT"}}}}];
        let mut largest = 0;
        for name in databases {
            let documents = self.client.database(name).collection::<Document>(collection);
            let mut found = documents.aggregate(stages.clone()).await?;
            while let Some(one) = found.try_next().await? {
                largest = largest.max(one.get("largest").and_then(number).unwrap_or_default());
            }
        }
        Ok(largest)
    }

    /// Every document of a collection.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn all(&self, database: &str, collection: &str) -> Result<Vec<Document>> {
        let documents = self.client.database(database).collection::<Document>(collection);
        Ok(documents.find(doc! {}).await?.try_collect().await?)
    }

    /// Adds documents to a collection, in the form that they have as JSON.
    ///
    /// # Errors
    /// When it does not take them.
    pub async fn insert(
        &self,
        database: &str,
        collection: &str,
        documents: &[Value],
    ) -> Result<()> {
        let documents = documents.iter().map(serialize_to_document);
        let documents = documents.collect::<Result<Vec<_>, _>>()?;
        let collection = self.client.database(database).collection::<Document>(collection);
        collection.insert_many(documents).await?;
        Ok(())
    }

    /// Puts copies of all collections of one database in the place of those of another.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn copy(&self, from: &str, to: &str) -> Result<()> {
        self.client.database(to).drop().await?;
        let source = self.client.database(from);
        for name in source.list_collection_names().await? {
            let out = [doc! {"$out": {"db": to, "coll": &name}}];
            source.collection::<Document>(&name).aggregate(out).await?;
        }
        Ok(())
    }

    /// The oplog's entries about one document, the oldest first, as JSON.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn history(&self, database: &str, collection: &str, id: &str) -> Result<Vec<Value>> {
        let oplog = self.client.database("local").collection::<Document>("oplog.rs");
        let of = doc! {
            "ns": format!("{database}.{collection}"),
            "$or": [{"o._id": id}, {"o2._id": id}],
        };
        let found = oplog.find(of).sort(doc! {"$natural": 1}).await?;
        let entries: Vec<Document> = found.try_collect().await?;
        let json = entries.iter().map(serde_json::to_value);
        json.collect::<Result<_, _>>().context("an entry that has no form in JSON")
    }

    /// Closes every connection.
    pub async fn leave(self) {
        self.client.shutdown().await;
    }
}

fn number(value: &Bson) -> Option<i64> {
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}
