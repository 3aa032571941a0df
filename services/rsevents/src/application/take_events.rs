//! What happens in the homes, many events at a time: whose it is, whether it counts, and what others hear of it.

use std::{sync::Arc, time::Duration};

use eventbus::EventBusMessage;
use events::{AccountId, DeviceId, HsEvent, Timestamp};

use super::Failure;
use crate::{
    SOURCE,
    app::App,
    domain::{
        Account, Candidate, Caused, Device, Home, Places, Step, Verdict, causes, fold, is_timely,
        judge,
    },
    infrastructure::{places::Age, store::StoreError},
};

/// An event as it has arrived.
#[derive(Debug)]
pub struct Arrived<'a> {
    /// The message that says it.
    pub message: &'a EventBusMessage,
    /// What it says.
    pub event: Result<HsEvent, Failure>,
    /// For how long it has been here.
    pub waited: Duration,
}

/// What becomes of an event.
#[derive(Debug)]
pub enum Fate {
    /// Everything that it causes is said, and acknowledged.
    Told,
    /// Another one is told in its place.
    Folded,
    /// It has no effect.
    Skipped(&'static str),
    /// It is handed over again after so long, with what has come behind it.
    Hold(Duration),
    /// It is about something that is not known yet.
    Wait(String),
    /// It failed.
    Failed(Failure),
}

/// An event that is worked on.
struct Open {
    /// What becomes of it, as far as that is known already.
    fate: Option<Fate>,
    event: Option<HsEvent>,
    home: Option<Home>,
}

/// Says what the events of a batch cause, and answers for each. Those of one key stand side by side, in order; what
/// stands behind one that is not done is not looked at.
///
/// What is said carries ids that are made of the event's, so that a batch that is handled twice is told twice under the
/// same ids. Nothing is remembered but what may be forgotten: the offsets stand still until all is acknowledged.
pub async fn take_events(app: &App, arrived: Vec<Arrived<'_>>) -> Vec<Fate> {
    let now = jiff::Timestamp::now();
    let calm = app.outages.over_for();
    let waited: Vec<Duration> = arrived.iter().map(|it| it.waited.min(calm)).collect();
    let messages: Vec<&EventBusMessage> = arrived.iter().map(|it| it.message).collect();
    let mut open: Vec<Open> = arrived
        .into_iter()
        .map(|it| {
            let limits = app.limits;
            let timely = it.event.and_then(|event| {
                is_timely(moment(&event), now, limits)?;
                Ok(event)
            });
            match timely {
                Ok(event) => Open { fate: None, event: Some(event), home: None },
                Err(failure) => Open { fate: Some(Fate::Failed(failure)), event: None, home: None },
            }
        })
        .collect();
    find_homes(app, &mut open, &waited).await;
    fold_activity(app, &messages, &mut open);
    tell(app, &messages, &mut open).await;
    if open.iter().any(|it| it.fate.as_ref().is_some_and(is_outage)) {
        app.outages.note();
    }
    open.into_iter().map(|it| it.fate.expect("every event has been decided about")).collect()
}

/// Finds the home of each event, or what is in the way.
async fn find_homes(app: &App, open: &mut [Open], waited: &[Duration]) {
    let all: Vec<usize> = (0..open.len()).filter(|at| open[*at].event.is_some()).collect();
    let dropped = judge_these(app, open, waited, &all, Age::Held).await;
    // Another process may have heard of something newer: nothing is dropped because of what is held in memory.
    judge_these(app, open, waited, &dropped, Age::New).await;
}

/// Answers which of them have no effect.
async fn judge_these(
    app: &App,
    open: &mut [Open],
    waited: &[Duration],
    these: &[usize],
    age: Age,
) -> Vec<usize> {
    let mut dropped = Vec::new();
    if these.is_empty() {
        return dropped;
    }
    let found = {
        let events = these.iter().filter_map(|at| open[*at].event.as_ref()).collect::<Vec<_>>();
        places_of(app, &events, age).await
    };
    let found = match found {
        Ok(found) => found,
        Err(failure) => {
            let failed = |at: &usize| {
                open[*at].fate = Some(Fate::Failed(Failure::Store(failure.clone())));
            };
            these.iter().for_each(failed);
            return dropped;
        }
    };
    for (at, found) in these.iter().zip(found) {
        let it = &mut open[*at];
        let Some(event) = &it.event else { continue };
        (it.fate, it.home) = match judge(event, found.places()) {
            Verdict::Take(home) => (None, Some(home)),
            Verdict::Skip(why) => {
                dropped.push(*at);
                (Some(Fate::Skipped(why)), None)
            }
            Verdict::Refuse(wrong) => {
                dropped.push(*at);
                (Some(Fate::Failed(wrong.into())), None)
            }
            Verdict::Wait(why) if waited[*at] < app.unknown_wait => (Some(Fate::Wait(why)), None),
            Verdict::Wait(why) => {
                let why = format!("{why}, also {} s later", waited[*at].as_secs());
                (Some(Fate::Failed(Failure::Unknown(why))), None)
            }
        };
    }
    dropped
}

/// What is known of those whom an event is about.
struct Found {
    device: Option<Arc<Device>>,
    account: Option<Arc<Account>>,
    named: Option<Arc<Account>>,
}

impl Found {
    fn places(&self) -> Places<'_> {
        let Self { device, account, named } = self;
        Places { device: device.as_deref(), account: account.as_deref(), named: named.as_deref() }
    }
}

