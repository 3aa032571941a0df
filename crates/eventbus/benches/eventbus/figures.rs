//! What the benchmark tells.

use serde::Serialize;

use crate::child::Measured;

/// The figures; what was not asked for, or cannot be measured, is `null`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) keyed_16_s: Option<f64>,
    pub(crate) keyed_16_overhead: Option<f64>,
    pub(crate) keyed_100_s: Option<f64>,
    pub(crate) keyed_100_overhead: Option<f64>,
    pub(crate) one_key_s: Option<f64>,
    pub(crate) serial_s: Option<f64>,
    pub(crate) noop_per_s: Option<f64>,
    pub(crate) raw_per_s: Option<f64>,
    pub(crate) noop_replayed: Option<f64>,
    pub(crate) reliable_per_s: Option<f64>,
    pub(crate) flush_each_p50_ms: Option<f64>,
    pub(crate) rtt_ms: Option<f64>,
    pub(crate) refetch_ratio: Option<f64>,
    pub(crate) rss_mb: Option<f64>,
    /// Records that were never handled.
    pub(crate) lost: u64,
    /// Records that were handled more than once, but for those around the crash.
    pub(crate) repeated: u64,
}

impl Figures {
    /// Adds what became of the records of one measurement.
    pub(crate) fn account(&mut self, measured: &Measured) {
        self.lost += measured.lost;
        self.repeated += measured.repeated;
    }
}

/// The value in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
