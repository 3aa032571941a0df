//! What has become of the routers of a rollout.
//!
//! They are counted from what is stored, and no router is remembered: which ones are meant follows from what each is to
//! run, what became of them from what they have reported last. So nothing can be counted twice, and nothing is lost.

use std::time::Duration;

use async_task::At;
use events::{DeviceId, InstallationStatus};

use super::read::Read;
use crate::{
    app::App,
    application::Failure,
    domain::{Counts, Moved, Rollout, Target, place},
    infrastructure::store::Report,
};

/// Most routers that are read at a time.
const BATCH: usize = 500;
/// By how much the clock of a router may be behind; by as much it may be ahead before its reports are set aside.
const CLOCKS_DIFFER: Duration = Duration::from_secs(300);

/// All routers that a rollout has moved, and those of its present wave. Before each batch `go_on` is asked whether the
/// counting still matters.
///
/// # Errors
/// The store failed. Nothing where it does not matter any more.
pub(super) async fn count(
    app: &App,
    rollout: &Rollout,
    mut go_on: impl AsyncFnMut() -> Result<bool, Failure>,
) -> Result<Option<(Counts, Counts)>, Failure> {
    let (mut all, mut of_wave) = (Counts::default(), Counts::default());
    let (isp_id, mut after) = (&rollout.isp_id, None);
    loop {
        if !go_on().await? {
            return Ok(None);
        }
        let ids = app.store.devices.of_group(isp_id, &rollout.group, after.as_ref(), BATCH).await?;
        let read = Read::all(app, &ids).await?;
        let reports = app.store.reports.find(&ids).await?;
        for id in moved(&read, rollout) {
            let report = reports.binary_search_by(|it| it.id.cmp(id)).ok().map(|it| &reports[it]);
            add(&mut all, report, rollout);
            if place(&rollout.id, id) >= rollout.before_per_mille() {
                add(&mut of_wave, report, rollout);
            }
        }
        match ids.last() {
            Some(last) if ids.len() == BATCH => after = Some(last.clone()),
            Some(_) | None => return Ok(Some((all, of_wave))),
        }
    }
}

/// Those of the devices that the rollout has moved, and that are served.
fn moved<'a>(read: &'a Read, rollout: &Rollout) -> impl Iterator<Item = &'a DeviceId> {
    let by = Some((&rollout.id, Moved::Yes));
    read.devices
        .iter()
        .filter(move |device| {
            let inputs = read.inputs(device);
            let state = device.state.as_ref().filter(|_| inputs.live().is_ok());
            state.is_some_and(|it| Target::of(&device.id, it, inputs.software).rollout == by)
        })
        .map(|it| &it.id)
}

/// A failure from before the rollout is none of its own, however late it is heard of.
fn add(counts: &mut Counts, report: Option<&Report>, rollout: &Rollout) {
    counts.routers += 1;
    let counts_for =
        |it: &&Report| it.agent_package_id == rollout.to && it.isp_id == rollout.isp_id;
    let Some(report) = report.filter(counts_for) else { return };
    let (heard, at) = (At(report.heard_at_ms), At(report.at_ms).plus(CLOCKS_DIFFER));
    match report.status {
        InstallationStatus::Installed => counts.installed += 1,
        InstallationStatus::Failed if heard.min(at) >= rollout.started_at => counts.failed += 1,
        InstallationStatus::Failed => (),
    }
}
