//! The task behind a job: system documents first, then agent packages, then every account's devices.

use std::time::Duration;

use async_task::{
    At, Child, Children, End, NewChild, Next, OVER_BUDGET, PAUSED, Payload, Requests, STALLED,
    State, Task, TaskType,
};
use events::{JobId, RequestId, SyncCounts, SyncMode, SyncRequest, SyncScope};
use serde::{Deserialize, Serialize};

use super::{Job, JobState, Step};

/// The form of the documents.
const VERSION: u32 = 1;
/// A moment that never comes: a job that waits for another one opens nothing before it.
const NEVER: At = At(i64::MAX);

/// What the tasks of this service are about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task_type")]
pub enum JobPayload {
    /// A full sync.
    SyncAll(SyncAll),
}

/// A full sync.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SyncAll {
    /// Which homes it covers.
    pub scope: SyncScope,
    /// What is sent.
    pub mode: SyncMode,
    /// Most devices that are open at a time.
    pub window: u32,
    /// Most devices per second.
    pub rate_per_s: Option<u32>,
    /// Who asked for it.
    pub requested_by: String,
    /// How often it was redriven.
    #[serde(default)]
    pub redrives: u32,
    /// The job at whose end it begins.
    #[serde(default)]
    pub waits_for: Option<JobId>,
}

/// What the task of a job is asked for.
pub type JobTask = Task<JobPayload>;

/// A request of a job, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `system`
    System,
    /// `agents`
    AgentPackages,
    /// `accounts`
    Accounts,
    /// `agents~n`
    AgentPackagesAgain,
    /// `accounts~n`
    AccountsAgain,
}

impl TaskType for SyncAll {
    const NAME: &'static str = "SyncAll";
}

impl Payload for JobPayload {
    const VERSION: u32 = VERSION;

    fn task_type(&self) -> &'static str {
        match self {
            Self::SyncAll(_) => SyncAll::NAME,
        }
    }

    fn replies(&self) -> &'static [&'static str] {
        match self {
            Self::SyncAll(_) => {
                &["RSSyncSystemReply", "RSSyncAgentPackagesReply", "RSSyncAccountsReply"]
            }
        }
    }

    fn window(&self) -> u64 {
        // One step at a time; what its devices may have open is counted by those who send them.
        1
    }

    fn parent_is_here(&self) -> bool {
        false
    }
}

impl JobPayload {
    /// The full sync that it is.
    pub fn sync_all(&self) -> &SyncAll {
        let Self::SyncAll(it) = self;
        it
    }

    fn sync_all_mut(&mut self) -> &mut SyncAll {
        let Self::SyncAll(it) = self;
        it
    }
}

impl Part {
    /// The part that a request with this key asks for.
    pub fn of(key: &str) -> Option<Self> {
        match key.split_once('~') {
            None => match key {
                "system" => Some(Self::System),
                "agents" => Some(Self::AgentPackages),
                "accounts" => Some(Self::Accounts),
                _ => None,
            },
            Some(("agents", _)) => Some(Self::AgentPackagesAgain),
            Some(("accounts", _)) => Some(Self::AccountsAgain),
            Some(_) => None,
        }
    }
}

/// What a job asks for next: one step after the other.
pub fn next_step(task: &JobTask) -> Next {
    let Some(children) = task.children() else { return Next::Nothing };
    if !children.open.is_empty() || children.failed.is_some() {
        return Next::Wait;
    }
    let key = match children.opened {
        0 => "system",
        1 => "agents",
        2 => "accounts",
        _ => return Next::Nothing,
    };
    Next::Child(NewChild { key: Some(key.to_owned()), size: 0, after: None, up_to: None })
}

/// The payload of a step's request.
pub fn sync_request(task: &JobTask, request_id: &RequestId) -> SyncRequest {
    let sync_all = task.payload.sync_all();
    SyncRequest {
        job_id: task.job_id.clone(),
        request_id: request_id.clone(),
        scope: sync_all.scope.clone(),
        mode: sync_all.mode,
        window: sync_all.window,
        rate_per_s: sync_all.rate_per_s,
    }
}

/// The id of a job's task: the job's own.
pub fn task_id(job_id: &JobId) -> RequestId {
    job_id.as_str().parse().expect("every job id has the form of a request id")
}

/// Holds a new job back until another one has ended.
pub fn hold_back(task: &mut JobTask, waits_for: JobId) {
    task.payload.sync_all_mut().waits_for = Some(waits_for);
    if let Requests::Children(children) = &mut task.requests {
        children.next_open_at = NEVER;
    }
}

/// Lets a job begin that was held back. Answers whether it was.
pub fn let_go(task: &mut JobTask, now: At) -> bool {
    let held_back = task.payload.sync_all_mut().waits_for.take().is_some();
    if held_back {
        if let Requests::Children(children) = &mut task.requests {
            children.next_open_at = now;
        }
        (task.wake_at, task.updated_at) = (Some(now), now);
    }
    held_back
}

