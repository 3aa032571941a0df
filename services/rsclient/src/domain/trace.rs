//! Where a device is on its way from the ISP to the backend, from what everybody on the way says of it.

use events::{
    AccountId, Action, DeviceId, DeviceKind, IspId, Revision, RsProvisioningEvent, Text,
    TopicEvent as _,
};
use jiff::Timestamp;
use openapi::schema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Absence, Because, Device, Explained, Inputs, explained};

/// Everything that is known of a device's way.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Trace {
    /// The device.
    #[schema(value_type = schema::Id)]
    pub device_id: DeviceId,
    /// The tenant.
    #[schema(value_type = schema::Id)]
    pub isp_id: IspId,
    /// The household.
    #[schema(value_type = schema::Id)]
    pub account_id: AccountId,
    /// Router or not; nothing where only the deletion is known.
    #[schema(value_type = Option<schema::DeviceKind>)]
    pub kind: Option<DeviceKind>,
    /// What people call it.
    #[schema(value_type = Option<schema::Text>)]
    pub name: Option<Text>,
    /// What it all comes to.
    pub headline: Headline,
    /// What provisioning said.
    pub stored: Stored,
    /// The revision of the configuration that holds for it; what the backend should hold.
    #[schema(value_type = schema::Revision)]
    pub effective_revision: Revision,
    /// What it waits for before it is served; nothing where it is served.
    pub pending: Option<Pending>,
    /// A command that has not gone out yet.
    #[schema(value_type = Option<schema::Action>)]
    pub pending_action: Option<Action>,
    /// What was published last.
    pub published: Option<PublishedAt>,
    /// What rsadaptor says.
    pub backend: Backend,
    /// What was set aside.
    pub dead_lettered: SetAside,
    /// The syncs and walks that have it to do.
    pub syncs: Vec<SyncPart>,
}

/// What a trace comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Headline {
    /// In a word.
    pub verdict: Verdict,
    /// In a sentence.
    pub text: String,
}

/// What a trace comes to, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The backend holds what it should.
    Protected,
    /// The backend holds what it should, and that is: nothing is on.
    Off,
    /// It waits for something before it is served.
    Pending,
    /// It was refused.
    Rejected,
    /// The backend or something before it in its queue keeps it waiting.
    Waiting,
    /// It was published, and nothing is in its way.
    OnItsWay,
    /// It was deleted.
    Deleted,
    /// Whoever should know does not answer.
    Unknown,
}

/// What provisioning said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stored {
    /// The revision that provisioning gave it.
    #[schema(value_type = schema::Revision)]
    pub revision: Revision,
    /// When it was written.
    #[schema(value_type = Option<schema::Time>)]
    pub at: Option<Timestamp>,
    /// Whether it was a deletion.
    pub deleted: bool,
}

/// What a device waits for before it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pending {
    /// In a word.
    pub reason: &'static str,
    /// In a sentence.
    pub why: &'static str,
}

/// What was published last, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PublishedAt {
    /// The event.
    pub event: String,
    /// The topic.
    pub topic: &'static str,
    /// The partition of it.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
    /// The revision that was said.
    #[schema(value_type = schema::Revision)]
    pub revision: Revision,
    /// When.
    #[schema(value_type = Option<schema::Time>)]
    pub at: Option<Timestamp>,
}

/// What rsadaptor says of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Backend {
    /// What the backend holds.
    pub applied: Option<Applied>,
    /// What was refused last.
    pub rejected: Option<Rejected>,
    /// Records of this device that wait.
    pub waiting: Vec<WaitingRecord>,
    /// Since when nothing is sent to the backend at all.
    pub circuit: Option<Circuit>,
    /// Why all of that, or a part of it, is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// What the backend holds, as rsadaptor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// Which resource it is.
    pub kind: String,
    /// The revision.
    #[schema(value_type = schema::Revision)]
    pub revision: Revision,
    /// How it came to it: `applied`, `deleted`, or `unknown` after a call without a known end.
    pub status: String,
    /// When.
    #[schema(value_type = Option<schema::Time>)]
    pub at: Option<Timestamp>,
}

/// What was refused last, as rsadaptor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rejected {
    /// The revision.
    #[schema(value_type = schema::Revision)]
    pub revision: Revision,
    /// The answer of the backend, where it was the backend.
    pub http_status: Option<u16>,
    /// Why.
    pub error: String,
    /// When.
    #[schema(value_type = Option<schema::Time>)]
    pub at: Option<Timestamp>,
}

