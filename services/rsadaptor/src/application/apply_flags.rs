//! Make the backend hold a router's flags and upload intervals: one resource, which lives and ends with its router.

use events::{ReplyStatus, Revision, RouterFlags};
use hs_admin::Resource;

use super::{ROUNDS_MAX, Request, Result, foreign_tenant, stored};
use crate::{
    app::App,
    domain::{Applied, Called, Ending, FlagsPlan, FlagsWish, Json, feature_flags, plan_flags},
    infrastructure::{
        hs::Errand,
        problems::later,
        store::{At, Recorded},
    },
};

/// Makes the backend hold the flags of a router. Where it does not know the router yet, the record waits for a while.
///
/// # Errors
/// The record waits.
pub async fn apply_flags(app: &App, request: &Request, router: &RouterFlags) -> Result {
    let body = Json::of(&feature_flags(router));
    let wish = FlagsWish {
        isp_id: router.isp_id.clone(),
        revision: router.revision,
        hash: body.hash(),
        body,
        force: request.force,
    };
    let flags = FlagsErrand { app, request, router, wish };
    for _ in 0..ROUNDS_MAX {
        if let Some(ending) = flags.round().await? {
            return Ok(ending);
        }
    }
    Err(later(&request.attempt, "others were faster again and again"))
}

/// Flags on their way.
struct FlagsErrand<'a> {
    app: &'a App,
    request: &'a Request,
    router: &'a RouterFlags,
    wish: FlagsWish,
}

impl FlagsErrand<'_> {
    async fn round(&self) -> super::Round {
        let applied = stored(self.request, self.app.applied.find(self.at()).await)?;
        let decided = plan_flags(applied.as_ref(), &self.wish);
        let held = applied.as_ref().and_then(held_flags);
        if self.request.has_expired() {
            // An attempt that was cut off may have sent it.
            let is_held = applied.is_some_and(|it| {
                it.flags.is_some_and(|it| it.hash.as_ref() == Some(&self.wish.hash))
            });
            let may_differ =
                matches!(decided, FlagsPlan::Act { router_is_gone: false }) && !is_held;
            if may_differ && !self.app.backend.is_dry_run() {
                self.forget().await?;
            }
            return Ok(Some(Ending::new(ReplyStatus::Expired, held)));
        }
        match decided {
            FlagsPlan::ForeignTenant => Ok(Some(foreign_tenant(self.router.device_id.as_str()))),
            FlagsPlan::Superseded => Ok(Some(Ending::new(ReplyStatus::Superseded, held))),
            FlagsPlan::Unchanged => self.unchanged(held).await,
            FlagsPlan::Act { router_is_gone } => self.put(router_is_gone, held).await,
        }
    }

    async fn unchanged(&self, held: Option<Revision>) -> super::Round {
        let is_recorded = held == Some(self.wish.revision);
        if is_recorded || self.app.backend.is_dry_run() {
            return Ok(Some(Ending::new(ReplyStatus::Unchanged, held)));
        }
        self.record(Ending::new(ReplyStatus::Unchanged, Some(self.wish.revision))).await
    }

    async fn put(&self, router_is_gone: bool, held: Option<Revision>) -> super::Round {
        let resource = Resource::FeatureFlags(self.router.device_id.clone());
        let errand = Errand {
            key: self.router.device_id.as_str(),
            resource: &resource,
            revision: self.wish.revision,
            lane: self.request.lane,
            expires_at: self.request.expires_at,
            attempt: &self.request.attempt,
        };
        let (backend, body) = (&self.app.backend, &self.wish.body);
        let called = match router_is_gone {
            true => backend.put_if_there(&errand, body).await?,
            false => backend.put(&errand, body).await?,
        };
        let http_status = match called {
            Called::Done { http_status } => http_status,
            Called::NotSent => return Ok(Some(Ending::new(ReplyStatus::NotSent, held))),
            Called::Superseded => {
                self.forget().await?;
                let ending = Ending::new(ReplyStatus::Superseded, held);
                return Ok(Some(Ending { http_status: Some(409), ..ending }));
            }
            Called::Rejected { http_status, reason } => {
                self.forget().await?;
                return Ok(Some(Ending { http_status, ..Ending::rejected(reason, held) }));
            }
        };
        let applied = |held| Ending {
            http_status: Some(http_status),
            ..Ending::new(ReplyStatus::Applied, held)
        };
        if router_is_gone {
            // There is nothing that could hold them.
            return Ok(Some(applied(held)));
        }
        self.record(applied(Some(self.wish.revision))).await
    }

    async fn record(&self, ending: Ending) -> super::Round {
        let flags = self.wish.fulfilled();
        let write = self.app.applied.record_flags(self.at(), &self.wish.isp_id, &flags).await;
        match stored(self.request, write)? {
            Recorded::Written => Ok(Some(ending)),
            Recorded::Overtaken => {
                metrics::counter!("rsadaptor_repairs_needed_total").increment(1);
                let router_id = self.router.device_id.as_str();
                tracing::error!(router_id, "overtaken after the call: a delta sync must repair");
                self.forget().await?;
                Ok(None)
            }
        }
    }

    async fn forget(&self) -> std::result::Result<(), crate::domain::Later> {
        let forgotten = self.app.applied.forget_flags(self.at(), &self.wish.isp_id).await;
        stored(self.request, forgotten)
    }

    fn at(&self) -> At<'_> {
        At { key: self.router.device_id.as_str(), lane: self.request.lane }
    }
}

/// The revision of the flags that `applied` holds.
fn held_flags(applied: &Applied) -> Option<Revision> {
    applied.flags.as_ref().map(|it| it.revision)
}