/// Whether there is something that a redrive could send again.
///
/// A redrive that did not come to its end has left some of it.
pub fn can_be_redriven(task: &JobTask) -> bool {
    let State::Ended { end, .. } = &task.state else { return false };
    let was_redriven = task.payload.sync_all().redrives > 0;
    task.counts.rejected > 0 || (was_redriven && *end != End::Completed)
}

/// Has an ended job send again what failed, as its `nth` redrive. Answers whether it was that many times before.
pub fn redrive(task: &mut JobTask, nth: u32, now: At, life: Duration) -> bool {
    if !task.has_ended() || task.payload.sync_all().redrives + 1 != nth {
        return false;
    }
    task.payload.sync_all_mut().redrives = nth;
    let child = Child {
        size: 0,
        after: None,
        up_to: None,
        counts: SyncCounts::default(),
        reason: None,
        expires_at: now,
    };
    let keys = [format!("agents~{nth}"), format!("accounts~{nth}")];
    let opened = task.children().map_or(0, |it| it.opened);
    task.requests = Requests::Children(Children {
        open: keys.into_iter().map(|key| (key, child.clone())).collect(),
        opened: opened + 2,
        exhausted: true,
        ..Children::default()
    });
    // What was rejected is counted anew by those who send it again.
    task.counts.total = task.counts.total.saturating_sub(task.counts.rejected);
    task.counts.rejected = 0;
    task.state = State::Running;
    (task.updated_at, task.deadline_at, task.wake_at) = (now, now.plus(life), Some(now));
    true
}

/// Why a service must be told again what was decided here: it stands still though the job moves, or the other way round.
pub fn contradicts(task: &JobTask, reason: Option<&str>) -> bool {
    let stands_still = reason.is_some_and(is_paused_by_somebody);
    match &task.state {
        State::Running => stands_still,
        State::Paused { .. } => reason.is_none_or(|it| !it.starts_with(PAUSED)),
        State::Cancelling { .. } | State::Ended { .. } => false,
    }
}

/// A child may also pause by itself, where too much fails; then a person must look first.
fn is_paused_by_somebody(reason: &str) -> bool {
    reason.strip_prefix(PAUSED).is_some_and(|it| !it.starts_with(OVER_BUDGET))
}

/// The job as others see it.
pub fn job_of(task: &JobTask) -> Job {
    let sync_all = task.payload.sync_all();
    let (state, reason, ended_at) = state_of(task);
    Job {
        job_id: task.job_id.clone(),
        state,
        reason,
        scope: sync_all.scope.clone(),
        mode: sync_all.mode,
        window: sync_all.window,
        rate_per_s: sync_all.rate_per_s,
        step: step_of(task),
        counts: task.counts_so_far(),
        requested_by: sync_all.requested_by.clone(),
        started_at: task.started_at.timestamp(),
        updated_at: task.updated_at.timestamp(),
        ended_at: ended_at.map(At::timestamp),
    }
}

fn state_of(task: &JobTask) -> (JobState, Option<String>, Option<At>) {
    match &task.state {
        State::Running => {
            let (state, reason) = moving(task);
            (state, reason, None)
        }
        State::Paused { why } => (JobState::Paused, Some(why.clone()), None),
        State::Cancelling { .. } => (JobState::Cancelling, None, None),
        State::Ended { end, reason, .. } => {
            let state = match end {
                End::Completed => JobState::Completed,
                End::CompletedWithFailures => JobState::CompletedWithFailures,
                End::Cancelled => JobState::Cancelled,
                End::Failed => JobState::Failed,
            };
            (state, reason.clone(), Some(task.updated_at))
        }
    }
}

/// How a job is that nobody here has stopped: its services may stand still all the same.
fn moving(task: &JobTask) -> (JobState, Option<String>) {
    if let Some(job_id) = &task.payload.sync_all().waits_for {
        return (JobState::Running, Some(format!("waits for the end of {job_id}")));
    }
    let Some(reason) = task.standstill() else { return (JobState::Running, None) };
    if let Some(why) = reason.strip_prefix(STALLED) {
        return (JobState::Stalled, Some(why.to_owned()));
    }
    match reason.strip_prefix(PAUSED) {
        Some(why) if !is_paused_by_somebody(&reason) => (JobState::Paused, Some(why.to_owned())),
        // It was resumed, and its services are about to hear of that.
        Some(_) => (JobState::Running, None),
        None => (JobState::Running, Some(reason)),
    }
}

fn step_of(task: &JobTask) -> Step {
    if task.has_ended() {
        return Step::Ended;
    }
    let open = task.children().and_then(|it| it.open.keys().next());
    match open.and_then(|it| Part::of(it)) {
        Some(Part::AgentPackages) => Step::AgentPackages,
        Some(Part::Accounts) => Step::Accounts,
        Some(Part::AgentPackagesAgain | Part::AccountsAgain) => Step::Redrive,
        Some(Part::System) => Step::System,
        None => match task.children().map_or(0, |it| it.opened) {
            0 | 1 => Step::System,
            2 => Step::AgentPackages,
            _ => Step::Accounts,
        },
    }
}
