//! Which jobs may not run at the same time.

use events::{JobId, SyncMode, SyncScope};
use serde::{Deserialize, Serialize};

use super::{JobPayload, SyncAll};

/// A scope that is taken by a job, with all that the job is made of: whoever finds it without its job makes that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The job that has it, or waits for it.
    pub job_id: JobId,
    /// The scope.
    pub scope: SyncScope,
    /// What is sent.
    pub mode: SyncMode,
    /// Most devices that are open at a time.
    pub window: u32,
    /// Most devices per second.
    pub rate_per_s: Option<u32>,
    /// Who asked for it.
    pub requested_by: String,
    /// Whether that is an operator.
    pub of_operator: bool,
    /// Whether jobs that came before it are to make room.
    pub replaces: bool,
    /// Which redrive of the job it is for; 0 for its first run.
    pub redrives: u32,
}

impl Opening {
    /// What its task is about.
    pub fn payload(&self) -> JobPayload {
        JobPayload::SyncAll(SyncAll {
            scope: self.scope.clone(),
            mode: self.mode,
            window: self.window,
            rate_per_s: self.rate_per_s,
            requested_by: self.requested_by.clone(),
            redrives: 0,
            waits_for: None,
        })
    }

    /// Whether `earlier`, which is in its way, is to make room: nobody cancels what is not theirs.
    pub fn may_replace(&self, earlier: &Self) -> bool {
        self.replaces && (self.of_operator || earlier.scope.isp_id == self.scope.isp_id)
    }
}

/// Whether there may be a device that both cover: they must be apart in a member that both name.
pub fn overlap(one: &SyncScope, other: &SyncScope) -> bool {
    fn apart<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
        matches!((one, other), (Some(one), Some(other)) if one != other)
    }
    !(apart(&one.isp_id, &other.isp_id)
        || apart(&one.account_id, &other.account_id)
        || apart(&one.model, &other.model))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(isp: &str, account: &str, model: &str) -> SyncScope {
        let text = |it: &str| (!it.is_empty()).then(|| it.to_owned());
        SyncScope {
            isp_id: text(isp).map(|it| it.try_into().unwrap()),
            account_id: text(account).map(|it| it.try_into().unwrap()),
            model: text(model).map(|it| it.try_into().unwrap()),
        }
    }

    #[test]
    fn scopes_overlap_unless_they_are_apart_in_a_member_that_both_name() {
        let pairs = [
            (scope("", "", ""), scope("", "", ""), true),
            (scope("", "", ""), scope("i-1", "a-1", "m-1"), true),
            (scope("i-1", "", ""), scope("i-1", "", ""), true),
            (scope("i-1", "", ""), scope("i-2", "", ""), false),
            (scope("i-1", "a-1", ""), scope("i-1", "a-2", ""), false),
            (scope("i-1", "a-1", ""), scope("i-1", "", "m-1"), true),
            (scope("i-1", "", "m-1"), scope("i-1", "", "m-2"), false),
            (scope("", "", "m-1"), scope("i-1", "", ""), true),
            (scope("", "", "m-1"), scope("i-1", "", "m-2"), false),
        ];
        for (one, other, expected) in pairs {
            assert_eq!(overlap(&one, &other), expected, "{one:?} {other:?}");
            assert_eq!(overlap(&other, &one), expected, "{other:?} {one:?}");
        }
    }
}