async fn places_of(app: &App, events: &[&HsEvent], age: Age) -> Result<Vec<Found>, StoreError> {
    let ids: Vec<&DeviceId> = events.iter().map(|it| device(it)).collect();
    let devices = app.places.devices(&ids, age).await?;
    let its = |it: &Option<Arc<Device>>| {
        it.as_ref().filter(|it| !it.deleted).map(|it| it.account_id.clone())
    };
    let accounts = accounts_of(app, devices.iter().map(its).collect(), age).await?;
    let named = events.iter().map(|it| named(it).cloned()).collect();
    let named = accounts_of(app, named, age).await?;
    let found = devices.into_iter().zip(accounts).zip(named);
    Ok(found.map(|((device, account), named)| Found { device, account, named }).collect())
}

async fn accounts_of(
    app: &App,
    ids: Vec<Option<AccountId>>,
    age: Age,
) -> Result<Vec<Option<Arc<Account>>>, StoreError> {
    let wanted: Vec<&AccountId> = ids.iter().flatten().collect();
    let mut accounts = app.places.accounts(&wanted, age).await?.into_iter();
    Ok(ids.iter().map(|it| it.as_ref().and_then(|_| accounts.next().flatten())).collect())
}

/// Of what devices say of their activity, one in a window is told.
fn fold_activity(app: &App, messages: &[&EventBusMessage], open: &mut [Open]) {
    let candidates = open.iter().zip(messages).map(|(it, message)| Candidate {
        key: message.key.as_deref(),
        device: it.event.as_ref().map_or("", |it| device(it).as_str()),
        active_at: match (&it.event, &it.home) {
            (Some(HsEvent::Active(event)), Some(_)) => Some(event.timestamp.instant()),
            (Some(_) | None, _) => None,
        },
        stays: it.fate.as_ref().is_some_and(stays),
    });
    let candidates: Vec<Candidate<'_>> = candidates.collect();
    let steps = app.windows.look(|open| fold(&candidates, open));
    drop(candidates);
    let folded = steps.iter().filter(|it| matches!(it, Step::Folded)).count();
    metrics::counter!("rsevents_folded_total").increment(folded as u64);
    for (it, step) in open.iter_mut().zip(steps) {
        match step {
            Step::Go => {}
            Step::Folded => it.fate = Some(Fate::Folded),
            Step::Hold(rest) => it.fate = Some(Fate::Hold(rest)),
            // It is handed over again as soon as what it stands behind is done.
            Step::Behind => it.fate = Some(Fate::Hold(Duration::ZERO)),
        }
    }
}

