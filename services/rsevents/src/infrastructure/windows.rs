//! Since when the activity of devices is not told again: in memory alone, for nothing is lost with it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hashbrown::HashMap;

use crate::{domain::Window, settings::FoldingSettings};

/// A cheap handle to the open windows.
#[derive(Clone, Debug)]
pub struct Windows {
    open: Arc<Mutex<Open>>,
    length: Duration,
    /// Most windows of a generation.
    most: usize,
}

/// A generation is as long as a window: of the old one none is open when the young one becomes old.
#[derive(Debug)]
struct Open {
    young: HashMap<String, Told>,
    old: HashMap<String, Told>,
    turned_at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    until: Instant,
    at: jiff::Timestamp,
}

impl Windows {
    /// No window is open.
    pub fn new(settings: &FoldingSettings) -> Self {
        let open = Open { young: HashMap::new(), old: HashMap::new(), turned_at: Instant::now() };
        let (length, most) = (settings.window(), settings.devices_max / 2);
        Self { open: Arc::new(Mutex::new(open)), length, most }
    }

    /// Lets `look` ask for windows that are open now.
    pub fn look<T>(&self, look: impl FnOnce(&dyn Fn(&str) -> Option<Window>) -> T) -> T {
        let (now, open) = (Instant::now(), self.open.lock());
        let open = open.unwrap_or_else(PoisonError::into_inner);
        look(&|device| {
            let told = open.young.get(device).or_else(|| open.old.get(device))?;
            let rest = told.until.saturating_duration_since(now);
            (!rest.is_zero()).then_some(Window { rest, told: told.at })
        })
    }

    /// The activity of these devices at these times was told. Of too many devices, some have no window.
    pub fn begin<'a>(&self, told: impl Iterator<Item = (&'a str, jiff::Timestamp)>) {
        if self.length.is_zero() {
            return;
        }
        let now = Instant::now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(open.turned_at) >= self.length {
            open.old = std::mem::take(&mut open.young);
            open.turned_at = now;
        }
        for (device, at) in told {
            if open.young.len() >= self.most {
                break;
            }
            open.young.insert(device.to_owned(), Told { until: now + self.length, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(window_ms: u64, devices_max: usize) -> Windows {
        Windows::new(&FoldingSettings { window_ms, devices_max })
    }

    fn is_open(windows: &Windows, device: &str) -> bool {
        windows.look(|open| open(device).is_some())
    }

    #[test]
    fn a_window_is_open_for_its_device_until_it_has_ended() {
        let (long, none) = (windows(60_000, 10), windows(0, 10));
        let at = jiff::Timestamp::UNIX_EPOCH;
        for it in [&long, &none] {
            it.begin([("a", at)].into_iter());
        }
        assert!(is_open(&long, "a") && !is_open(&long, "b") && !is_open(&none, "a"));
        let rest = long.look(|open| open("a").map(|it| it.rest)).unwrap();
        assert!(rest > Duration::from_secs(50) && rest <= Duration::from_secs(60));
    }

    #[test]
    fn there_are_never_more_windows_than_allowed() {
        let windows = windows(60_000, 8);
        let names: Vec<String> = (0..100).map(|it| format!("d{it}")).collect();
        windows.begin(names.iter().map(|it| (it.as_str(), jiff::Timestamp::UNIX_EPOCH)));
        assert_eq!(names.iter().filter(|it| is_open(&windows, it)).count(), 4);
    }
}
