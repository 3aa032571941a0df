//! A problem as the fate of a record.

use eventbus::{Outcome, backoff};

use crate::{Kind, Problem};

impl Problem {
    /// What becomes of the record whose `attempt`-th (1, 2, …) handling ended so.
    ///
    /// A record that is itself wrong is rejected. Trouble elsewhere is no fault of the record: it
    /// waits, and the attempt does not count. A fault of ours may lie in this very record: it is
    /// tried again, and the attempt counts towards its limit.
    pub fn outcome(self, attempt: u32) -> Outcome {
        let reason = self.to_string();
        let again = |counted| Outcome::RetryAfter {
            after: backoff(attempt),
            counted,
            reason: reason.clone(),
        };
        match self.kind {
            Kind::Unavailable => again(false),
            Kind::Internal => again(true),
            // An alarm: one tenant's system names what is another's.
            Kind::TenantMismatch => {
                tracing::error!(error = %self.detail, "tenant mismatch");
                Outcome::Reject { reason: format!("tenant_mismatch: {}", self.detail) }
            }
            Kind::Invalid
            | Kind::Unauthorized
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::NoSuchMethod
            | Kind::Conflict
            | Kind::PreconditionFailed
            | Kind::TooLarge => Outcome::Reject { reason },
        }
    }
}

/// The fate after a first attempt, for a caller that does not know which attempt it was.
impl From<Problem> for Outcome {
    fn from(problem: Problem) -> Self {
        problem.outcome(1)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn show(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Done => "done".to_owned(),
            Outcome::Skipped(why) => format!("skipped ({why})"),
            Outcome::RetryAfter { counted, reason, .. } => {
                format!("retry, counted: {counted} ({reason})")
            }
            Outcome::Reject { reason } => format!("reject ({reason})"),
        }
    }

    #[test]
    fn every_kind_has_the_fate_that_it_deserves() {
        let table: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| format!("{kind:?}: {}", show(&Problem::new(*kind, "why").outcome(2))))
            .collect();
        expect![[r#"
            Invalid: reject (The input is not valid: why)
            Unauthorized: reject (No valid credential: why)
            Forbidden: reject (Not allowed: why)
            NotFound: reject (Not found: why)
            NoSuchMethod: reject (No such method: why)
            Conflict: reject (Not possible in the present state: why)
            PreconditionFailed: reject (Changed by somebody else: why)
            TooLarge: reject (Too large: why)
            TenantMismatch: reject (tenant_mismatch: why)
            Unavailable: retry, counted: false (Not available now: why)
            Internal: retry, counted: true (Internal error: why)"#]]
        .assert_eq(&table.join("\n"));
    }
}