/// Whether an event is going to be handed over again.
fn stays(fate: &Fate) -> bool {
    match fate {
        Fate::Wait(_) | Fate::Hold(_) => true,
        Fate::Told | Fate::Folded | Fate::Skipped(_) | Fate::Failed(_) => is_outage(fate),
    }
}

/// Whether the store or the broker has failed.
fn is_outage(fate: &Fate) -> bool {
    match fate {
        Fate::Failed(Failure::Store(_) | Failure::Publish(_)) => true,
        Fate::Told
        | Fate::Folded
        | Fate::Skipped(_)
        | Fate::Hold(_)
        | Fate::Wait(_)
        | Fate::Failed(
            Failure::Malformed(_)
            | Failure::Untimely(_)
            | Failure::TenantMismatch(_)
            | Failure::Unknown(_),
        ) => false,
    }
}

/// Says everything at once, and waits until all of it is acknowledged.
async fn tell(app: &App, messages: &[&EventBusMessage], open: &mut [Open]) {
    // Which event has caused which message.
    let (mut told, mut said) = (Vec::with_capacity(open.len()), Vec::with_capacity(open.len()));
    let mut active: Vec<(usize, DeviceId, jiff::Timestamp)> = Vec::new();
    for (at, it) in open.iter_mut().enumerate() {
        if it.fate.is_some() {
            continue;
        }
        let (Some(event), Some(home)) = (it.event.take(), it.home.take()) else { continue };
        if let HsEvent::Active(event) = &event {
            active.push((at, event.device_id.clone(), event.timestamp.instant()));
        }
        for (n, caused) in (0..).zip(causes(event, home)) {
            told.push(at);
            said.push(message(messages[at], n, &caused));
        }
        it.fate = Some(Fate::Told);
    }
    let sent = app.bus.publish_all(said).await;
    for (at, sent) in told.into_iter().zip(sent) {
        if let Err(error) = sent {
            open[at].fate = Some(Fate::Failed(error.into()));
        }
    }
    fail::fail_point!("rsevents::after-publish", |_| std::process::abort());
    let was_told =
        |it: &&(usize, DeviceId, jiff::Timestamp)| matches!(open[it.0].fate, Some(Fate::Told));
    app.windows.begin(active.iter().filter(was_told).map(|it| (it.1.as_str(), it.2)));
}

fn message(cause: &EventBusMessage, n: u32, caused: &Caused) -> EventBusMessage {
    match caused {
        Caused::Command(it) => EventBusMessage::caused_by(cause, n, it, SOURCE),
        Caused::Rs(it) => EventBusMessage::caused_by(cause, n, it, SOURCE),
        Caused::Notification(it) => EventBusMessage::caused_by(cause, n, it, SOURCE),
        Caused::Report(it) => EventBusMessage::caused_by(cause, n, it, SOURCE),
    }
}

fn moment(event: &HsEvent) -> &Timestamp {
    match event {
        HsEvent::Connected(it) => &it.timestamp,
        HsEvent::NewDevice(it) => &it.timestamp,
        HsEvent::Active(it) => &it.timestamp,
        HsEvent::Blocked(it) => &it.timestamp,
        HsEvent::Threat(it) => &it.timestamp,
        HsEvent::Agent(it) => &it.timestamp,
    }
}

/// The household that an event of an unknown device names.
fn named(event: &HsEvent) -> Option<&AccountId> {
    match event {
        HsEvent::NewDevice(it) => it.account_id.as_ref(),
        HsEvent::Connected(_)
        | HsEvent::Active(_)
        | HsEvent::Blocked(_)
        | HsEvent::Threat(_)
        | HsEvent::Agent(_) => None,
    }
}

fn device(event: &HsEvent) -> &DeviceId {
    match event {
        HsEvent::Connected(it) => &it.device_id,
        HsEvent::NewDevice(it) => &it.device_id,
        HsEvent::Active(it) => &it.device_id,
        HsEvent::Blocked(it) => &it.device_id,
        HsEvent::Threat(it) => &it.device_id,
        HsEvent::Agent(it) => &it.device_id,
    }
}
