//! The smallest service: it is ready at once and ends when it is told to. Tests run it as a process.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::{Chassis, ServiceSettings};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(flatten)]
    chassis: chassis::Settings,
    /// Seconds of work that are left when the stop comes.
    work_seconds: u64,
    /// Ends with this error at once.
    failure: String,
}

impl ServiceSettings for Settings {
    fn chassis(&self) -> &chassis::Settings {
        &self.chassis
    }
}

const DEFAULTS: &str = r#"
# Seconds of work that are left when the stop comes.
work_seconds = 0
# Error to end with at once.
failure = ""
"#;

fn main() -> ExitCode {
    chassis::main("tiny", DEFAULTS, async |settings: Settings, chassis: Chassis| {
        let work = chassis.health.readiness("work");
        let paused = AtomicBool::new(true);
        chassis.actions.register("resume", "goes on where the work stands still", move || {
            match paused.swap(false, Ordering::Relaxed) {
                true => Ok("goes on".to_owned()),
                false => Err("nothing stands still".to_owned()),
            }
        });
        chassis.actions.register("crash", "panics", || panic!("on purpose"));
        anyhow::ensure!(settings.failure.is_empty(), settings.failure);
        work.ok();
        chassis.stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(settings.work_seconds)).await;
        Ok(())
    })
}
