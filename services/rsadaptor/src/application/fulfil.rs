//! Make a wish come true: read what is applied, decide, call the backend, record.
//!
//! The order of the steps is what makes a second run from the top harmless: the backend's 2xx comes before the
//! write to `applied`, so a crash in between repeats the call, which is idempotent. Whatever may have reached the
//! backend without ending in `applied` leaves the hash unknown, so that nothing equal is skipped afterwards.

use std::borrow::Cow;

use events::{ReplyStatus, Revision};

use super::{ROUNDS_MAX, Request, Result, Round, foreign_tenant, stored};
use crate::{
    app::App,
    domain::{Applied, Called, Ending, Hash, Kind, Later, Plan, Subject, Want, Wish, holds, plan},
    infrastructure::{
        hs,
        problems::later,
        store::{At, Recorded},
    },
};

/// A wish on its way.
struct Errand<'a> {
    app: &'a App,
    request: &'a Request,
    subject: Subject<'a>,
    key: Cow<'a, str>,
    record: Cow<'a, str>,
    wish: &'a Wish,
}

/// Makes `wish` come true for `subject`, unless something newer has.
pub(super) async fn fulfil(
    app: &App,
    request: &Request,
    subject: Subject<'_>,
    wish: &Wish,
) -> Result {
    let (key, record) = (subject.key(), subject.record());
    let errand = Errand { app, request, subject, key, record, wish };
    for _ in 0..ROUNDS_MAX {
        if let Some(ending) = errand.round().await? {
            return Ok(ending);
        }
    }
    Err(later(&request.attempt, "others were faster again and again"))
}

