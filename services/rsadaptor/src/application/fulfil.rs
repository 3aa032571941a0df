//! Make a wish come true: read what is applied, decide, call the backend, record.
//!
//! The order of the steps is what makes a second run from the top harmless: the backend's 2xx comes before the
//! write to `applied`, so a crash in between repeats the call, which is idempotent. Whatever may have reached the
//! backend without ending in `applied` leaves the hash unknown, so that nothing equal is skipped afterwards.

use events::{DeviceId, DeviceKind, ReplyStatus, Revision};

use super::{Request, Result};
use crate::{
    app::App,
    domain::{Applied, Called, Ending, Hash, Later, Plan, Want, Wish, plan},
    infrastructure::{
        problems::{later, store_later},
        store::{Recorded, StoreError},
    },
};

/// How often one attempt may find that somebody else was faster.
const ROUNDS_MAX: usize = 4;

/// A wish on its way.
#[derive(Clone, Copy)]
struct Errand<'a> {
    app: &'a App,
    request: &'a Request,
    id: &'a DeviceId,
    wish: &'a Wish,
}

/// The record is over, or, without an ending, another look at what is applied is due; or it waits.
type Round = std::result::Result<Option<Ending>, Later>;

/// Makes `wish` come true for the device `id`, unless something newer has.
pub(super) async fn fulfil(app: &App, request: &Request, id: &DeviceId, wish: &Wish) -> Result {
    let errand = Errand { app, request, id, wish };
    for _ in 0..ROUNDS_MAX {
        if let Some(ending) = errand.round().await? {
            return Ok(ending);
        }
    }
    Err(later(&request.attempt, "others were faster again and again"))
}

impl Errand<'_> {
    async fn round(&self) -> Round {
        let Self { app, request, id, wish } = *self;
        let applied = self.stored(app.applied.find(id).await)?;
        let held = applied.as_ref().and_then(Applied::held);
        let decided = plan(applied.as_ref(), wish);
        if request.has_expired() {
            return self.expired(&decided, held).await;
        }
        match decided {
            Plan::ForeignTenant => Ok(Some(foreign_tenant(id))),
            Plan::Superseded => Ok(Some(Ending::new(ReplyStatus::Superseded, held))),
            Plan::Unchanged => {
                let applied = applied.expect("there is something that holds");
                self.record_unchanged(applied).await
            }
            Plan::BuryAgain => {
                let tombstone = applied.expect("there is a tombstone to bury under");
                self.bury_again(tombstone).await
            }
            Plan::Act { remove } => self.act(&remove, held).await,
        }
    }

    async fn expired(&self, decided: &Plan, held: Option<Revision>) -> Round {
        // An attempt that was cut off may have sent it.
        if matches!(decided, Plan::Act { .. }) && !self.app.backend.is_dry_run() {
            self.forget_hash().await?;
        }
        Ok(Some(Ending::new(ReplyStatus::Expired, held)))
    }

    /// What is held stays as it was recorded, a command whose time is over included, under the new revision.
    async fn record_unchanged(&self, applied: Applied) -> Round {
        let unchanged = |held| Ok(Some(Ending::new(ReplyStatus::Unchanged, held)));
        if self.app.backend.is_dry_run() {
            return unchanged(applied.held());
        }
        let still = Applied { revision: self.wish.revision, ..applied };
        match self.record(&still).await? {
            Recorded::Written => unchanged(Some(self.wish.revision)),
            Recorded::Overtaken => Ok(None),
        }
    }

    async fn act(&self, remove: &[DeviceKind], held: Option<Revision>) -> Round {
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
        match self.record(&self.wish.fulfilled()).await? {
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
    async fn call(&self, remove: &[DeviceKind]) -> std::result::Result<Called, Later> {
        let (backend, attempt) = (&self.app.backend, &self.request.attempt);
        let revision = self.wish.revision;
        let mut called = Called::NotSent;
        for kind in remove {
            called = backend.delete(self.id, *kind, revision, attempt).await?;
            if let Called::Superseded | Called::Rejected { .. } = called {
                return Ok(called);
            }
        }
        match &self.wish.want {
            Want::Body { body, .. } => backend.put(self.id, body, revision, attempt).await,
            Want::Nothing(_) => Ok(called),
        }
    }

    /// A late call may have brought a deleted device back: it goes again, under the revision of its deletion.
    async fn bury_again(&self, tombstone: Applied) -> Round {
        let revision = tombstone.revision;
        let superseded = || Ok(Some(Ending::new(ReplyStatus::Superseded, Some(revision))));
        let (backend, attempt) = (&self.app.backend, &self.request.attempt);
        for kind in [DeviceKind::Router, DeviceKind::Device] {
            match backend.delete(self.id, kind, revision, attempt).await? {
                Called::Done { .. } => {}
                // It stays unknown; what comes next for this device meets it.
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
        let device_id = self.id.as_str();
        tracing::error!(device_id, "overtaken after the call: a delta sync must repair");
        self.forget_hash().await
    }

    async fn record(&self, applied: &Applied) -> std::result::Result<Recorded, Later> {
        self.stored(self.app.applied.record(self.id, applied).await)
    }

    async fn forget_hash(&self) -> std::result::Result<(), Later> {
        let (isp_id, kind) = (&self.wish.isp_id, self.wish.want.kind());
        self.stored(self.app.applied.forget_hash(self.id, isp_id, kind).await)
    }

    fn stored<T>(
        &self,
        outcome: std::result::Result<T, StoreError>,
    ) -> std::result::Result<T, Later> {
        outcome.map_err(|error| store_later(&self.request.attempt, error))
    }
}

fn foreign_tenant(id: &DeviceId) -> Ending {
    metrics::counter!("rsadaptor_tenant_mismatches_total").increment(1);
    tracing::error!(device_id = id.as_str(), "tenant mismatch: a record of another tenant refused");
    // What is held is the other tenant's.
    Ending::rejected("tenant_mismatch", None)
}
