//! How much memory a process holds, as the kernel counts it.

use std::fs;

use anyhow::{Context, Result};

/// Memory of a process, in MB (10⁶ bytes).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// VmRSS: what it holds now.
    pub(crate) resident_mb: f64,
    /// VmHWM: the most that it held since its start, or since [`forget_peak`].
    pub(crate) peak_mb: f64,
}

/// Reads `/proc/PID/status`.
pub(crate) fn of(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    parsed(&text).with_context(|| format!("{path} has no memory"))
}

/// Lets the peak of a process begin anew (`clear_refs`, proc(5)).
pub(super) fn forget_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").with_context(|| format!("write {path}"))
}

fn parsed(status: &str) -> Option<Memory> {
    let of = |name: &str| {
        let line = status.lines().find_map(|it| it.strip_prefix(name))?;
        let kib: f64 = line.trim_start_matches(':').split_whitespace().next()?.parse().ok()?;
        Some((kib * 1024.0 / 1e5).round() / 10.0)
    };
    Some(Memory { resident_mb: of("VmRSS")?, peak_mb: of("VmHWM")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_in_kib() {
        let status =
            "Name:\trssync\nVmPeak:\t  900000 kB\nVmHWM:\t   50000 kB\nVmRSS:\t   40000 kB\n";
        assert_eq!(parsed(status), Some(Memory { resident_mb: 41.0, peak_mb: 51.2 }));
        assert_eq!(parsed("Name:\trssync\n"), None);
    }

    #[test]
    fn this_process_holds_something() {
        assert!(of(std::process::id()).unwrap().resident_mb > 0.1);
    }
}