/// A record that waits, as rsadaptor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingRecord {
    /// The topic.
    pub topic: String,
    /// The partition of it.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
    /// The key that it holds.
    pub key: String,
    /// Since when.
    #[schema(value_type = Option<schema::Time>)]
    pub since: Option<Timestamp>,
    /// How often it was tried.
    pub attempts: u32,
    /// What it waits for.
    pub reason: String,
}

/// Whether anything is sent to the backend, as rsadaptor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Circuit {
    /// `closed` where it is.
    pub state: String,
    /// Since when it is not.
    #[schema(value_type = Option<schema::Time>)]
    pub since: Option<Timestamp>,
    /// Why not.
    pub reason: Option<String>,
}

/// What was set aside of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SetAside {
    /// The records of which nothing has become since.
    pub items: Vec<DeadLetter>,
    /// Why all of that, or a part of it, is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// A record that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeadLetter {
    /// Who could not handle it.
    pub group: &'static str,
    /// The topic that it lies in now.
    pub topic: String,
    /// The partition of it.
    pub partition: i32,
    /// The offset there.
    pub offset: i64,
    /// The event.
    pub event: Option<String>,
    /// The revision that it says.
    #[schema(value_type = Option<schema::Revision>)]
    pub revision: Option<Revision>,
    /// Why it was set aside.
    pub error: Option<String>,
    /// When it failed first.
    #[schema(value_type = Option<schema::Time>)]
    pub failed_at: Option<Timestamp>,
}

/// A sync or walk that has a device to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SyncPart {
    /// The job.
    pub job_id: String,
    /// The task of it.
    pub task: String,
    /// How far it is with the device.
    pub state: SyncPartState,
    /// Why the task stands still, where it does.
    pub standstill: Option<String>,
}

/// How far a sync or walk is with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncPartState {
    /// It has not come to it.
    Queued,
    /// It has sent it and waits for the answer.
    Sent,
    /// Its copy came too late to be sent on; it is sent again.
    Expired,
}

/// What others say, asked at the same time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// What rsadaptor says.
    pub backend: Backend,
    /// What was set aside.
    pub dead_lettered: SetAside,
    /// The syncs and walks that have it to do.
    pub syncs: Vec<SyncPart>,
    /// The walk that has not come to it: what holds for it may have changed, and its revision does not say so yet.
    pub raising: Option<String>,
}

/// Puts together where a device is, at `now`.
pub fn trace(inputs: Inputs<'_>, said: Said, now: Timestamp) -> Trace {
    let device = inputs.device;
    let explained = explained(inputs, now);
    let at = |ms: i64| Timestamp::from_millisecond(ms).ok();
    let pending = match &explained {
        Ok(_) | Err(Absence::Deleted) => None,
        Err(it) => Some(Pending { reason: it.as_str(), why: it.sentence() }),
    };
    let published = device.last_published.as_ref().map(|it| PublishedAt {
        event: it.event.clone(),
        topic: RsProvisioningEvent::topic().name,
        partition: it.partition,
        offset: it.offset,
        revision: it.revision,
        at: at(it.at_ms),
    });
    Trace {
        device_id: device.id.clone(),
        isp_id: device.isp_id.clone(),
        account_id: device.account_id.clone(),
        kind: device.state.as_ref().map(|it| it.kind),
        name: device.state.as_ref().map(|it| it.name.clone()),
        headline: headline(device, explained.as_ref(), &said),
        stored: Stored {
            revision: device.revision,
            at: device.saved_at_ms.and_then(at),
            deleted: device.deleted,
        },
        effective_revision: device.rs_revision,
        pending,
        pending_action: device.pending_action.clone(),
        published,
        backend: said.backend,
        dead_lettered: said.dead_lettered,
        syncs: said.syncs,
    }
}

/// What it comes to: what keeps the device from what it should have now, the most telling first.
fn headline(device: &Device, explained: Result<&Explained, &Absence>, said: &Said) -> Headline {
    match explained {
        Err(Absence::Deleted) => of(Verdict::Deleted, "the device was deleted".to_owned()),
        Err(absence) => of(Verdict::Pending, absence.sentence().to_owned()),
        Ok(explained) => refused_by_us(device, said)
            .or_else(|| about_to_change(said))
            .or_else(|| arrived(device, explained, &said.backend))
            .or_else(|| refused(device, said))
            .or_else(|| waits(&said.backend))
            .unwrap_or_else(|| under_way(device, said)),
    }
}

