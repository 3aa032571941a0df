//! How long a failing record waits.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(200);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a record waits after the failure of its `attempt`-th handling (from 1): a random part of a time that
/// doubles with every attempt up to half a minute, so that records that failed together do not come back together.
pub fn backoff(attempt: u32) -> Duration {
    jitter(ceiling(attempt))
}

/// A random part of a time.
pub fn jitter(ceiling: Duration) -> Duration {
    ceiling.mul_f64(fastrand::f64())
}

fn ceiling(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    (FIRST * 2_u32.pow(doublings)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_half_a_minute() {
        let ceilings = [1, 2, 3, 8, 9, u32::MAX].map(|it| ceiling(it).as_millis());
        assert_eq!(ceilings, [200, 400, 800, 25_600, 30_000, 30_000]);
        assert!((0..100).all(|_| backoff(3) <= Duration::from_millis(800)));
    }
}
