//! Progress bars on a terminal, single lines elsewhere; both on standard error.

use std::{convert::Infallible, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;
use testkit::simulator::Simulator;

const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// What a person sees while the demo runs.
pub(super) struct Progress {
    bars: MultiProgress,
    fed: ProgressBar,
    held: ProgressBar,
    synced: ProgressBar,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bars = MultiProgress::new();
        let (fed, held, synced) = (bar("fed"), bar("in the backend"), bar("full sync"));
        Self { bars, fed, held, synced }
    }

    pub(super) fn say(&self, line: &str) {
        if self.bars.is_hidden() {
            eprintln!("{line}");
        } else {
            // A terminal that cannot be written to has nobody before it.
            let _ = self.bars.println(line);
        }
    }

    /// Shows the bars: so many lines, so many devices; 0 where their number is not known.
    pub(super) fn begin(&self, lines: usize, devices: usize) {
        self.fed.set_length(lines as u64);
        self.held.set_length(devices as u64);
        self.bars.add(self.fed.clone());
        if devices > 0 {
            self.bars.add(self.held.clone());
        }
    }

    pub(super) fn fed(&self) {
        self.fed.inc(1);
    }

    /// Follows what the backend holds, for ever.
    pub(super) async fn watch(&self, simulator: Simulator) -> Infallible {
        loop {
            if let Ok(summary) = simulator.summary().await {
                let of = |kind: &str| summary[kind].as_u64().unwrap_or(0);
                self.held.set_position(of("devices") + of("routers"));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Shows the bar of a full sync.
    pub(super) fn begin_sync(&self) {
        self.bars.add(self.synced.clone());
    }

    /// Shows how far a job is.
    pub(super) fn synced(&self, job: &Value) {
        let counts = &job["counts"];
        let of = |name: &str| counts[name].as_u64().unwrap_or_default();
        let ended =
            ["applied", "unchanged", "superseded", "gone", "rejected", "not_sent", "unknown"];
        self.synced.set_length(of("total"));
        self.synced.set_position(ended.iter().map(|it| of(it)).sum());
        let step = job["step"].as_str().unwrap_or_default().replace('_', " ");
        let failed = of("rejected");
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        self.synced.set_message(format!("sync: {step}{failed}"));
    }

    pub(super) fn done(&self) {
        self.synced.finish_and_clear();
        self.fed.finish_and_clear();
        self.held.finish_and_clear();
    }
}

fn bar(message: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:16} {wide_bar} {pos}/{len} {per_sec} {elapsed}");
    let style = style.expect("the template is well-formed");
    ProgressBar::hidden().with_style(style).with_message(message)
}