fn of(verdict: Verdict, text: String) -> Headline {
    Headline { verdict, text }
}

/// What provisioning said last was set aside before it was stored.
fn refused_by_us(device: &Device, said: &Said) -> Option<Headline> {
    let newer = |it: &&DeadLetter| {
        it.group == crate::SERVICE && it.revision.is_some_and(|it| it > device.revision)
    };
    let letter = said.dead_lettered.items.iter().rfind(newer)?;
    let error = letter.error.as_deref().unwrap_or("no reason is told");
    Some(of(Verdict::Rejected, format!("what provisioning said last was set aside: {error}")))
}

/// The revision that holds is not the last one.
fn about_to_change(said: &Said) -> Option<Headline> {
    let walk = said.raising.as_ref()?;
    Some(of(Verdict::OnItsWay, format!("job {walk} has it to do, for what holds has changed")))
}

/// The backend holds what it should.
fn arrived(device: &Device, explained: &Explained, backend: &Backend) -> Option<Headline> {
    let holds = |it: &&Applied| it.revision >= device.rs_revision && it.status == "applied";
    let applied = backend.applied.as_ref().filter(holds)?;
    let (configuration, revision) = (&explained.configuration, applied.revision.get());
    let suspended =
        explained.provenance.iter().any(|it| it.because == Some(Because::AccountSuspended));
    let services = &configuration.services;
    let why = if suspended {
        "the account is suspended"
    } else if !configuration.enabled {
        "the router is switched off"
    } else if !services.content_filtering.enabled && !services.threat_protection.enabled {
        "content filtering and threat protection are switched off"
    } else {
        let since = applied.at.map(|it| format!(" since {it:.0}")).unwrap_or_default();
        let text = format!("the backend holds revision {revision}{since}");
        return Some(of(Verdict::Protected, text));
    };
    Some(of(Verdict::Off, format!("{why}; the backend holds that as revision {revision}")))
}

/// The configuration that holds was refused.
fn refused(device: &Device, said: &Said) -> Option<Headline> {
    let current = |revision: Revision| revision >= device.rs_revision;
    if let Some(it) = said.backend.rejected.as_ref().filter(|it| current(it.revision)) {
        let status = it.http_status.map(|it| format!("{it} ")).unwrap_or_default();
        return Some(of(
            Verdict::Rejected,
            format!("the backend refused it: {status}{}", it.error),
        ));
    }
    let theirs = |it: &&DeadLetter| it.group != crate::SERVICE && it.revision.is_some_and(current);
    let letter = said.dead_lettered.items.iter().rfind(theirs)?;
    let error = letter.error.as_deref().unwrap_or("no reason is told");
    Some(of(Verdict::Rejected, format!("{} has set it aside: {error}", letter.group)))
}

/// Something is in its way.
fn waits(backend: &Backend) -> Option<Headline> {
    let since = |it: Option<Timestamp>| it.map(|it| format!(" since {it:.0}")).unwrap_or_default();
    if let Some(it) = backend.circuit.as_ref().filter(|it| it.state != "closed") {
        let reason = it.reason.as_deref().unwrap_or("no reason is told");
        let text = format!("nothing is sent to the backend{}: {reason}", since(it.since));
        return Some(of(Verdict::Waiting, text));
    }
    let it = backend.waiting.first()?;
    let place = format!("{}/{}/{}", it.topic, it.partition, it.offset);
    let text = format!(
        "record {place} waits{} after {} attempts: {}",
        since(it.since),
        it.attempts,
        it.reason
    );
    Some(of(Verdict::Waiting, text))
}

/// Nothing is known to be in its way.
fn under_way(device: &Device, said: &Said) -> Headline {
    let revision = device.rs_revision.get();
    if let Some(why) = &said.backend.unknown {
        let text = format!("whether the backend holds revision {revision} is not known: {why}");
        return of(Verdict::Unknown, text);
    }
    let is_current =
        device.last_published.as_ref().is_some_and(|it| it.revision == device.rs_revision);
    if let Some(job) = said.syncs.first() {
        return of(Verdict::OnItsWay, format!("job {} has it to do", job.job_id));
    }
    match is_current {
        true => of(Verdict::OnItsWay, format!("revision {revision} was published")),
        false => of(Verdict::OnItsWay, format!("revision {revision} is about to be published")),
    }
}
