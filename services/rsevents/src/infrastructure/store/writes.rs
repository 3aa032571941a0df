//! Conditional upserts of many documents, and what became of each.

use std::collections::HashMap;

use chassis::mongo::{Upsert, Upserted, upsert};
use futures_util::TryStreamExt as _;
use mongodb::{
    Database,
    bson::{Bson, Document, doc},
};

use super::{StoreError, Written};

/// How often a write is tried that collides with others.
const ATTEMPTS_MAX: u32 = 10;

/// An upsert of one document.
#[derive(Clone, Debug)]
pub(super) struct Write<'a> {
    pub(super) id: &'a str,
    pub(super) isp_id: &'a str,
    /// What the document must be to be written, where there is one.
    pub(super) guard: Document,
    pub(super) update: Bson,
}

impl Write<'_> {
    fn filter(&self) -> Document {
        let mut filter = doc! { "_id": self.id, "isp_id": self.isp_id };
        filter.extend(self.guard.clone());
        filter
    }

    fn upsert(&self) -> Upsert {
        Upsert { filter: self.filter(), update: self.update.clone() }
    }
}

/// Writes all of them. Answers for each in its place.
pub(super) async fn write(
    database: &Database,
    collection: &str,
    all: Vec<Write<'_>>,
) -> Result<Vec<Written>, StoreError> {
    let mut written = vec![Written::Yes; all.len()];
    let mut open: Vec<usize> = (0..all.len()).collect();
    for _ in 0..ATTEMPTS_MAX {
        if open.is_empty() {
            return Ok(written);
        }
        let collided = attempt(database, collection, &all, &open).await?;
        open = judge(database, collection, &all, collided, &mut written).await?;
    }
    match open.first() {
        None => Ok(written),
        Some(one) => Err(StoreError::Contended(all[*one].id.to_owned())),
    }
}

/// Answers which of them are there and not what they must be.
async fn attempt(
    database: &Database,
    collection: &str,
    all: &[Write<'_>],
    open: &[usize],
) -> Result<Vec<usize>, StoreError> {
    let upserts = open.iter().map(|it| all[*it].upsert()).collect();
    let mut collided = Vec::new();
    for (at, upserted) in open.iter().zip(upsert(database, collection, upserts).await) {
        match upserted? {
            Upserted::Written => (),
            Upserted::Collided => collided.push(*at),
        }
    }
    Ok(collided)
}

/// Either one was inserted this very moment, then it matches now, or what is held is in the way. Answers which are to be
/// tried again.
async fn judge(
    database: &Database,
    collection: &str,
    all: &[Write<'_>],
    collided: Vec<usize>,
    written: &mut [Written],
) -> Result<Vec<usize>, StoreError> {
    if collided.is_empty() {
        return Ok(collided);
    }
    let documents = database.collection::<Document>(collection);
    let ids: Vec<&str> = collided.iter().map(|it| all[*it].id).collect();
    let held = documents.find(doc! { "_id": { "$in": &ids } });
    let held: Vec<Document> = held.projection(doc! { "isp_id": 1 }).await?.try_collect().await?;
    let held: HashMap<&str, &str> = held
        .iter()
        .filter_map(|it| Some((it.get_str("_id").ok()?, it.get_str("isp_id").ok()?)))
        .collect();
    let filters = collided.iter().map(|it| all[*it].filter()).collect::<Vec<_>>();
    let matching = documents.find(doc! { "$or": filters }).projection(doc! { "_id": 1 });
    let matching: Vec<Document> = matching.await?.try_collect().await?;
    let matches = |id: &str| matching.iter().any(|it| it.get_str("_id").is_ok_and(|it| it == id));
    let mut again = Vec::new();
    for it in collided {
        let Write { id, isp_id, .. } = &all[it];
        match held.get(id) {
            Some(its) if its != isp_id => {
                written[it] = Written::Foreign(format!("`{id}` belongs to another ISP"));
            }
            Some(_) if !matches(id) => written[it] = Written::Superseded,
            // It matches now, or it has gone.
            Some(_) | None => again.push(it),
        }
    }
    Ok(again)
}
