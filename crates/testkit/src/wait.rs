//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Looks until `look` finds something.
///
/// # Panics
/// When `limit` has passed: the message names `what` was waited for.
pub async fn eventually<T>(what: &str, limit: Duration, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(limit, look).await.unwrap_or_else(|| panic!("{what}: not within {} s", limit.as_secs()))
}

/// Looks until `look` finds something; `None` when `limit` has passed.
pub async fn within<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