impl Errand<'_> {
    async fn round(&self) -> Round {
        let Self { request, wish, .. } = *self;
        let applied = self.find().await?;
        let held = applied.as_ref().and_then(Applied::held);
        let decided = plan(applied.as_ref(), wish);
        if request.has_expired() {
            return self.expired(&decided, applied.as_ref()).await;
        }
        match decided {
            Plan::ForeignTenant => Ok(Some(foreign_tenant(&self.key))),
            Plan::Superseded => Ok(Some(Ending::new(ReplyStatus::Superseded, held))),
            Plan::Unchanged => {
                let applied = applied.expect("there is something that holds");
                self.record_unchanged(applied).await
            }
            Plan::BuryAgain => {
                let tombstone = applied.expect("there is a tombstone to bury under");
                self.bury_again(tombstone).await
            }
            Plan::Act { remove } => self.act(&remove, applied).await,
        }
    }

    async fn expired(&self, decided: &Plan, applied: Option<&Applied>) -> Round {
        // An attempt that was cut off may have sent it, which is told apart only from what was there already.
        let may_differ = self.wish.varies || applied.is_none_or(|it| !holds(it, self.wish));
        if matches!(decided, Plan::Act { .. }) && may_differ && !self.app.backend.is_dry_run() {
            self.forget_hash().await?;
        }
        Ok(Some(Ending::new(ReplyStatus::Expired, applied.and_then(Applied::held))))
    }

    /// What is held stays as it was recorded, a command whose time is over included, under the new revision.
    async fn record_unchanged(&self, applied: Applied) -> Round {
        let unchanged = |held| Ok(Some(Ending::new(ReplyStatus::Unchanged, held)));
        let is_recorded = applied.revision == self.wish.revision;
        if is_recorded || self.app.backend.is_dry_run() {
            return unchanged(applied.held());
        }
        let still = Applied { revision: self.wish.revision, ..applied };
        match self.record(&still).await? {
            Recorded::Written => unchanged(Some(self.wish.revision)),
            Recorded::Overtaken => Ok(None),
        }
    }

    async fn act(&self, remove: &[Kind], applied: Option<Applied>) -> Round {
        let held = applied.as_ref().and_then(Applied::held);
        let http_status = match self.call(remove).await? {
            Called::Done { http_status } => http_status,
            Called::NotSent => return Ok(Some(Ending::new(ReplyStatus::NotSent, held))),
            Called::Superseded => {
                self.forget_hash().await?;
                let ending = Ending::new(ReplyStatus::Superseded, held);
                return Ok(Some(Ending { http_status: Some(409), ..ending }));
            }
            Called::Rejected { http_status, reason } => {
                self.forget_hash().await?;
                return Ok(Some(Ending { http_status, ..Ending::rejected(reason, held) }));
            }
        };
        fail::fail_point!("rsadaptor::after-2xx", |_| std::process::abort());
        match self.record_applied(applied.as_ref()).await? {
            Recorded::Written => {
                let ending = Ending::new(ReplyStatus::Applied, Some(self.wish.revision));
                Ok(Some(Ending { http_status: Some(http_status), ..ending }))
            }
            Recorded::Overtaken => {
                self.overtaken().await?;
                Ok(None)
            }
        }
    }

    /// Removes what must go and puts what is wanted. The answer is that of the last call, or of the first that is
    /// not done.
    async fn call(&self, remove: &[Kind]) -> std::result::Result<Called, Later> {
        let mut called = Called::NotSent;
        for kind in remove {
            called = self.delete(*kind, self.wish.revision).await?;
            if let Called::Superseded | Called::Rejected { .. } = called {
                return Ok(called);
            }
        }
        match &self.wish.want {
            Want::Body { kind, body, .. } => {
                let resource = self.subject.resource(*kind);
                let errand = hs::Errand {
                    key: &self.record,
                    resource: &resource,
                    revision: self.wish.revision,
                    lane: self.request.lane,
                    expires_at: self.request.expires_at,
                    attempt: &self.request.attempt,
                };
                self.app.backend.put(&errand, body).await
            }
            Want::Nothing(_) => Ok(called),
        }
    }

    async fn delete(&self, kind: Kind, revision: Revision) -> std::result::Result<Called, Later> {
        let (resource, attempt) = (self.subject.resource(kind), &self.request.attempt);
        let Request { lane, expires_at, .. } = *self.request;
        let (key, resource) = (&*self.record, &resource);
        let errand = hs::Errand { key, resource, revision, lane, expires_at, attempt };
        self.app.backend.delete(&errand).await
    }

    /// A late call may have brought back what was deleted: it goes again, under the revision of its deletion.
    async fn bury_again(&self, tombstone: Applied) -> Round {
        let revision = tombstone.revision;
        let superseded = || Ok(Some(Ending::new(ReplyStatus::Superseded, Some(revision))));
        for kind in tombstone.kind.alternatives() {
            match self.delete(*kind, revision).await? {
                Called::Done { .. } => {}
                // It stays unknown; what comes next for this resource meets it.
                Called::NotSent | Called::Superseded | Called::Rejected { .. } => {
                    return superseded();
                }
            }
        }
        let buried = Applied { hash: Some(Hash::of_nothing()), ..tombstone };
        match self.record(&buried).await? {
            Recorded::Written => superseded(),
            Recorded::Overtaken => {
                self.overtaken().await?;
                Ok(None)
            }
        }
    }

    /// Something newer was recorded while the backend took what was older: nobody knows which of them it holds.
    async fn overtaken(&self) -> std::result::Result<(), Later> {
        metrics::counter!("rsadaptor_repairs_needed_total").increment(1);
        tracing::error!(id = &*self.key, "overtaken after the call: a delta sync must repair");
        self.forget_hash().await
    }

    /// Records that the wish has come true. Where that is what was recorded `before`, nothing is written; it is read
    /// once more instead, since somebody else may have recorded something newer during the call.
    async fn record_applied(
        &self,
        before: Option<&Applied>,
    ) -> std::result::Result<Recorded, Later> {
        let fulfilled = self.wish.fulfilled(before);
        if before != Some(&fulfilled) || fulfilled.tombstone {
            return self.record(&fulfilled).await;
        }
        match self.find().await?.as_ref() == before {
            true => Ok(Recorded::Written),
            false => self.record(&fulfilled).await,
        }
    }

    async fn find(&self) -> std::result::Result<Option<Applied>, Later> {
        stored(self.request, self.app.applied.find(self.at()).await)
    }

    async fn record(&self, applied: &Applied) -> std::result::Result<Recorded, Later> {
        stored(self.request, self.app.applied.record(self.at(), applied).await)
    }

    async fn forget_hash(&self) -> std::result::Result<(), Later> {
        let (isp_id, kind) = (self.wish.isp_id.as_ref(), self.wish.want.kind());
        stored(self.request, self.app.applied.forget_hash(self.at(), isp_id, kind).await)
    }

    fn at(&self) -> At<'_> {
        At { key: &self.key, lane: self.request.lane }
    }
}
