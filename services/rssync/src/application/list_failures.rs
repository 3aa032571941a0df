//! What failed in a job, as those tell who keep it: first rsclient's pages, then those of rsagents.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use auth::Caller;
use events::JobId;

use super::{Failure, find_job};
use crate::{
    app::App,
    infrastructure::peers::{FailureClass, FailurePage, Peer, Wanted},
};

/// Longest cursor of another service.
const CURSOR_BYTES_MAX: usize = 512;

/// Which failures are asked for.
#[derive(Clone, Debug)]
pub struct WantedFailures {
    /// Of one class alone.
    pub class: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Where the page begins.
    pub cursor: FailureCursor,
}

/// Where a page of failures begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureCursor {
    /// Among those of rsclient.
    RsClient(Option<String>),
    /// Among those of rsagents.
    RsAgents(Option<String>),
}

/// One page of what failed in a job; its classes count all of it.
///
/// # Errors
/// The job is not the caller's, or one of the services does not answer.
pub async fn list_failures(
    app: &App,
    caller: &Caller,
    job_id: &JobId,
    wanted: &WantedFailures,
) -> Result<FailurePage, Failure> {
    find_job(app, caller, job_id).await?;
    let page = |peer, limit, cursor| async move {
        let wanted = Wanted { class: wanted.class.as_deref(), limit, cursor };
        app.peers.failures(peer, job_id, &wanted).await.map_err(Failure::Peer)
    };
    match &wanted.cursor {
        FailureCursor::RsClient(cursor) => {
            let (mut first, mut second) = tokio::try_join!(
                page(Peer::RsClient, wanted.limit, cursor.as_deref()),
                page(Peer::RsAgents, wanted.limit, None),
            )?;
            let classes = both(first.classes, second.classes);
            let room = (wanted.limit as usize).saturating_sub(first.items.len());
            let next = match first.next.take() {
                Some(it) => Some(FailureCursor::RsClient(Some(it))),
                // A page of the other one is begun where it fits as a whole.
                None if second.items.len() <= room => {
                    first.items.append(&mut second.items);
                    second.next.map(|it| FailureCursor::RsAgents(Some(it)))
                }
                None => Some(FailureCursor::RsAgents(None)),
            };
            Ok(FailurePage { classes, items: first.items, next: next.map(|it| it.to_string()) })
        }
        FailureCursor::RsAgents(cursor) => {
            let (first, second) = tokio::try_join!(
                page(Peer::RsClient, 1, None),
                page(Peer::RsAgents, wanted.limit, cursor.as_deref()),
            )?;
            let next = second.next.map(|it| FailureCursor::RsAgents(Some(it)).to_string());
            let classes = both(first.classes, second.classes);
            Ok(FailurePage { classes, items: second.items, next })
        }
    }
}

/// The classes of both, each once, the most frequent first.
fn both(one: Vec<FailureClass>, other: Vec<FailureClass>) -> Vec<FailureClass> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for it in one.into_iter().chain(other) {
        *counts.entry(it.class).or_default() += it.count;
    }
    let mut all: Vec<_> =
        counts.into_iter().map(|(class, count)| FailureClass { class, count }).collect();
    all.sort_by_key(|it| std::cmp::Reverse(it.count));
    all
}

impl fmt::Display for FailureCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, cursor) = match self {
            Self::RsClient(cursor) => ("c", cursor),
            Self::RsAgents(cursor) => ("a", cursor),
        };
        write!(f, "{service}:{}", cursor.as_deref().unwrap_or_default())
    }
}

impl FromStr for FailureCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.is_empty() {
            return Ok(Self::RsClient(None));
        }
        let (service, cursor) = text.split_once(':').ok_or(())?;
        if cursor.len() > CURSOR_BYTES_MAX {
            return Err(());
        }
        let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
        match service {
            "c" => Ok(Self::RsClient(cursor)),
            "a" => Ok(Self::RsAgents(cursor)),
            _ => Err(()),
        }
    }
}
