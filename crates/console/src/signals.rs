//! How the process was started to treat signals.

use std::fs;

/// Returns whether SIGHUP is ignored, as under `nohup`: then the program goes on when its terminal
/// is closed, so it must not handle the signal either. Ask before anything handles signals.
#[must_use]
pub fn ignores_hangup() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| has_hangup(ignored(&status)))
}

fn has_hangup(signals: u64) -> bool {
    signals & 1 == 1
}

/// Reads the set of ignored signals; SIGHUP, number 1, is its lowest bit.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ignored_signals_are_read_as_the_kernel_writes_them() {
        assert_eq!(ignored("Name:\ta\nSigIgn:\t0000000000001001\nSigCgt:\t3\n"), 0x1001);
        assert_eq!(ignored("Name:\ta\n"), 0);
        assert!(has_hangup(0x1001) && !has_hangup(0x1000) && !has_hangup(0));
    }
}
