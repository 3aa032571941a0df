//! Progress bars on a terminal, single lines elsewhere; both on standard error.

use std::{convert::Infallible, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use testkit::simulator::Simulator;

const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// What a person sees while the demo runs.
pub(super) struct Progress {
    bars: MultiProgress,
    fed: ProgressBar,
    held: ProgressBar,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bars = MultiProgress::new();
        let (fed, held) = (bar("fed"), bar("in the backend"));
        Self { bars, fed, held }
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

    pub(super) fn done(&self) {
        self.fed.finish_and_clear();
        self.held.finish_and_clear();
    }
}

fn bar(message: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:16} {wide_bar} {pos}/{len} {elapsed}");
    let style = style.expect("the template is well-formed");
    ProgressBar::hidden().with_style(style).with_message(message)
}
