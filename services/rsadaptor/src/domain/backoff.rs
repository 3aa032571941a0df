//! How long a failing record waits.

use std::time::Duration;

/// The first wait.
const BACKOFF_BASE: Duration = Duration::from_millis(200);
/// The longest wait.
pub const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The longest wait after the failure of this attempt (from 1): it doubles with every attempt. The wait itself
/// is drawn between nothing and this, so that records that failed together do not come back together.
pub fn backoff_ceiling(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    (BACKOFF_BASE * 2_u32.pow(doublings)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_half_a_minute() {
        let ceilings = [1, 2, 3, 8, 9, 1_000_000].map(|it| backoff_ceiling(it).as_millis());
        assert_eq!(ceilings, [200, 400, 800, 25_600, 30_000, 30_000]);
    }
}
