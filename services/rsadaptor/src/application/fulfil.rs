//! Make a wish come true: read what is applied, decide, call the backend, record.
//!
//! The order of the steps is what makes a second run from the top harmless: the backend's 2xx comes before the
//! write to `applied`, so a crash in between repeats the call, which is idempotent. Whatever may have reached the
//! backend without ending in `applied` leaves the hash unknown, so that nothing equal is skipped afterwards.

use events::{DeviceId, DeviceKind, ReplyStatus, Revision};

use super::{Request, Result};
use crate::{
    app::App,
    domain::{Applied, Ending, Hash, Later, Plan, Want, Wish, plan},
    infrastructure::{
        hs::Called,
        problems::{later, store_later},
        store::{Recorded, StoreError},
    },
};

/// How often one attempt may find that somebody else was faster.
const ROUNDS_MAX: usize = 4;

/// Makes `wish` come true for the device `id`, unless something newer has.
pub(super) async fn fulfil(app: &App, request: &Request, id: &DeviceId, wish: &Wish) -> Result {
    let attempt = &request.attempt;
    for _ in 0..ROUNDS_MAX {
        if !request.has_expired() {
            app.backend.look(id)?;
        }
        let applied = app.applied.find(id).await.map_err(|it| store_later(attempt, it))?;
        let held = applied.as_ref().map(|it| it.revision);
        let decided = plan(applied.as_ref(), wish);
        if request.has_expired() {
            return expired(app, request, id, &decided, held).await;
        }
        let ending = match decided {
            Plan::ForeignTenant => Some(foreign_tenant(id)),
            Plan::Superseded => Some(Ending::new(ReplyStatus::Superseded, held)),
            Plan::Unchanged => record_unchanged(app, request, id, wish, held).await?,
            Plan::BuryAgain(revision) => {
                let buried = applied.as_ref().expect("there is a tombstone to bury under");
                bury_again(app, request, id, buried, revision).await?
            }
            Plan::Act { remove } => act(app, request, id, wish, &remove, held).await?,
        };
        if let Some(ending) = ending {
            return Ok(ending);
        }
    }
    Err(later(attempt, "others were faster again and again"))
}

fn foreign_tenant(id: &DeviceId) -> Ending {
    metrics::counter!("rsadaptor_tenant_mismatches_total").increment(1);
    tracing::error!(device_id = id.as_str(), "tenant mismatch: a record of another tenant refused");
    // What is held is the other tenant's.
    Ending::rejected("tenant_mismatch", None)
}

async fn expired(
    app: &App,
    request: &Request,
    id: &DeviceId,
    decided: &Plan,
    held: Option<Revision>,
) -> Result {
    // An attempt that was cut off may have sent it.
    if matches!(decided, Plan::Act { .. }) && !app.backend.is_dry_run() {
        forget_hash(app, request, id).await?;
    }
    Ok(Ending::new(ReplyStatus::Expired, held))
}

async fn record_unchanged(
    app: &App,
    request: &Request,
    id: &DeviceId,
    wish: &Wish,
    held: Option<Revision>,
) -> std::result::Result<Option<Ending>, Later> {
    if app.backend.is_dry_run() {
        return Ok(Some(Ending::new(ReplyStatus::Unchanged, held)));
    }
    match record(app, request, id, &wish.fulfilled()).await? {
        Recorded::Written => Ok(Some(Ending::new(ReplyStatus::Unchanged, Some(wish.revision)))),
        Recorded::Overtaken => Ok(None),
    }
}

async fn act(
    app: &App,
    request: &Request,
    id: &DeviceId,
    wish: &Wish,
    remove: &[DeviceKind],
    held: Option<Revision>,
) -> std::result::Result<Option<Ending>, Later> {
    let called = call(app, request, id, wish, remove).await?;
    let http_status = match called {
        Called::Done { http_status } => http_status,
        Called::NotSent => return Ok(Some(Ending::new(ReplyStatus::NotSent, held))),
        Called::Superseded => {
            forget_hash(app, request, id).await?;
            let ending = Ending::new(ReplyStatus::Superseded, held);
            return Ok(Some(Ending { http_status: Some(409), ..ending }));
        }
        Called::Rejected { http_status, reason } => {
            forget_hash(app, request, id).await?;
            return Ok(Some(Ending { http_status, ..Ending::rejected(reason, held) }));
        }
    };
    fail::fail_point!("rsadaptor::after-2xx", |_| std::process::abort());
    match record(app, request, id, &wish.fulfilled()).await? {
        Recorded::Written => {
            let ending = Ending::new(ReplyStatus::Applied, Some(wish.revision));
            Ok(Some(Ending { http_status: Some(http_status), ..ending }))
        }
        Recorded::Overtaken => {
            overtaken(app, request, id).await?;
            Ok(None)
        }
    }
}

/// Removes what must go and puts what is wanted. The answer is that of the last call, or of the first that is not
/// done.
async fn call(
    app: &App,
    request: &Request,
    id: &DeviceId,
    wish: &Wish,
    remove: &[DeviceKind],
) -> std::result::Result<Called, Later> {
    let (revision, attempt) = (wish.revision, &request.attempt);
    let mut called = Called::NotSent;
    for kind in remove {
        called = app.backend.delete(id, *kind, revision, attempt).await?;
        if let Called::Superseded | Called::Rejected { .. } = called {
            return Ok(called);
        }
    }
    match &wish.want {
        Want::Body(body) => app.backend.put(id, body, revision, attempt).await,
        Want::Nothing(_) => Ok(called),
    }
}

/// A late call may have brought a deleted device back: it goes again, under the revision of its deletion.
async fn bury_again(
    app: &App,
    request: &Request,
    id: &DeviceId,
    tombstone: &Applied,
    revision: Revision,
) -> std::result::Result<Option<Ending>, Later> {
    let ending = || Some(Ending::new(ReplyStatus::Superseded, Some(revision)));
    for kind in [DeviceKind::Router, DeviceKind::Device] {
        match app.backend.delete(id, kind, revision, &request.attempt).await? {
            Called::Done { .. } => {}
            // It stays unknown; what comes next for this device meets it.
            Called::NotSent | Called::Superseded | Called::Rejected { .. } => return Ok(ending()),
        }
    }
    let buried = Applied { hash: Some(Hash::of_nothing()), ..tombstone.clone() };
    match record(app, request, id, &buried).await? {
        Recorded::Written => Ok(ending()),
        Recorded::Overtaken => {
            overtaken(app, request, id).await?;
            Ok(None)
        }
    }
}

/// Something newer was recorded while the backend took what was older: nobody knows which of them it holds.
async fn overtaken(app: &App, request: &Request, id: &DeviceId) -> std::result::Result<(), Later> {
    metrics::counter!("rsadaptor_repairs_needed_total").increment(1);
    tracing::error!(device_id = id.as_str(), "overtaken after the call: a delta sync must repair");
    forget_hash(app, request, id).await
}

async fn record(
    app: &App,
    request: &Request,
    id: &DeviceId,
    applied: &Applied,
) -> std::result::Result<Recorded, Later> {
    app.applied.record(id, applied).await.map_err(|it| of_store(request, it))
}

async fn forget_hash(
    app: &App,
    request: &Request,
    id: &DeviceId,
) -> std::result::Result<(), Later> {
    app.applied.forget_hash(id).await.map_err(|it| of_store(request, it))
}

fn of_store(request: &Request, error: StoreError) -> Later {
    store_later(&request.attempt, error)
}
